"""Images without a label, and names for people, from the source to whoever reads the output."""

from __future__ import annotations

import json
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from click.testing import CliRunner
from distributed import Client

import prep
from prep.cli.main import main
from prep.display.objects import html_of
from prep.display.page.facts import read_facts
from prep.display.page.page import make_page
from prep.errors import LabelError
from prep.operations.tools.lookup import find_record
from prep.output.journal import Journal
from prep.planning.stored_plan import plan_from_json
from tests.support.pictures import write_tree

TREE = {"test": {"unknown": 3}, "train": {"cat": 3, "dog": 2}}
LABELS = {"from": "train/(?P<label>cat|dog)"}
NAMES = "cat\thouse cat, tabby\ndog\tDog of any kind\n"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_tree(tmp_path_factory.mktemp("unlabelled") / "source", TREE)
    (root.parent / "words.txt").write_text(NAMES)
    return root


def config(source: Path, output: Path, **more: Any) -> prep.Config:
    labels = LABELS | {"names": str(source.parent / "words.txt")}
    values = {"labels": labels, "unlabelled": "keep", "size": 24, "images_per_shard": 2, **more}
    return prep.Config(source=str(source), output=str(output), **values)


@pytest.fixture(scope="module")
def output(source: Path, tmp_path_factory: pytest.TempPathFactory, client: Client) -> Path:
    output = tmp_path_factory.mktemp("unlabelled") / "out"
    prep.run(config(source, output), client)
    return output


def labels_of(output: Path, split: str) -> Counter[int]:
    """Return how often each label is in a split, as TensorFlow reads it."""
    files = [str(path) for path in sorted(output.glob(f"{split}/*.tfrecord"))]
    examples = map(tf.train.Example.FromString, tf.data.TFRecordDataset(files).as_numpy_iterator())
    return Counter(example.features.feature["label"].int64_list.value[0] for example in examples)


def test_tensorflow_reads_the_label_minus_one(output: Path) -> None:
    assert labels_of(output, "test") == {-1: 3}
    assert labels_of(output, "train") == {0: 3, 1: 2}
    assert Counter(int(label) for _, label in prep.load(output, "test")) == {-1: 3}
    assert json.loads((output / "label_map.json").read_text()) == {"cat": 0, "dog": 1}


def test_receipts_and_the_report_count_images_without_a_label(output: Path) -> None:
    report = prep.RunReport.read(output)
    assert report.classes == {"test": {"": 3}, "train": {"cat": 3, "dog": 2}}
    assert report.class_names == {"cat": "house cat, tabby", "dog": "Dog of any kind"}
    assert report.duplicates["conflicts"] == 0
    receipts = map(json.loads, map(Path.read_text, output.glob(".prep/receipts/test/*.json")))
    assert sum((Counter(receipt["written"]) for receipt in receipts), Counter()) == {"": 3}


def test_it_is_verified_and_what_is_damaged_is_named_and_repaired(
    source: Path, tmp_path: Path, client: Client
) -> None:
    output = tmp_path / "out"
    prep.run(config(source, output), client)
    before = (shard := output / "test/test-00000-of-00002.tfrecord").read_bytes()
    assert not prep.verify(output, client).problems
    shard.write_bytes(before[:-40])
    (output / ".prep/manifest.parquet").unlink()
    assert prep.verify(output, client, repair=True).repaired
    assert shard.read_bytes() == before
    again = prep.run(config(source, output), client)
    assert again.was_complete


def test_another_label_in_a_record_is_told_apart_from_none(output: Path) -> None:
    found = find_record(str(output / "test"), 0)
    assert (found.label, found.classes) == ((-1,), ("no label",))
    found = find_record(str(output / "train"), 0)
    assert found.classes in {("cat (house cat, tabby)",), ("dog (Dog of any kind)",)}


def test_a_tar_has_it_in_cls_and_json(source: Path, tmp_path: Path, client: Client) -> None:
    output = tmp_path / "out"
    prep.run(config(source, output, format="webdataset"), client)
    with tarfile.open(output / "test/test-00000-of-00002.tar") as shard:
        members = {m.name.partition(".")[2]: shard.extractfile(m) for m in shard}
        parts = {kind: file.read() for kind, file in members.items() if file}
    assert parts["cls"] == b"-1"
    assert json.loads(parts["json"])["label"] == -1
    assert not prep.verify(output, client).problems
    assert Counter(int(label) for _, label in prep.load(output, "test")) == {-1: 3}


def test_people_are_shown_names_for_people_and_no_label(source: Path, output: Path) -> None:
    plan = prep.plan(config(source, output))
    assert plan.title == "8 images of 2 classes"
    told = CliRunner().invoke(main, ["show", str(output / "test")], catch_exceptions=False)
    assert "class    no label" in told.output
    journal = Journal(str(output))
    stored = journal.stored_plan()
    assert stored is not None
    page = make_page(journal, read_facts(journal, stored)).decode()
    for text in (html_of(plan), html_of(prep.RunReport.read(output)), page):
        assert "cat (house cat, tabby)" in text
        assert "no label" in text


def test_images_without_a_label_alone_are_an_output(
    source: Path, tmp_path: Path, client: Client
) -> None:
    output = tmp_path / "out"
    report = prep.run(config(source, output, splits=["test"], labels=LABELS), client)
    assert report.images["written"] == 3
    assert labels_of(output, "test") == {-1: 3}
    assert json.loads((output / "label_map.json").read_text()) == {}
    assert not prep.verify(output, client).problems
    assert prep.run(config(source, output, splits=["test"], labels=LABELS), client).was_complete


def test_a_plan_of_images_without_a_label_is_read_with_a_map_or_without(
    source: Path, tmp_path: Path
) -> None:
    for keys in ({}, {"label_map": {"cat": 0, "dog": 1}}):
        plan = prep.plan(config(source, tmp_path / "out", splits=["test"], labels=LABELS, **keys))
        assert plan.classes == ("",)
        stored = plan_from_json(json.loads(json.dumps(plan.to_json())))
        assert (stored.labels, stored.classes) == (plan.labels, plan.classes)


def test_one_hot_lists_have_none_for_no_label(source: Path, tmp_path: Path) -> None:
    one_hot = {"cat": [1, 0], "dog": [0, 1]}
    with pytest.raises(LabelError, match="unlabelled: got keep, and the label map has one-hot"):
        prep.plan(config(source, tmp_path / "out", label_map=one_hot))
    skipped = prep.plan(config(source, tmp_path / "out", label_map=one_hot, unlabelled="skip"))
    assert skipped.images == 5
    assert "3 × image without a label, such as 'test/unknown/" in repr(skipped)


def test_a_class_with_the_number_of_no_label_is_a_doubt(source: Path, tmp_path: Path) -> None:
    plan = prep.plan(config(source, tmp_path / "out", label_map={"cat": -1, "dog": 0}))
    assert "images without a label have the number -1, as has 'cat'" in repr(plan)
