"""Outputs opened by TensorFlow Datasets, which knows nothing of prep."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import prep
from tests.support.label_targets import TARGETS, prepared_targets
from tests.support.outputs import prepare
from tests.support.pages import run_below
from tests.support.pictures import write_tree
from tests.support.read_back import Written, read_back

tfds = pytest.importorskip("tensorflow_datasets")
pytestmark = pytest.mark.slow

TREE = {"train": {"cat": 7, "dog": 4}, "val": {"dog": 3}}
MEAN = {"R": 120.5, "G": 116.25, "B": 104.0}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_tree(tmp_path_factory.mktemp("readers") / "source", TREE)
    (root / "train/cat/broken.jpg").write_bytes(b"no image")
    (root.parent / "mean.json").write_text(json.dumps(MEAN))
    return root


def prepared(source: Path, output: Path, **more: Any) -> Path:
    if more.get("encoding") == "float32":
        more["mean_file"] = str(source.parent / "mean.json")
    settings = {"size": 24, "images_per_shard": 4, **more}
    prepare(prep.Config(source=str(source), output=str(output), **settings))
    return output


def elements(builder: Any, split: str = "train", **more: Any) -> list[Any]:
    return list(tfds.as_numpy(builder.as_dataset(split=split, **more)))


def undecoded(builder: Any, split: str) -> list[Written]:
    """Return image and label of each record, the image as its record has it."""
    image, label = builder.info.supervised_keys
    is_image = isinstance(builder.info.features[image], tfds.features.Image)
    skip = {image: tfds.decode.SkipDecoding()} if is_image else None
    return [
        Written(
            data if isinstance(data := one[image], bytes) else data.tobytes(),
            tuple(np.atleast_1d(one[label]).tolist()),
        )
        for one in elements(builder, split, decoders=skip)
    ]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"encoding": "png", "fit": "shorter"},
        {"mode": "gray"},
        {"encoding": "raw"},
        {"encoding": "float32"},
        {"encoding": "webp"},
        {"label_map": {"cat": [0, 0, 1], "dog": [1, 0, 0]}},
        {"label_map": {"cat": 3, "dog": 1}},
        {"label_map": {"cat": -3, "dog": 1 << 40}},
        {"record": "tf-slim"},
        {"features": ["filename", "class_name", "width", "height"]},
    ],
    ids=[
        *("jpeg", "png", "gray", "raw", "float32", "webp"),
        *("one-hot", "gaps", "immense", "tf-slim", "features"),
    ],
)
def test_each_record_is_read_once_with_its_label(
    settings: dict[str, Any], source: Path, tmp_path: Path
) -> None:
    output = prepared(source, tmp_path / "out", **settings)
    builder = tfds.builder_from_directory(output)
    for split, images in (("train", 11), ("val", 3)):
        written = read_back(output, split)
        assert builder.info.splits[split].num_examples == len(written) == images
        assert undecoded(builder, split) == written


def test_images_come_decoded_in_their_shape(source: Path, tmp_path: Path) -> None:
    output = prepared(source, tmp_path / "same")
    (image, label), *_ = elements(tfds.builder_from_directory(output), as_supervised=True)
    assert (image.shape, image.dtype, label.dtype) == ((24, 24, 3), np.uint8, np.int64)
    for name, settings, shape, dtype in (
        ("gray", {"mode": "gray", "encoding": "png"}, (24, 24, 1), np.uint8),
        ("float32", {"encoding": "float32"}, (24, 24, 3), np.float32),
    ):
        builder = tfds.builder_from_directory(prepared(source, tmp_path / name, **settings))
        (image, _), *_ = elements(builder, as_supervised=True)
        assert (image.shape, image.dtype) == (shape, dtype)
    shorter = prepared(source, tmp_path / "shorter", fit="shorter")
    shapes = {
        image.shape
        for image, _ in elements(tfds.builder_from_directory(shorter), as_supervised=True)
    }
    assert len(shapes) > 1
    assert all(min(height, width) == 24 for height, width, _ in shapes)


def test_names_stand_for_numbers(source: Path, tmp_path: Path) -> None:
    output = prepared(source, tmp_path / "out", label_map={"cat": 3, "dog": 1})
    label = tfds.builder_from_directory(output).info.features["label"]
    assert label.names == ["unused 0", "dog", "unused 2", "cat"]
    assert (label.int2str(3), label.str2int("dog"), label.num_classes) == ("cat", 1, 4)


def test_other_features_come_with_image_and_label(source: Path, tmp_path: Path) -> None:
    more = {"features": ["filename", "class_name", "width", "height"]}
    builder = tfds.builder_from_directory(prepared(source, tmp_path / "out", **more))
    assert {(one["filename"], one["class_name"]) for one in elements(builder)} == {
        (str(path.relative_to(source)).encode(), path.parent.name.encode())
        for path in source.glob("train/*/0*.jpg")
    }
    slim = prepared(source, tmp_path / "slim", record="tf-slim", first_label=1)
    builder = tfds.builder_from_directory(slim)
    assert builder.info.features["image/class/label"].names == ["unused 0", "cat", "dog"]
    one, *_ = elements(builder)
    assert one["image/encoded"].shape == (one["image/height"], one["image/width"], 3)
    assert one["image/format"] == b"jpeg"


def test_slices_and_even_splits_give_each_record_once(source: Path, tmp_path: Path) -> None:
    output = prepared(source, tmp_path / "out")
    builder = tfds.builder_from_directory(output)
    written = Counter(read_back(output, "train"))
    for parts in (["train[:50%]", "train[50%:]"], tfds.even_splits("train", n=3)):
        read = [undecoded(builder, part) for part in parts]
        assert sum(map(Counter, read), Counter()) == written
        assert min(map(len, read)) >= 3
    assert Counter(undecoded(builder, "train+val")) == written + Counter(read_back(output, "val"))


def test_tfds_opens_an_output_as_the_page_says(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = read_back(prepared(source, tmp_path / "shards"), "train")
    monkeypatch.chdir(tmp_path)
    found = run_below("readers.md", "TFDS")
    assert len(found["dataset"]) == 10  # 90 % of 11
    images = {one["image_raw"] for one in tfds.as_numpy(found["bytes_only"])}
    assert len(images) in (5, 6)
    assert images < {one.image for one in written}


def test_an_output_in_the_folder_of_a_version_is_loaded_by_name(
    source: Path, tmp_path: Path
) -> None:
    output = prepared(source, tmp_path / "photos/1.0.0")
    dataset, info = tfds.load("photos", data_dir=tmp_path, with_info=True, shuffle_files=True)
    assert {split: len(list(found)) for split, found in dataset.items()} == {"train": 11, "val": 3}
    assert info.features["label"].names == ["cat", "dog"]
    assert output.is_dir()


def test_a_shard_without_records_and_a_moved_output_are_read(tmp_path: Path) -> None:
    source = write_tree(tmp_path / "source", {"train": {"cat": 2, "dog": 1}})
    for path in source.glob("train/cat/*"):
        path.write_bytes(b"no image")
    output = prepared(source, tmp_path / "out", images_per_shard=1)
    moved = output.rename(tmp_path / "elsewhere")
    builder = tfds.builder_from_directory(moved)
    assert sorted(builder.info.splits["train"].shard_lengths) == [0, 0, 1]
    assert undecoded(builder, "train") == read_back(moved, "train")


@pytest.mark.parametrize("target", TARGETS)
def test_labels_that_are_not_one_class_are_read_as_they_are(target: str, tmp_path: Path) -> None:
    output = prepared_targets(tmp_path, target)
    builder = tfds.builder_from_directory(output)
    assert undecoded(builder, "train") == read_back(output, "train")
    label = builder.info.features["label"]
    if target == "multi":
        assert isinstance(label, tfds.features.Sequence)
        assert label.feature.names == ["cat", "dog", "eel"]
    else:
        assert (label.shape, label.np_dtype) == ((3,) if target == "soft" else (), np.float32)
        assert not (output / "label.labels.txt").exists()
