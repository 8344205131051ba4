"""Labels that say something else than one class, in every kind of source that has them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

import prep
from prep.errors import ConfigError, LabelError, SourceError
from prep.operations.outlook import plan
from prep.sources.manifest import entries_of
from tests.support.pictures import jpeg, picture
from tests.support.tars import tar_of

NAMES = ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]
# Of each image; that of the last has no class at all.
SEVERAL = [("cat", "dog"), ("dog",), ("eel", "cat"), ()]
FOUND = {"a.jpg": (0, 1), "b.jpg": (1,), "c.jpg": (0, 2), "d.jpg": ()}
VALUES = {"a.jpg": 0.1, "b.jpg": -3.0, "c.jpg": 1e-9, "d.jpg": 7.0}
SHARES = {"a.jpg": (0.1, 0.2, 0.7), "b.jpg": (1, 0, 0), "c.jpg": (0, 0.5, 0.5), "d.jpg": (0, 1, 0)}


@pytest.fixture(scope="module")
def photos() -> dict[str, bytes]:
    return {name: jpeg(picture(8, 8, number)) for number, name in enumerate(NAMES)}


@pytest.fixture
def folder(tmp_path: Path, photos: dict[str, bytes]) -> Path:
    for name, data in photos.items():
        (tmp_path / name).write_bytes(data)
    return tmp_path


def labels(source: Any, target: str, **keys: Any) -> dict[str, tuple[float, ...]]:
    """Return the numbers of the label of each image, by the end of its name."""
    values = {"output": "/nowhere/shards", "target": target, **keys}
    found = plan(prep.Config(source=source, **values))
    entries = entries_of(found.manifest, found.classes)
    return {
        entry.name.rpartition("#")[2]: (
            tuple(np.frombuffer(entry.target, "<f4").tolist())
            if entry.target
            else found.labels.feature(entry.class_name)
        )
        for entry in entries
    }


def rounded(labels: dict[str, Any]) -> dict[str, tuple[float, ...]]:
    """Return labels as float32 has them."""
    as_tuples = {k: v if isinstance(v, tuple) else (v,) for k, v in labels.items()}
    return {name: tuple(np.float32(v).tolist()) for name, v in as_tuples.items()}


def written(folder: Path, name: str, data: str | pa.Table) -> Path:
    path = folder / name
    if isinstance(data, str):
        path.write_text(data)
    elif name.endswith(".parquet"):
        pq.write_table(data, path)
    else:
        feather.write_feather(data, path, compression="uncompressed")
    return path


def csv(column: dict[str, str]) -> str:
    return "path,label\n" + "".join(f'{name},"{value}"\n' for name, value in column.items())


LISTS: dict[str, Any] = {
    "bars.csv": csv({n: "|".join(s) for n, s in zip(NAMES, SEVERAL, strict=True)}),
    "commas.csv": csv({n: ", ".join(s) for n, s in zip(NAMES, SEVERAL, strict=True)}),
    "flags.csv": "path,cat,dog,eel\na.jpg,1,1,0\nb.jpg,0,1,0\nc.jpg,1,0,1\nd.jpg,0,0,0\n",
    "long.csv": "path,label\na.jpg,dog\nb.jpg,dog\na.jpg,cat\nc.jpg,cat\nc.jpg,eel\nd.jpg,\n",
    "lines.jsonl": "".join(
        json.dumps({"path": n, "label": s}) + "\n" for n, s in zip(NAMES, SEVERAL, strict=True)
    ),
    "coco.json": json.dumps(
        {
            "images": [{"id": n, "file_name": name} for n, name in enumerate(NAMES)],
            "categories": [{"id": n, "name": name} for n, name in enumerate(["eel", "dog", "cat"])],
            "annotations": [
                {"image_id": n, "category_id": ["eel", "dog", "cat"].index(name)}
                for n, several in enumerate(SEVERAL)
                for name in several
            ],
        }
    ),
    "list.parquet": pa.table({"path": NAMES, "labels": pa.array(SEVERAL, pa.list_(pa.string()))}),
    "list.arrow": pa.table({"path": NAMES, "labels": pa.array(SEVERAL, pa.list_(pa.string()))}),
}


@pytest.mark.parametrize("name", LISTS)
def test_lists_with_several_classes_of_an_image(name: str, folder: Path) -> None:
    source = written(folder, name, LISTS[name])
    assert labels(source, "multi", unlabelled="keep") == FOUND


def test_a_separator_of_ones_own(folder: Path) -> None:
    text = csv({n: " ".join(s) for n, s in zip(NAMES, SEVERAL, strict=True)})
    source = written(folder, "blanks.csv", text)
    keys: dict[str, Any] = {"labels": {"separator": " "}, "unlabelled": "keep"}
    assert labels(source, "multi", **keys) == FOUND
    with pytest.raises(ConfigError, match=r"labels\.separator: got ' '.*use target multi"):
        labels(source, "class", **keys)


def test_several_labels_are_refused_where_one_is_expected(folder: Path) -> None:
    source = written(folder, "lines.jsonl", LISTS["lines.jsonl"])
    with pytest.raises(SourceError, match=r"2 images with several labels.*pass `target='multi'`"):
        labels(source, "class")


def test_tables_with_several_classes_and_the_names_that_a_schema_gives(
    tmp_path: Path, photos: dict[str, bytes]
) -> None:
    numbers = [["eel", "dog", "cat"].index(n) for several in SEVERAL for n in several]
    it = iter(numbers)
    column = pa.array([[next(it) for _ in several] for several in SEVERAL], pa.list_(pa.int64()))
    table = pa.table({"image": pa.array([{"bytes": p} for p in photos.values()]), "label": column})
    feature = {"feature": {"names": ["eel", "dog", "cat"], "_type": "ClassLabel"}, "_type": "List"}
    info = json.dumps({"info": {"features": {"label": feature}}})
    pq.write_table(table.replace_schema_metadata({"huggingface": info}), tmp_path / "t.parquet")
    found = labels(tmp_path, "multi", unlabelled="keep")
    assert found == {"0": (1, 2), "1": (1,), "2": (0, 2), "3": ()}


VALUE_LISTS: dict[str, Any] = {
    "values.csv": csv({name: repr(value) for name, value in VALUES.items()}),
    "values.jsonl": "".join(json.dumps({"path": n, "label": v}) + "\n" for n, v in VALUES.items()),
    "values.parquet": pa.table({"path": NAMES, "label": [*VALUES.values()]}),
}


@pytest.mark.parametrize("name", VALUE_LISTS)
def test_lists_with_a_value_of_each_image(name: str, folder: Path) -> None:
    source = written(folder, name, VALUE_LISTS[name])
    assert labels(source, "value") == rounded(VALUES)


def test_values_from_the_names_of_images(folder: Path, photos: dict[str, bytes]) -> None:
    for name, age in zip(NAMES, (3, 41, 7, 3), strict=True):
        (folder / name).rename(folder / f"{age}_{name}")
    found = labels(folder, "value", labels={"from": "(?P<label>[0-9]+)_"}, layout="classes")
    assert found == {"3_a.jpg": (3,), "41_b.jpg": (41,), "7_c.jpg": (7,), "3_d.jpg": (3,)}


SHARE_LISTS: dict[str, Any] = {
    "shares.csv": csv({name: str([*value]) for name, value in SHARES.items()}),
    "spaces.csv": csv({name: " ".join(map(str, value)) for name, value in SHARES.items()}),
    "columns.csv": "path,dog,cat,eel\n"
    + "".join(f"{name},{a},{b},{c}\n" for name, (a, b, c) in SHARES.items()),
    "shares.jsonl": "".join(json.dumps({"path": n, "label": v}) + "\n" for n, v in SHARES.items()),
    "shares.parquet": pa.table(
        {"path": NAMES, "label": pa.array([*SHARES.values()], pa.list_(pa.float32(), 3))}
    ),
}


@pytest.mark.parametrize("name", SHARE_LISTS)
def test_lists_with_a_number_for_each_class(name: str, folder: Path) -> None:
    source = written(folder, name, SHARE_LISTS[name])
    keys = {"columns": {"label": ["dog", "cat", "eel"]}} if name == "columns.csv" else {}
    assert labels(source, "soft", **keys) == rounded(SHARES)


def test_the_classes_of_numbers_follow_the_label_map(folder: Path) -> None:
    source = written(folder, "columns.csv", SHARE_LISTS["columns.csv"])
    keys = {"columns": {"label": ["dog", "cat", "eel"]}, "output": "/nowhere/shards"}
    order = {"label_map": {"cat": 0, "eel": 1, "dog": 2}}
    moved = {name: (b, c, a) for name, (a, b, c) in SHARES.items()}
    assert labels(source, "soft", **keys, **order) == rounded(moved)
    by_name = {name: (b, a, c) for name, (a, b, c) in SHARES.items()}
    assert labels(source, "soft", **keys, labels={"order": "name"}) == rounded(by_name)
    unnamed = written(folder, "spaces.csv", SHARE_LISTS["spaces.csv"])
    names = {"label_map": {"dog": 0, "cat": 1, "eel": 2}}
    found = plan(prep.Config(source=unnamed, output="/nowhere/shards", target="soft", **names))
    assert found.classes == ("cat", "dog", "eel")
    likeliest = {e.name: e.class_name for e in entries_of(found.manifest, found.classes)}
    assert likeliest == {"a.jpg": "eel", "b.jpg": "dog", "c.jpg": "cat", "d.jpg": "cat"}
    with pytest.raises(LabelError, match="expected the same classes"):
        labels(source, "soft", **keys, label_map={"cat": 0, "bee": 1, "dog": 2})


def test_lists_in_python(photos: dict[str, bytes]) -> None:
    def items(column: Any) -> list[tuple[bytes, Any]]:
        return [*zip(photos.values(), column, strict=True)]

    def found(column: Any, target: str) -> list[tuple[float, ...]]:
        return [label for _, label in sorted(labels(items(column), target).items())]

    assert found(SEVERAL, "multi") == [*FOUND.values()]
    assert found([{1, 3}, {3}, [0], ()], "multi") == [(1, 3), (3,), (0,), ()]
    assert found(np.float32([*VALUES.values()]), "value") == [*rounded(VALUES).values()]
    assert found([*SHARES.values()], "soft") == [*rounded(SHARES).values()]
    with pytest.raises(ConfigError, match=r"item 0: got the label a list.*other labels need"):
        found(SEVERAL, "class")
    with pytest.raises(ConfigError, match="item 0: got the label 'a'; expected a number"):
        found("abcd", "value")


def test_webdataset_samples(tmp_path: Path, photos: dict[str, bytes]) -> None:
    def source(of: dict[str, Any]) -> Path:
        members: dict[str, bytes] = {}
        for name, data in photos.items():
            members[name] = data
            members[name.replace("jpg", "json")] = json.dumps({"label": of[name]}).encode()
        path = tmp_path / "s.tar"
        path.write_bytes(tar_of(members))
        return path

    several = {**FOUND, "d.jpg": ()}
    assert labels(source(several), "multi", unlabelled="keep") == several
    assert labels(source(VALUES), "value") == rounded(VALUES)
    assert labels(source(SHARES), "soft") == rounded(SHARES)
    with pytest.raises(SourceError, match=r"'a.json' has 0.1 for 'json.label'; expected a list"):
        labels(source(VALUES), "multi")


def test_rules_for_classes_hold_for_each_of_several(folder: Path) -> None:
    source = written(folder, "bars.csv", LISTS["bars.csv"])
    rules = {"rename": {"eel": "fish", "cat": "pet", "dog": "pet"}}
    keys: dict[str, Any] = {"unlabelled": "keep"}
    found = {"a.jpg": (1,), "b.jpg": (1,), "c.jpg": (0, 1), "d.jpg": ()}
    assert labels(source, "multi", labels=rules, **keys) == found
    # An image that had classes, none of which is left, goes; one without a class stays.
    without_dogs = {"a.jpg": (0,), "c.jpg": (0, 1), "d.jpg": ()}
    assert labels(source, "multi", labels={"exclude": ["dog"]}, **keys) == without_dogs
    order = written(folder, "order.txt", "eel\ndog\ncat\n")
    ordered = {"a.jpg": (1, 2), "b.jpg": (1,), "c.jpg": (0, 2), "d.jpg": ()}
    assert labels(source, "multi", labels={"order": order}, **keys) == ordered
    assert labels(source, "multi", label_map={"cat": 2, "dog": 1, "eel": 0}, **keys) == ordered


WRONG: dict[str, tuple[str, str, str]] = {
    "no number": ("value", csv({"a.jpg": "1", "b.jpg": "two"}), "'two' (b.jpg)"),
    "not finite": (
        "value",
        csv({"a.jpg": "nan", "b.jpg": "inf", "c.jpg": "1e39", "d.jpg": "-1e38"}),
        "3 images with a label that is no finite number: 'nan' (a.jpg), 'inf' (b.jpg), '1e39'",
    ),
    "decimal comma": ("value", csv({"a.jpg": "1,5"}), "'1,5' (a.jpg)"),
    "grouped digits": ("value", csv({"a.jpg": "1_000"}), "'1_000' (a.jpg)"),
    "decimal commas": ("soft", csv({"a.jpg": "0,5;0,5", "b.jpg": "1;0"}), "'0,5' (a.jpg)"),
    "commas and blanks": ("soft", csv({"a.jpg": "0,5 0,5", "b.jpg": "1,0 0"}), "'5 0' (a.jpg)"),
    "holes": ("soft", csv({"a.jpg": "1,,0", "b.jpg": ",1,0"}), "2 images with a label"),
    "nulls": (
        "soft",
        '{"path":"a.jpg","label":[null,1,0]}\n{"path":"b.jpg","label":[0,1,null]}\n',
        "'' (a.jpg), '' (b.jpg)",
    ),
    "other lengths": ("soft", csv({"a.jpg": "1 0", "b.jpg": "1 0 0"}), "expected a number for"),
    "empty": ("value", csv({"a.jpg": "1", "b.jpg": ""}), "leave such images out with `exclude`"),
    "no class": ("multi", csv({"a.jpg": "1", "b.jpg": ""}), "keep'` to give them no class"),
    "bar in a name": ("multi", '{"path":"a.jpg","label":["a|b","c"]}\n', "rename with `labels"),
    "two rows": ("class", csv({"a.jpg": "x"}) + "a.jpg,y\n", "pass `target='multi'`"),
    "minus ones and zeros": ("multi", "path,p,q\na.jpg,1,0\nb.jpg,-1,1\n", "no column is known"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_with_labels_is_told(name: str, folder: Path) -> None:
    target, text, expected = WRONG[name]
    with pytest.raises((SourceError, ConfigError)) as raised:
        labels(written(folder, "list.txt", text), target)
    assert expected in str(raised.value)


@pytest.mark.parametrize(
    "printed",
    [
        ["['cat', 'dog']", "['dog']", "['eel', 'cat']", "[]"],
        ["['cat' 'dog']", "['dog']", "['eel' 'cat']", "[]"],
        ['[""cat"",""dog""]', '[""dog""]', '[""eel"",""cat""]', "[]"],
        ["{cat,dog}", "{dog}", "{eel,cat}", "{}"],
    ],
)
def test_printed_lists_are_several_classes(printed: list[str], folder: Path) -> None:
    source = written(folder, "list.csv", csv(dict(zip(NAMES, printed, strict=True))))
    assert labels(source, "multi", unlabelled="keep") == FOUND


@pytest.mark.parametrize("form", ["json", "csv"])
def test_lists_of_zeros_and_ones_are_a_number_for_each_class(form: str, folder: Path) -> None:
    flags = [[int(n in FOUND[name]) for n in range(12)] for name in NAMES]
    if form == "csv":
        text = csv({name: str(each) for name, each in zip(NAMES, flags, strict=True)})
    else:
        rows = [{"path": n, "label": each} for n, each in zip(NAMES, flags, strict=True)]
        text = "\n".join(map(json.dumps, rows))
    source = written(folder, f"list.{form}l" if form == "json" else "list.csv", text)
    assert labels(source, "multi", unlabelled="keep") == FOUND
    names = written(folder, "order.txt", "\n".join([*"lkjihgfedcba"]))
    config = prep.Config(
        source=source, output="/nowhere/s", target="multi", labels={"order": names}
    )
    found = plan(config)
    assert [*found.labels.numbers] == [*"lkjihgfedcba"]
    assert any("lists of zeros and ones" in doubt for doubt in found.doubts)


def test_columns_of_ones_and_minus_ones_are_flags(folder: Path) -> None:
    text = "image_id,Bald,Male\na.jpg,-1,1\nb.jpg,1,1\nc.jpg,-1,-1\nd.jpg,1,-1\n"
    found = labels(written(folder, "list.csv", text), "multi", unlabelled="keep")
    assert found == {"a.jpg": (1,), "b.jpg": (0, 1), "c.jpg": (), "d.jpg": (0,)}


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"target": "value", "unlabelled": "keep"}, "unlabelled: got keep"),
        ({"target": "value", "label_map": {"a": 0}}, "label_map: got one"),
        ({"target": "soft", "labels": {"rename": {"a": "b"}}}, "labels.rename: got"),
        ({"target": "value", "labels": {"names": "n.txt"}}, "labels.names: got"),
        ({"target": "many"}, "target"),
    ],
)
def test_keys_that_do_not_go_with_a_target_are_refused(keys: Any, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        prep.Config(source="in", output="out", **keys)
