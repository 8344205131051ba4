"""Labels of every target, as readers, tables and exports of an output give them."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import prep
from prep.cli.main import main
from prep.errors import UsageError
from prep.operations.outlook import plan
from tests.support.outputs import prepare
from tests.support.pictures import jpeg, picture

NAMES = ["cat", "dog", "eel"]
# By target: labels of six images in a list in Python, and what a reader makes of them.
LABELS: dict[str, tuple[list[Any], list[Any], type]] = {
    "multi": (
        [["cat", "eel"], ["dog"], [], ["cat"], ["eel", "dog", "cat"], ["dog"]],
        [[1, 0, 1], [0, 1, 0], [0, 0, 0], [1, 0, 0], [1, 1, 1], [0, 1, 0]],
        np.int64,
    ),
    "value": ([0.1, 2, -3.5, 0, 7, 1e9], [0.1, 2, -3.5, 0, 7, 1e9], np.float32),
    "soft": (
        [[0.1, 0.2, 0.7], [1, 0, 0], [0, 1, 0], [0.5, 0.5, 0], [0, 0.4, 0.6], [0, 0, 1]],
        [[0.1, 0.2, 0.7], [1, 0, 0], [0, 1, 0], [0.5, 0.5, 0], [0, 0.4, 0.6], [0, 0, 1]],
        np.float32,
    ),
}


@pytest.fixture(scope="module")
def photos() -> list[bytes]:
    return [jpeg(picture(12, 12, number)) for number in range(6)]


@pytest.fixture(params=LABELS)
def target(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def output(target: str, photos: list[bytes], tmp_path: Path) -> Path:
    """An output of two shards; the images are lossless, so that each can be told by its pixels."""
    items = [*zip(photos, LABELS[target][0], strict=True)]
    keys: dict[str, Any] = {"size": 12, "images_per_shard": 4, "encoding": "png"}
    if target != "value":
        keys["label_map"] = {name: n for n, name in enumerate(NAMES)}
    config = prep.Config(source=items, output=str(tmp_path / "out"), target=target, **keys)
    prepare(config)
    return tmp_path / "out"


def expected(target: str, output: Path) -> np.ndarray:
    """Return the labels of the records, in their order, which names in the table tell."""
    table = pq.read_table(output / "images.parquet").sort_by("row")
    numbers = [int(name[:6]) for name in table["name"].to_pylist()]
    return np.array(LABELS[target][1], LABELS[target][2])[numbers]


def test_prep_open_gives_labels_one_by_one_and_all_at_once(target: str, output: Path) -> None:
    images = prep.open(output)
    wanted = expected(target, output)
    assert images.labels.dtype == wanted.dtype == np.asarray(images[0][1]).dtype
    np.testing.assert_array_equal(images.labels, wanted)
    np.testing.assert_array_equal([label for _, label in images], wanted)
    np.testing.assert_array_equal(images.subset(ids=[4, 0]).labels, wanted[[4, 0]])
    assert images.label_shape == wanted.shape[1:]
    assert dict(images.classes) == ({} if target == "value" else dict(enumerate(NAMES)))


def test_images_of_a_class_are_those_that_have_it_among_others(
    photos: list[bytes], tmp_path: Path
) -> None:
    items = [*zip(photos, LABELS["multi"][0], strict=True)]
    prepare(prep.Config(source=items, output=str(tmp_path), target="multi", size=12))
    images = prep.open(tmp_path)
    of_cats = images.subset(classes=["cat"])
    assert len(of_cats) == 3
    assert (of_cats.labels[:, 0] == 1).all()
    assert len(images.subset(classes=[2])) == 2


@pytest.mark.slow
def test_torch_gives_the_same_labels(target: str, output: Path) -> None:
    data = pytest.importorskip("torch.utils.data")
    (labels,) = [labels for _, labels in data.DataLoader(prep.torch.dataset(output), batch_size=6)]
    wanted = expected(target, output)
    assert labels.numpy().dtype == wanted.dtype
    np.testing.assert_array_equal(labels.numpy(), wanted)
    if target == "value":
        with pytest.raises(UsageError, match="expected labels that are classes, found values"):
            prep.torch.dataset(output, one_hot=True)
    else:
        (vector,) = [label for _, label in prep.torch.dataset(output, one_hot=True).subset(ids=[1])]
        np.testing.assert_array_equal(vector.numpy(), wanted[1].astype(np.float32))


def test_prep_load_gives_the_same_labels(target: str, output: Path) -> None:
    wanted = expected(target, output)
    found = [label.numpy() for _, label in prep.load(output)]
    np.testing.assert_array_equal(np.stack(found), wanted)
    assert found[0].dtype == wanted.dtype
    shuffled = [label.numpy() for _, label in prep.load(output, shuffle=True, seed=3)]
    assert sorted(map(str, shuffled)) == sorted(map(str, wanted))


def test_the_table_of_images_has_labels_in_their_own_type(target: str, output: Path) -> None:
    table = pq.read_table(output / "images.parquet").sort_by("row")
    found = table["label"].to_pylist()
    wanted = expected(target, output).tolist()
    if target == "multi":
        wanted = [np.flatnonzero(row).tolist() for row in wanted]
    assert found == wanted


@pytest.mark.parametrize("to", ["webdataset", "parquet"])
def test_labels_are_exported(target: str, output: Path, tmp_path: Path, to: str) -> None:
    prep.export(output, tmp_path / "there", to=to)
    if to == "webdataset":
        prep_labels = _json_of(tmp_path / "there")
    else:
        files = sorted((tmp_path / "there").rglob("*.parquet"))
        prep_labels = [label for f in files for label in pq.read_table(f)["label"].to_pylist()]
    wanted = expected(target, output).tolist()
    if target == "multi":
        wanted = [np.flatnonzero(row).tolist() for row in wanted]
    assert sorted(map(str, prep_labels)) == sorted(map(str, wanted))


def _json_of(folder: Path) -> list[Any]:
    import tarfile

    found = []
    for path in sorted(folder.rglob("*.tar")):
        with tarfile.open(path) as tar:
            for name in tar.getnames():
                if name.endswith(".json"):
                    member = tar.extractfile(name)
                    assert member is not None
                    found.append(json.load(member)["label"])
    return found


def test_records_are_shown_with_their_labels(target: str, output: Path) -> None:
    told = [
        CliRunner().invoke(main, ["show", str(output), str(n)], catch_exceptions=False).output
        for n in range(6)
    ]
    lines = {line for text in told for line in text.splitlines()}
    some = {
        "multi": {"label    0, 2", "label    none", "classes  cat|eel", "classes  none"},
        "value": {"label    0.1", "label    1e+09"},
        "soft": {"label      0.1, 0.2, 0.7", "likeliest  eel"},
    }[target]
    assert some <= lines
    assert not any(line.startswith("class ") for line in lines)


def test_a_list_of_splits_keeps_the_labels(
    target: str, photos: list[bytes], tmp_path: Path
) -> None:
    for number, photo in enumerate(photos):
        (tmp_path / f"{number}.jpg").write_bytes(photo)
    rows = [{"path": f"{n}.jpg", "label": label} for n, label in enumerate(LABELS[target][0])]
    source = tmp_path / "all.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    keys: dict[str, Any] = {"target": target, "split": {"val": 2}}
    if target == "multi":
        keys["unlabelled"] = "keep"
    found = prep.save_splits({"source": str(source), **keys}, tmp_path / "split.csv")
    assert len(list(csv.reader((tmp_path / "split.csv").open()))) == 7
    again = plan(prep.Config(**found, output="/nowhere/out"))
    first = plan(prep.Config(source=str(source), output="/nowhere/out", **keys))
    assert again.labels == first.labels
    assert dict(again.splits) == dict(first.splits) == {"train": 4, "val": 2}
    names = ["class", *(["target"] if target != "multi" else [])]
    assert again.manifest.select(names).equals(first.manifest.select(names))
