"""The files by which TensorFlow Datasets opens outputs; ``test_readers_tfds`` opens some."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import prep
from prep.output.index.tfds_files import label_names, tfds_files, tfds_obstacle
from prep.output.report.report import RunReport
from prep.planning.plan import RunPlan
from prep.sources.labels import LabelMap
from tests.support.outputs import prepare
from tests.support.pictures import write_tree

TREE = {"train": {"cat": 3, "dog": 2}, "val": {"dog": 2}}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tree(tmp_path_factory.mktemp("tfds") / "source", TREE)


def planned(source: Path, **more: Any) -> RunPlan:
    output = source.parent / "out"
    return prep.plan(prep.Config(source=str(source), output=str(output), size=24, **more))


def features(plan: RunPlan) -> dict[str, Any]:
    value = json.loads(tfds_files(plan, [])["features.json"])
    found: dict[str, Any] = value["featuresDict"]["features"]
    return found


def test_each_shard_is_listed_with_its_number_of_records(source: Path, tmp_path: Path) -> None:
    (source / "train/cat/broken.jpg").write_bytes(b"no image")
    config = prep.Config(
        source=str(source), output=str(tmp_path / "out"), size=24, images_per_shard=2
    )
    journal = prepare(config)
    (source / "train/cat/broken.jpg").unlink()
    plan = journal.whole_plan(journal.stored_plan())
    receipts = journal.receipts.committed(plan.shards, plan.fingerprint.digest)
    files = tfds_files(plan, reversed(receipts))
    assert [*files] == ["features.json", "label.labels.txt", "dataset_info.json"]
    assert files["label.labels.txt"] == b"cat\ndog\n"
    train, val = json.loads(files["dataset_info.json"])["splits"]
    written = [receipt.images for receipt in receipts if receipt.split == "train"]
    assert train["shardLengths"] == [*map(str, written)]
    assert sorted(written) == [1, 2, 2]  # One of six was refused.
    assert val["shardLengths"] == ["2"]
    size = sum(path.stat().st_size for path in (tmp_path / "out/train").iterdir())
    assert train["numBytes"] == str(size)


def test_there_are_none_of_so_many_shards_that_tfds_would_look_for_other_names(
    source: Path,
) -> None:
    plan = planned(source)
    shards = 100_000 * [SimpleNamespace(split="train", index=0, images=1, bytes=9)]
    assert tfds_files(plan, shards) == {}
    assert "dataset_info.json" in tfds_files(plan, shards[:-1])


def image(*shape: int, encoding: str) -> dict[str, Any]:
    content = {"dtype": "uint8", "encodingFormat": encoding, "shape": dimensions(*shape)}
    return {
        "pythonClassName": "tensorflow_datasets.core.features.image_feature.Image",
        "image": content,
    }


def tensor(*shape: int, dtype: str, encoding: str = "none") -> dict[str, Any]:
    content = {"dtype": dtype, "encoding": encoding, "shape": dimensions(*shape)}
    return {
        "pythonClassName": "tensorflow_datasets.core.features.tensor_feature.Tensor",
        "tensor": content,
    }


def dimensions(*shape: int) -> dict[str, list[str]]:
    return {"dimensions": [*map(str, shape)]}


@pytest.mark.parametrize(
    ("settings", "feature"),
    [
        ({}, image(24, 24, 3, encoding="jpeg")),
        (  # images of different sizes, and of one channel
            {"encoding": "png", "fit": "shorter", "mode": "gray"},
            image(-1, -1, 1, encoding="png"),
        ),
        ({"encoding": "raw"}, tensor(24, 24, 3, dtype="uint8", encoding="bytes")),
        ({"encoding": "webp"}, tensor(dtype="object")),  # TFDS can't decode it: bytes
    ],
    ids=["jpeg", "png", "raw", "webp"],
)
def test_images_are_described_as_they_are_stored(
    settings: dict[str, Any], feature: dict[str, Any], source: Path
) -> None:
    assert features(planned(source, **settings))["image_raw"] == feature


def test_one_hot_lists_and_numbers_that_are_no_classes_are_tensors(source: Path) -> None:
    one_hot = planned(source, label_map={"cat": [0, 0, 1], "dog": [1, 0, 0]})
    assert features(one_hot)["label"] == tensor(3, dtype="int64")
    negative = planned(source, label_map={"cat": -7, "dog": 10**12})
    assert features(negative)["label"] == tensor(dtype="int64")
    assert "label.labels.txt" not in tfds_files(negative, [])


@pytest.mark.parametrize(
    ("numbers", "names"),
    [
        ({"dog": 1, "cat": 0}, ("cat", "dog")),
        ({"cat": 1, "dog": 3}, ("unused 0", "cat", "unused 2", "dog")),  # gaps
        ({"unused 0": 1}, ("unused 0 (0)", "unused 0")),  # a class called like a gap
        ({"cat": 0, "wolf": 0}, ("cat, wolf",)),  # a number that classes share
        ({"a\nb": 0, "a\\nb": 1}, ("a\\nb", "a\\nb (1)")),  # a name is one line
        ({"cat": 0, "cat\u2028": 1, " cat ": 2}, ("cat", "cat\\u2028", "cat (2)")),
        ({" ": 0, "été": 1}, ("' '", "été")),
        ({"\udce9": 0}, ("\\udce9",)),  # a folder whose name is no text
        ({}, None),  # no image has a label
        ({"cat": 1 << 40}, None),
    ],
)
def test_each_number_has_a_name_of_its_own(
    numbers: dict[str, int], names: tuple[str, ...] | None
) -> None:
    assert label_names(LabelMap(numbers=numbers)) == names


def test_there_are_none_where_tfds_can_not_read_the_shards_and_the_run_says_why(
    source: Path, tmp_path: Path
) -> None:
    config = prep.Config(
        source=str(source), output=str(tmp_path / "zipped"), size=24, compression="GZIP"
    )
    prepare(config)
    assert not [*tmp_path.glob("zipped/*.txt"), *tmp_path.glob("zipped/*features*")]
    report = RunReport.read(str(tmp_path / "zipped"))
    told = [text for _, text in report.rows() if "TFDS" in text]
    assert told == [
        "no indexes and no files for TFDS: shards compressed with GZIP can only be read from "
        "their beginning"
    ]
    assert tfds_files(planned(source, format="webdataset"), []) == {}
    odd = planned(write_tree(tmp_path / "odd", {"_": {"cat": 1}}), layout="splits")
    assert tfds_files(odd, []) == {}
    assert "no split called '_'" in tfds_obstacle("tfrecord", None, odd.splits)
    assert tfds_obstacle("tfrecord", None, {"train": 99_999, "été": 1}) == ""
    report = replace(
        report, config={}, splits={"train": {**report.splits["train"], "shards": 10**5}}
    )
    assert [text for _, text in report.rows() if "TFDS" in text] == [
        "no files for TFDS, which finds at most 99,999 shards of a split, and 'train' has 100,000; "
        "a larger `images_per_shard` makes fewer"
    ]
