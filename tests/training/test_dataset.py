"""Outputs opened for training."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import prep
from prep.errors import SourceError
from prep.images.processor import ImageProcessor
from prep.settings.image_settings import ImageSettings
from tests.support.outputs import prepare
from tests.support.pictures import write_tree
from tests.support.serial import run_here

SIZE = 24
CLASSES = ["cat", "dog"]
MEAN = {"R": 120.5, "G": 116.25, "B": 104.0}
# float32 samples are whole numbers less the mean, so that adding it gives exact whole numbers.
OFFSET = np.array([*MEAN.values()], np.float32)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = {"train": {"cat": 7, "dog": 4}, "val": {"dog": 3}}
    root = write_tree(tmp_path_factory.mktemp("dataset") / "source", tree)
    (root / "train/cat/broken.jpg").write_bytes(b"no image")
    return root


def prepared(source: Path, output: Path, **more: Any) -> Path:
    """Prepares an output, and gives it back."""
    (output.parent / "mean.json").write_text(json.dumps(MEAN))
    if more.get("encoding") == "float32":
        more["mean_file"] = str(output.parent / "mean.json")
    values = {"size": SIZE, "images_per_shard": 4, **more}
    prepare(prep.Config(source=str(source), output=str(output), **values))
    return output


def squares(source: Path) -> set[tuple[bytes, int]]:
    """(samples, label) of each usable image of the train split."""
    processor = ImageProcessor(ImageSettings(size=SIZE))
    return {
        (processor.pixels(path.read_bytes()).tobytes(), CLASSES.index(path.parent.name))
        for path in source.glob("train/*/*")
        if path.name != "broken.jpg"
    }


def records(output: Path, compression: str) -> list[tuple[bytes, int]]:
    """(image_raw, label) of the train split, as TensorFlow reads them."""
    files = [str(path) for path in sorted(output.glob("train/*.tfrecord"))]
    found = []
    for record in tf.data.TFRecordDataset(files, compression_type=compression):
        feature = tf.train.Example.FromString(record.numpy()).features.feature
        found.append(
            (feature["image_raw"].bytes_list.value[0], feature["label"].int64_list.value[0])
        )
    return found


@pytest.mark.parametrize("compression", [None, "GZIP", "ZLIB"])
@pytest.mark.parametrize("encoding", ["raw", "float32"])
def test_vectors_come_back_as_they_were(
    encoding: str, compression: str | None, source: Path, tmp_path: Path
) -> None:
    output = prepared(source, tmp_path / "out", encoding=encoding, compression=compression)
    dataset = prep.load(output, "train")
    kind = tf.uint8 if encoding == "raw" else tf.float32
    assert dataset.element_spec == (
        tf.TensorSpec((SIZE, SIZE, 3), kind),
        tf.TensorSpec((), tf.int64),
    )
    elements = [(image, int(label)) for image, label in dataset.as_numpy_iterator()]
    if encoding == "float32":
        elements = [((image + OFFSET).astype(np.uint8), label) for image, label in elements]
    assert len(elements) == int(dataset.cardinality()) == 11
    assert {(image.tobytes(), label) for image, label in elements} == squares(source)


@pytest.mark.parametrize("compression", [None, "GZIP", "ZLIB"])
def test_jpegs_come_back_decoded(compression: str | None, source: Path, tmp_path: Path) -> None:
    output = prepared(source, tmp_path / "out", compression=compression)
    dataset = prep.load(output)
    assert dataset.element_spec == (
        tf.TensorSpec((SIZE, SIZE, 3), tf.uint8),
        tf.TensorSpec((), tf.int64),
    )
    # TensorFlow's default is a decoder that is off by one level in red and blue on average.
    for (image, _), (raw, _) in zip(dataset, records(output, compression or ""), strict=True):
        assert np.array_equal(image, Image.open(io.BytesIO(raw)))


@pytest.mark.parametrize("encoding", ["jpeg", "raw"])
def test_records_come_in_the_order_of_the_shards_with_their_labels(
    encoding: str, source: Path, tmp_path: Path
) -> None:
    output = prepared(source, tmp_path / "out", encoding=encoding)
    written = records(output, "")
    assert [int(label) for _, label in prep.load(output)] == [label for _, label in written]
    if encoding == "raw":
        assert [image.numpy().tobytes() for image, _ in prep.load(output)] == [
            raw for raw, _ in written
        ]


def test_one_hot_labels_are_vectors(source: Path, tmp_path: Path) -> None:
    label_map = {"cat": [0, 0, 1], "dog": [1, 0, 0]}
    dataset = prep.load(prepared(source, tmp_path / "out", label_map=label_map), "val")
    assert dataset.element_spec[1] == tf.TensorSpec((3,), tf.int64)
    assert [label.tolist() for _, label in dataset.as_numpy_iterator()] == [[1, 0, 0]] * 3


def test_an_epoch_of_training(source: Path, tmp_path: Path) -> None:
    output = prepared(source, tmp_path / "out")
    mean = json.loads((output / "mean_rgb.json").read_text())
    offset = tf.constant([mean["R"], mean["G"], mean["B"]], tf.float32)
    dataset = (
        prep.load(output, "train")
        .shuffle(100, seed=0)
        .map(lambda image, label: (tf.cast(image, tf.float32) - offset, label))
        .batch(4)
        .prefetch(1)
    )
    # 11 images in batches of 4 are 3 steps: Keras knows before it has read them.
    assert len(dataset) == 3
    tf.keras.utils.set_random_seed(0)
    model = tf.keras.Sequential([tf.keras.layers.Flatten(), tf.keras.layers.Dense(2)])
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(tf.keras.optimizers.SGD(1e-6), loss)
    history = model.fit(dataset, epochs=2, verbose=0)
    before, after = history.history["loss"]
    assert after < before


def test_an_output_may_move(source: Path, tmp_path: Path) -> None:
    moved = prepared(source, tmp_path / "out").rename(tmp_path / "moved")
    assert len(list(prep.load(moved))) == 11


def test_an_output_may_be_named_relatively(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared(source, tmp_path / "out")
    monkeypatch.chdir(tmp_path)
    assert len(list(prep.load("out"))) == 11


def test_an_output_in_a_folder_of_odd_name(source: Path, tmp_path: Path) -> None:
    for name in ("new\nline", "[a]*", "naïve 猫"):
        assert len(list(prep.load(prepared(source, tmp_path / name)))) == 11


# What can't be opened


def test_a_folder_that_holds_no_output(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(SourceError, match=f"'{folder}' (holds no run|does not exist)"):
            prep.load(folder)


def test_a_split_that_is_not_there(source: Path, tmp_path: Path) -> None:
    output = prepared(source, tmp_path / "out")
    with pytest.raises(SourceError, match=r"'test'.*train, val"):
        prep.load(output, "test")


@pytest.mark.parametrize("lost", [1, 3])
def test_a_run_that_is_not_finished(lost: int, source: Path, tmp_path: Path) -> None:
    output = prepared(source, tmp_path / "out")
    for index in range(lost):
        (output / f".prep/receipts/train/0000{index}.json").unlink()
    with pytest.raises(SourceError, match=rf"{3 - lost} of 3 shards of 'train' are committed"):
        prep.load(output)
    assert len(list(prep.load(output, "val"))) == 3


def test_a_shard_that_is_not_whole(source: Path, tmp_path: Path) -> None:
    output = prepared(source, tmp_path / "out")
    os.truncate(output / "train/train-00002-of-00003.tfrecord", 100)
    with pytest.raises(SourceError, match="2 of 3 shards of 'train' are committed"):
        prep.load(output)


def test_shards_by_others_in_the_split_are_not_read(source: Path, tmp_path: Path) -> None:
    output = prepared(source, tmp_path / "out")
    (output / "train/train-00000-of-00009.tfrecord").write_bytes(b"by another program")
    assert len(list(prep.load(output))) == 11


# Real photos


def test_real_photos(photos: Path, tmp_path: Path) -> None:
    config = prep.Config(source=str(photos), output=str(tmp_path), splits="test", size=224)
    report = run_here(config)
    images, labels = next(prep.load(tmp_path, "test").batch(1000).as_numpy_iterator())
    assert images.shape == (report.images["written"], 224, 224, 3)
    # What JPEG loses, in one direction and the other, hardly shows in the mean.
    assert images.mean(axis=(0, 1, 2)) == pytest.approx(list(report.mean.values()), abs=0.1)
    numbers = json.loads((photos / "label_map.json").read_text())
    files = [path for path in (photos / "test").glob("*/*") if path.is_file()]
    assert sorted(labels) == sorted(numbers[path.parent.name] for path in files)
