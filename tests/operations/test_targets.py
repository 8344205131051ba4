"""Outputs whose labels say something else than one class, from the source to the reader."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import prep
from prep.errors import ConfigError, LabelError
from prep.operations.outlook import plan
from prep.output.journal import Journal
from prep.shards.formats.base import Record, format_of_file
from tests.support.outputs import placed_here
from tests.support.pictures import jpeg, picture
from tests.support.serial import problems_in, run_here

COUNT = 12
CLASSES = ["cat", "dog", "eel"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A target, and the labels of the first images: in a list, and as a reader has them."""

    target: str
    labels: list[Any]
    arrays: list[Any]
    other: Any

    def of(self, number: int) -> Any:
        return self.labels[number % len(self.labels)]

    def array(self, number: int) -> Any:
        return self.arrays[number % len(self.arrays)]


CASES = {
    "multi": Case(
        target="multi",
        labels=[["cat", "dog"], ["eel"], [], ["dog", "cat", "eel"]],
        arrays=[[1, 1, 0], [0, 0, 1], [0, 0, 0], [1, 1, 1]],
        other=["dog", "eel"],
    ),
    "value": Case(target="value", labels=[0.1, -3, 1e20], arrays=[0.1, -3.0, 1e20], other=0.25),
    "soft": Case(
        target="soft",
        labels=[[0.1, 0.2, 0.7], [1, 0, 0], [0.5, 0.5, 0]],
        arrays=[[0.1, 0.2, 0.7], [1, 0, 0], [0.5, 0.5, 0]],
        other=[0.3, 0.3, 0.4],
    ),
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


@pytest.fixture(autouse=True)
def _without_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prep.operations.publish._update_page", lambda *_: None)
    monkeypatch.setattr("prep.operations.growth.merge.placed", placed_here)


def write_source(home: Path, labels: dict[int, Any], name: str = "in") -> Path:
    """Write images and a list of their labels, each image with a shade of its own."""
    folder = home / name
    folder.mkdir(parents=True, exist_ok=True)
    for number in labels:
        image = folder / f"{number:02d}.jpg"
        if not image.exists():
            image.write_bytes(jpeg(picture(20, 20, number)))
    rows = [{"path": f"{n:02d}.jpg", "label": label} for n, label in labels.items()]
    path = folder / "list.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def config(case: Case, source: Path, output: Path, **keys: Any) -> prep.Config:
    values: dict[str, Any] = {"size": 16, "images_per_shard": 5, "target": case.target, **keys}
    if case.target != "value":
        values.setdefault("label_map", {name: n for n, name in enumerate(CLASSES)})
    if case.target == "multi":
        values["unlabelled"] = "keep"
    return prep.Config(source=str(source), output=str(output), **values)


def prepared(home: Path, case: Case, **keys: Any) -> Path:
    source = write_source(home, {n: case.of(n) for n in range(COUNT)})
    run_here(config(case, source, home / "out", **keys))
    return home / "out"


def records(output: Path) -> dict[str, Record]:
    """Return each record of an output, by the end of its image's name."""
    journal = Journal(str(output))
    stored = journal.stored_plan()
    assert stored is not None
    found = {}
    for shard in stored.shards:
        path = journal.layout.shard(shard)
        format = format_of_file(path.name)
        with path.open_regular() as file:
            each = [format.parse(record) for record in format.records(file)]
        entries = [*journal.entries(stored, shard)]
        found |= {e.name[-6:-4]: r for e, r in zip(entries, each, strict=True)}
    return found


def labels(output: Path) -> dict[str, Any]:
    """Return the label of each image as readers give it."""
    stored = Journal(str(output)).stored_plan()
    assert stored is not None
    form = stored.label_form
    found = {name: form.array(record.label) for name, record in records(output).items()}
    assert all(a.shape == form.shape and a.dtype == form.dtype for a in found.values())
    return {name: array.tolist() for name, array in sorted(found.items())}


def expected(case: Case, numbers: range = range(COUNT)) -> dict[str, Any]:
    kind = np.int64 if case.target == "multi" else np.float32
    return {f"{n:02d}": np.array(case.array(n), kind).tolist() for n in numbers}


@pytest.mark.parametrize("format", ["tfrecord", "webdataset"])
def test_labels_arrive_in_records_and_verify(case: Case, format: str, tmp_path: Path) -> None:
    output = prepared(tmp_path, case, format=format)
    assert labels(output) == expected(case)
    assert problems_in(output) == ()
    again = config(case, tmp_path / "in/list.jsonl", output, format=format)
    assert run_here(again).resumed_shards == 3
    # A plan of it, made anew of the source, is the same.
    assert plan(again).fingerprint == Journal(str(output)).stored_plan().fingerprint


def test_tensorflow_reads_the_same_labels(case: Case, tmp_path: Path) -> None:
    import tensorflow as tf

    output = prepared(tmp_path, case, encoding="png")
    found = []
    for path in sorted(output.glob("*/*.tfrecord")):
        for record in tf.data.TFRecordDataset(str(path)):
            feature = tf.train.Example.FromString(record.numpy()).features.feature["label"]
            kind = feature.WhichOneof("kind")
            assert kind == ("int64_list" if case.target == "multi" else "float_list")
            found.append(tuple(getattr(feature, kind).value))
    assert found == [record.label for record in records(output).values()]


@pytest.mark.parametrize("format", ["tfrecord", "webdataset"])
def test_outputs_are_read_as_sources(case: Case, format: str, tmp_path: Path) -> None:
    output = prepared(tmp_path, case, format=format)
    keys = {} if format == "tfrecord" else {"columns": {"label": "json.label"}}
    run_here(config(case, output, tmp_path / "again", layout=format, **keys))
    by_picture = {record.image[-40:]: record.label for record in records(output).values()}
    journal = Journal(str(tmp_path / "again"))
    stored = journal.stored_plan()
    given = [e.name for shard in stored.shards for e in journal.entries(stored, shard)]
    assert len(given) == COUNT
    found = sorted(record.label for record in records_in_order(tmp_path / "again"))
    assert found == sorted(by_picture.values())


def records_in_order(output: Path) -> list[Record]:
    found = []
    for path in sorted(output.glob("train/train-*")):
        format = format_of_file(path.name)
        with path.open("rb") as file:
            found += [format.parse(record) for record in format.records(file)]
    return found


def test_a_changed_label_is_found_in_a_record(case: Case, tmp_path: Path) -> None:
    output = prepared(tmp_path, case)
    other = prepared(tmp_path / "other", Case(**{**_fields(case), "labels": [case.other]}))
    shard = "train/train-00000-of-00003.tfrecord"
    shutil.copyfile(other / shard, output / shard)
    told = "\n".join(str(problem) for problem in problems_in(output))
    assert "to have label [" in told


def _fields(case: Case) -> dict[str, Any]:
    return {name: getattr(case, name) for name in ("target", "labels", "arrays", "other")}


def test_images_are_appended_and_outputs_merged(case: Case, tmp_path: Path) -> None:
    output = prepared(tmp_path, case)
    more = range(COUNT + 5)
    source = write_source(tmp_path, {n: case.of(n) for n in more})
    run_here(config(case, source, output), "append")
    assert labels(output) == expected(case, more)
    assert problems_in(output) == ()
    rest = range(COUNT + 5, COUNT + 9)
    second = write_source(tmp_path, {n: case.of(n) for n in rest}, "more")
    run_here(config(case, second, tmp_path / "second"))
    prep.merge([output, tmp_path / "second"], tmp_path / "whole")
    assert labels(tmp_path / "whole") == expected(case, range(COUNT + 9))
    assert problems_in(tmp_path / "whole") == ()


def test_a_label_that_the_source_changes_is_outdated(case: Case, tmp_path: Path) -> None:
    output = prepared(tmp_path, case)
    changed = {n: case.other if n == 3 else case.of(n) for n in range(COUNT)}
    again = config(case, write_source(tmp_path, changed), output)
    (image,) = plan(again, append=True).outdated
    assert (image.path, image.difference) == ("03.jpg", "relabelled")


def test_splits_and_subsets_are_made_of_any_labels(case: Case, tmp_path: Path) -> None:
    source = write_source(tmp_path, {n: case.of(n) for n in range(COUNT)})
    keys = {"split": {"val": 4}, "subset": {"fraction": 0.5}}
    found = plan(config(case, source, tmp_path / "out", **keys))
    assert 0 < found.splits["val"] <= found.splits["train"] <= 8
    run_here(found.config)
    wanted = expected(case)
    assert all(wanted[name] == label for name, label in labels(tmp_path / "out").items())


def test_outputs_with_other_targets_or_classes_are_not_merged(tmp_path: Path) -> None:
    soft = prepared(tmp_path, CASES["soft"])
    wide = Case(target="soft", labels=[[0, 0, 0, 1]], arrays=[[0, 0, 0, 1]], other=[1, 0, 0, 0])
    names = {name: n for n, name in enumerate([*CLASSES, "fox"])}
    other = prepared(tmp_path / "wide", wide, label_map=names)
    with pytest.raises(LabelError, match="lists of 3 numbers"):
        prep.merge([soft, other], tmp_path / "whole")
    value = prepared(tmp_path / "value", CASES["value"])
    with pytest.raises(ConfigError, match="target: soft in"):
        prep.merge([soft, value], tmp_path / "whole")


@pytest.mark.parametrize("format", ["tfrecord", "webdataset"])
def test_load_gives_the_same_labels_in_any_order(case: Case, format: str, tmp_path: Path) -> None:
    output = prepared(tmp_path, case, format=format)
    wanted = [label for _, label in prep.open(output)]
    form = Journal(str(output)).stored_plan().label_form
    for how, order in ({}, range(COUNT)), ({"shuffle": True}, prep.Order(COUNT, epochs=1)):
        dataset = prep.load(output, **how)
        assert dataset.element_spec[1].shape == form.shape
        found = [label for _, label in dataset.as_numpy_iterator()]
        assert found[0].dtype == form.dtype
        assert np.array_equal(found, [wanted[number] for number in order])
