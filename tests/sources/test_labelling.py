"""From what a layout says to final classes: ``labels``, ``exclude`` and ``unlabelled``."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import prep
from prep.errors import ConfigError, LabelError, PrepError, SourceError
from prep.parsing import parse_yaml
from prep.sources.base import Catalog
from prep.sources.columns import table_of
from prep.sources.labelling.class_lookup import resolve_label_map
from prep.sources.labelling.labelling import labelled
from prep.sources.labels import LabelMap
from tests.support.pictures import write_tree


def catalog_of(
    images: Mapping[str, str | None], *, files: Mapping[str, str] | None = None, **more: Any
) -> Catalog:
    """Return a catalog of images in any order: by name, the label; the split is the first folder.

    Args:
        files: the files of some images, if they are not as the names say.
    """
    return rows_of([*images.items()], files=files, **more)


def rows_of(
    rows: Sequence[tuple[str, str | None]],
    *,
    files: Mapping[str, str] | None = None,
    offset: int = -1,
    **more: Any,
) -> Catalog:
    splits = sorted({name.split("/")[0] for name, _ in rows})
    classes = sorted({label for _, label in rows if label is not None})
    places: dict[str, Any] = {}
    if files is not None:
        where = [os.fsencode(files.get(name, f"/data/{name}")) for name, _ in rows]
        places = {"file": where, "offset": [offset] * len(rows), "how": [b"bytes"] * len(rows)}
    return Catalog(
        source="/data",
        splits=tuple(splits),
        classes=tuple(classes),
        images=table_of(
            {
                "split": [splits.index(name.split("/")[0]) for name, _ in rows],
                "class": [-1 if label is None else classes.index(label) for _, label in rows],
                "path": [os.fsencode(name) for name, _ in rows],
                "size": [9] * len(rows),
                "mtime": [1] * len(rows),
                **places,
            }
        ),
        **more,
    )


def applied(catalog: Catalog, **keys: Any) -> Catalog:
    return labelled(catalog, prep.Config(source="/data", output="/out", **keys))


def labels_of(catalog: Catalog) -> dict[str, str]:
    """Return the label of each image, by name, in the order of the rows."""
    images = catalog.images
    names = [os.fsdecode(path) for path in images["path"].to_pylist()]
    return dict(zip(names, (catalog.classes[n] for n in images["class"].to_pylist()), strict=True))


def passed(catalog: Catalog) -> dict[str, tuple[int, str]]:
    return {item.reason: (item.count, item.example) for item in catalog.ignored}


ANIMALS = {
    "train/cat/1.jpg": "cat",
    "train/cat/2.jpg": "cat",
    "train/dog/1.jpg": "dog",
    "train/pug/1.jpg": "pug",
    "val/dog/9.jpg": "dog",
}


def test_class_folders_are_as_they_were_if_nothing_is_asked_for() -> None:
    catalog = catalog_of(ANIMALS)
    assert applied(catalog) is catalog


def test_rows_are_sorted_by_split_class_and_name_as_bytes() -> None:
    names = ["val/b/1.jpg", "train/b/é.jpg", "train/b/z.jpg", "train/b/Z/1.jpg", "train/a/9.jpg"]
    found = applied(catalog_of({name: name.split("/")[1] for name in names}))
    expected = ["train/a/9.jpg", "train/b/Z/1.jpg", "train/b/z.jpg", "train/b/é.jpg", "val/b/1.jpg"]
    assert [*labels_of(found)] == expected


@pytest.mark.parametrize(
    ("origin", "labels"),
    [
        ("folder", ["animals", "animals", "things"]),
        ("path", ["animals/cats/tabby", "animals/dogs/pug", "things/crane"]),
        ("leaf", ["tabby", "pug", "crane"]),
        (r"(?P<label>[a-z]+)/\d", ["tabby", "pug", "crane"]),
    ],
)
@pytest.mark.parametrize("top", ["train/", ""])
def test_labels_are_taken_from_folders_or_by_a_pattern(
    origin: str, labels: list[str], top: str
) -> None:
    names = ["animals/cats/tabby/0.jpg", "animals/dogs/pug/1.jpg", "things/crane/0.jpg"]
    catalog = catalog_of({f"train/{name}": name.split("/")[0] for name in names})
    paths = [os.fsencode(top + name) for name in names]
    images = catalog.images.set_column(2, "path", table_of({"path": paths})["path"])
    found = applied(replace(catalog, images=images), labels={"from": origin})
    assert dict(zip((top + name for name in names), labels, strict=True)) == labels_of(found)
    assert found.classes == tuple(sorted({*labels}))


def test_what_is_above_the_folder_of_a_split_tells_no_label() -> None:
    names = ["set/train/a/b/1.jpg", "set/train/1.jpg"]
    catalog = catalog_of(dict.fromkeys(names), split_folders={"set": b"set/train"})
    found = applied(catalog, labels={"from": "path"}, unlabelled="keep")
    assert labels_of(found) == {"set/train/a/b/1.jpg": "a/b", "set/train/1.jpg": ""}


def test_the_folder_of_an_archive_is_called_by_its_stem() -> None:
    names = {"train/n1.tar/a.jpg": "n1", "train/n2.TAR/sub/a.jpg": "n2", "train/x.y/a.jpg": "x.y"}
    catalog = catalog_of(names, files={}, offset=512)
    assert [*labels_of(applied(catalog, labels={"from": "leaf"})).values()] == ["n1", "sub", "x.y"]


def test_a_leaf_in_two_places_is_refused_unless_renamed() -> None:
    places = ["train/birds/crane", "train/things/crane", "val/birds/crane", "train/things/mug"]
    catalog = catalog_of({f"{place}/1.jpg": place.split("/")[1] for place in places})
    with pytest.raises(SourceError, match=r"'crane' \('birds/crane', 'things/crane'\).*rename"):
        applied(catalog, labels={"from": "leaf"})
    rename = {"birds/crane": "bird"}
    found = applied(catalog, labels={"from": "leaf", "rename": rename})
    assert [*labels_of(found).values()] == ["bird", "crane", "mug", "bird"]


def test_an_image_whose_name_tells_no_label_has_none() -> None:
    names = ["train/cat.0.jpg", "train/dog.0.jpg", "test/1.jpg"]
    catalog, rules = catalog_of(dict.fromkeys(names)), {"from": r"(?P<label>cat|dog)\.\d"}
    found = applied(catalog, labels=rules)
    assert labels_of(found) == {"train/cat.0.jpg": "cat", "train/dog.0.jpg": "dog"}
    assert (found.splits, passed(found)) == (
        ("train",),
        {"image without a label": (1, "test/1.jpg")},
    )
    kept = applied(catalog, labels=rules, unlabelled="keep")
    assert labels_of(kept) == {"test/1.jpg": ""} | labels_of(found)
    assert kept.classes == ("cat", "dog", "")
    assert kept.splits == ("test", "train")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"labels": {"from": "column"}}, "labels.from: got column"),
        ({"labels": {"from": "(?P<label>x)"}}, "is found in no name of an image"),
        ({"labels": {"from": "(?P<label>x*)"}}, "finds an empty label in 'train/cat/1.jpg'"),
        ({"labels": {"rename": {"cta": "dog"}}}, "labels.rename: 'cta'.*did you mean 'cat'"),
        ({"labels": {"include": ["eel", "cow"]}}, "labels.include: 2 names .* 'eel', 'cow'"),
        ({"labels": {"include": ["cat"], "exclude": ["cat"]}}, "no class is left"),
        ({"exclude": "/nowhere.txt"}, "exclude: '/nowhere.txt' can't be read: No such file"),
        ({"labels": {"order": "size"}}, "can't be read.*; expected name, file, or a file with"),
        ({"labels": "exclude=cat"}, "can't be read.*; expected a list of names, or a file"),
        ({"exclude": '["1.jpg"]'}, "exclude: '1.jpg' may be 'train/cat/1.jpg'"),
        ({"exclude": ["1.jpg"]}, "exclude: '1.jpg' may be 'train/cat/1.jpg', 'train/dog/1.jpg'"),
        ({"exclude": [*ANIMALS]}, "no images are left .*5 × excluded image"),
        ({"exclude": ["9.jpg"], "splits": ["val"]}, r"left in 1 split, 'val'"),
    ],
)
def test_what_does_not_fit_is_an_error_of_one_line(keys: dict[str, Any], message: str) -> None:
    catalog = catalog_of(ANIMALS)
    with pytest.raises(PrepError, match=message) as error:
        applied(catalog, **keys)
    assert isinstance(error.value, SourceError | ConfigError)
    assert "\n" not in str(error.value)


def test_images_are_excluded_by_name_or_by_the_number_of_imagenet(tmp_path: Path) -> None:
    catalog = catalog_of(
        ANIMALS
        | {f"val/ILSVRC2012_val_{n:08}.JPEG": "cat" for n in (3, 4, 13)}
        | {"train/cat/n01440764_3.JPEG": "cat"}
    )
    listed = tmp_path / "blacklist.txt"
    listed.write_text("\ufeff3\r\n\r\n9.jpg\r\ntrain/cat/2.jpg\r\n77\r\ngone.jpg\r\n")
    found = applied(catalog, exclude=str(listed))
    gone = {"val/ILSVRC2012_val_00000003.JPEG", "val/dog/9.jpg", "train/cat/2.jpg"}
    assert {*labels_of(catalog)} - {*labels_of(found)} == gone
    assert passed(found) == {"excluded image": (3, "train/cat/2.jpg")}
    assert found.doubts == ("exclude: 2 names of no image: '77', 'gone.jpg'",)


def test_classes_are_renamed_merged_and_chosen(tmp_path: Path) -> None:
    catalog = catalog_of(
        ANIMALS, class_names={"cat": "house cat", "dog": "dog", "pug": "Pug, mops"}
    )
    merged = applied(catalog, labels={"rename": {"mops": "dog"}})
    assert merged.classes == ("cat", "dog")
    assert labels_of(merged)["train/pug/1.jpg"] == "dog"
    assert [*labels_of(merged)] == [*ANIMALS]
    subset = tmp_path / "subset.txt"
    subset.write_text("dog and what follows\nHouse_cat\n")
    chosen = applied(catalog, labels={"include": str(subset), "rename": {"cat": "feline"}})
    assert chosen.classes == ("dog", "feline")
    assert chosen.class_names == {"dog": "dog", "feline": "house cat"}
    reason = "image of a class that labels leave out"
    assert passed(chosen) == {reason: (1, "train/pug/1.jpg")}
    assert applied(catalog, labels={"exclude": ["dog", "pug"]}).classes == ("cat",)


def test_classes_are_numbered_as_asked_for(tmp_path: Path) -> None:
    names = {"train/dog/1.jpg": "dog", "train/cat/1.jpg": "cat", "train/pug/1.jpg": "pug"}
    by_source = catalog_of(names, order=("pug", "cat", "dog"))
    assert applied(by_source).order == ("pug", "cat", "dog")
    renamed = applied(by_source, labels={"rename": {"cat": "dog"}})
    assert renamed.order == ("pug", "dog")
    assert applied(by_source, labels={"order": "name"}).order is None
    assert applied(catalog_of(names), labels={"order": "file"}).order == ("dog", "cat", "pug")
    file = tmp_path / "classes.txt"
    file.write_text("emu\npug\ndog\ncat\n")
    found = applied(by_source, labels={"order": str(file)})
    assert found.order == ("emu", "pug", "dog", "cat")
    file.write_text("pug\n")
    with pytest.raises(ConfigError, match=r"labels.order: .* lacks 2 classes .* 'cat', 'dog'"):
        applied(by_source, labels={"order": str(file)})


def test_classes_may_take_each_others_names(tmp_path: Path) -> None:
    texts = {"cat": "house cat", "dog": "a dog", "pug": "a pug"}
    catalog = catalog_of(ANIMALS, class_names=texts, order=("pug", "dog", "cat"))
    rename = {"pug": "dog", "dog": "cat", "cat": "emu"}
    found = applied(catalog, labels={"rename": rename})
    assert [*labels_of(found).values()] == ["cat", "dog", "emu", "emu", "cat"]
    assert found.class_names == {"dog": "a pug", "cat": "a dog", "emu": "house cat"}
    assert found.order == ("dog", "cat", "emu")
    file = tmp_path / "classes.txt"
    file.write_text("emu\ndog\ncat\n")
    found = applied(catalog, labels={"rename": rename, "order": str(file)})
    assert found.order == ("emu", "dog", "cat")
    found = applied(catalog, labels={"rename": rename, "exclude": ["emu"]})
    assert (found.classes, found.order) == (("cat", "dog"), ("dog", "cat"))


@pytest.mark.parametrize(
    "text",
    [
        "cat\thouse cat, tabby\nn9\tother\n",  # words.txt
        "cat house cat, tabby\ndog a dog\n",  # LOC_synset_mapping.txt
        'cat,"house cat, tabby"\n',  # CSV
        '{"cat": "house cat, tabby"}',
        '{"0": ["cat", "house cat, tabby"]}',  # imagenet_class_index.json
    ],
)
def test_names_for_people_are_read_from_files_of_all_kinds(tmp_path: Path, text: str) -> None:
    file = tmp_path / "words"
    file.write_text(text)
    found = applied(catalog_of(ANIMALS), labels={"names": str(file)})
    assert found.class_names["cat"] == "house cat, tabby"
    assert {*found.class_names} <= {"cat", "dog"}
    file.write_text("emu\tbird\n")
    with pytest.raises(ConfigError, match="a name for none of the 3 classes"):
        applied(catalog_of(ANIMALS), labels={"names": str(file)})


def test_an_image_with_two_labels_or_in_two_splits_is_refused_and_a_repeated_one_counted() -> None:
    rows: list[tuple[str, str | None]] = [("train/1.jpg", "cat"), ("train/2.jpg", "dog")]
    twice = applied(rows_of([*rows, rows[0]], files={}))
    assert labels_of(twice) == dict(rows)
    assert passed(twice) == {"image that the source has already": (1, "train/1.jpg")}
    with pytest.raises(SourceError, match=r"1 image with two labels: 'train/1.jpg' \('cat', 'dog'"):
        applied(rows_of([*rows, ("train/1.jpg", "dog")], files={}))
    same = {"train/1.jpg": "/data/1.jpg", "val/1.jpg": "/data/1.jpg"}
    with pytest.raises(SourceError, match=r"1 image in two splits: 'train/1.jpg' \('train', 'val'"):
        applied(rows_of([*rows, ("val/1.jpg", "cat")], files=same))
    # Two members of an archive may share their bytes.
    linked = applied(rows_of([*rows, ("val/1.jpg", "cat")], files=same, offset=512))
    assert len(labels_of(linked)) == 3


CLASS_NAMES = {
    "n01440764": "tench, Tinca tinca",
    "n02012849": "crane",
    "n02113186": "Cardigan, Cardigan Welsh corgi",
    "n02963159": "cardigan",
    "n03126707": "crane",
    "n03710637": "maillot",
    "n03710721": "maillot, tank suit",
    "n03773504": "missile",
    "n04008634": "projectile, missile",
}


@pytest.mark.parametrize(
    ("name", "wnid"),
    [
        ("n01440764", "n01440764"),
        ("tench", "n01440764"),
        ("Tinca_tinca", "n01440764"),
        ("TENCH", "n01440764"),
        ("Cardigan", "n02113186"),
        ("cardigan", "n02963159"),
        ("Cardigan_Welsh_corgi", "n02113186"),
        ("missile", "n03773504"),
        ("tank suit", "n03710721"),
        ("maillot, tank suit", "n03710721"),
        ("unicorn", "unicorn"),
    ],
)
def test_a_label_map_may_call_classes_by_their_names_for_people(name: str, wnid: str) -> None:
    labels = LabelMap.parse({name: [0, 1], "other": [1, 0]})
    found = resolve_label_map(labels, [*CLASS_NAMES], CLASS_NAMES)
    assert found.to_json() == {wnid: [0, 1], "other": [1, 0]}


@pytest.mark.parametrize(
    ("name", "classes"),
    [
        ("crane", "'n02012849', 'n03126707'"),
        ("maillot", "'n03710637', 'n03710721'"),
        ("CARDIGAN", "'n02113186', 'n02963159'"),
    ],
)
def test_a_name_of_two_classes_in_a_label_map_is_an_error_that_rename_settles(
    name: str, classes: str
) -> None:
    labels, wnid = LabelMap.parse({name: 3}), classes[1:10]
    with pytest.raises(LabelError) as raised:
        resolve_label_map(labels, [*CLASS_NAMES], CLASS_NAMES)
    assert f"{name!r} is the name of several classes, {classes};" in str(raised.value)
    assert f"labels.rename: {{{wnid}: {name}}}, " in str(raised.value)
    renamed = [name, *(each for each in CLASS_NAMES if each != wnid)]
    texts = {name: CLASS_NAMES[wnid], **CLASS_NAMES}
    assert resolve_label_map(labels, renamed, texts).numbers == {name: 3}
    one_left = [each for each in CLASS_NAMES if each not in classes or each == wnid]
    assert resolve_label_map(labels, one_left, CLASS_NAMES).numbers == {wnid: 3}


def test_two_names_of_one_class_in_a_label_map_are_an_error() -> None:
    with pytest.raises(LabelError, match="'tench' and 'Tinca tinca' are both the class 'n01440764"):
        resolve_label_map(
            LabelMap.parse({"tench": 0, "Tinca tinca": 1}), [*CLASS_NAMES], CLASS_NAMES
        )


def test_a_given_order_wins_over_a_map_in_the_source_and_contradicts_one_that_is_given(
    tmp_path: Path,
) -> None:
    source = write_tree(tmp_path / "photos", {"train": {"cat": 1, "dog": 1}})
    (source / "label_map.json").write_text('{"cat": 7, "dog": 8}')
    order = tmp_path / "order.txt"
    order.write_text("dog\ncat\n")
    values: dict[str, Any] = {"source": str(source), "output": str(tmp_path / "out")}
    assert prep.plan(values).labels.numbers == {"cat": 7, "dog": 8}
    values["labels"] = {"order": str(order)}
    assert prep.plan(values).labels.numbers == {"dog": 0, "cat": 1}
    with pytest.raises(ConfigError, match=r"labels.order: got .* label_map numbers the classes"):
        prep.plan(values | {"label_map": {"cat": 0, "dog": 1}})


@pytest.mark.parametrize("keys", [{"exclude": "URL"}, {"labels": {"names": "URL"}}])
def test_credentials_in_the_url_of_a_file_are_refused_and_not_shown(keys: dict[str, Any]) -> None:
    text = str(keys).replace("URL", "s3://me:hidden@bucket/names.txt")
    with pytest.raises(ConfigError, match="got a URL with credentials in it") as error:
        prep.Config(source="/data", output="/out", **ast.literal_eval(text))
    assert "hidden" not in str(error.value)


def test_the_keys_on_the_page_about_labels_are_known() -> None:
    page = (Path(__file__).parents[2] / "docs/labels.md").read_text()
    found = re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert len(found) == 4
    for text in found:
        prep.Config(**parse_yaml(text))


def test_the_table_of_origins_on_the_page_about_labels_is_true() -> None:
    page = (Path(__file__).parents[2] / "docs/labels.md").read_text()
    rows = re.findall(r"^\| `(?P<origin>[^`]+)` \| `(?P<label>[^`]+)`", page, re.MULTILINE)
    assert len(rows) == 4
    catalog = catalog_of({"train/animals/cats/tabby/1.jpg": "animals"})
    for origin, label in rows:
        found = applied(catalog, labels={"from": origin.strip("'")})
        assert found.classes == (label,)
