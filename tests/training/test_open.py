"""Outputs opened as sequences of images and labels, without TensorFlow."""

from __future__ import annotations

import io
import itertools
import json
import multiprocessing
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import prep
from prep.errors import RecordError, SourceError
from prep.images.encoding.encode import make_encoder
from prep.images.encoding.record_pixels import stored_image
from prep.images.processor import ImageProcessor
from prep.planning.plan import RunPlan
from prep.settings.image_settings import ImageSettings
from prep.shards.formats.base import Record, record_format
from tests.support.outputs import prepare
from tests.support.pictures import write_tree
from tests.support.storages import KEY, S3, SECRET

SIZE = 24
MEAN = {"R": 120.5, "G": 116.25, "B": 104.0}
Make = Callable[..., Path]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = {"train": {"cat": 7, "dog": 4}, "val": {"dog": 3}}
    root = write_tree(tmp_path_factory.mktemp("dataset") / "source", tree)
    (root / "train/cat/broken.jpg").write_bytes(b"no image")
    return root


@pytest.fixture(scope="module")
def make(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Returns the function that prepares an output, each kind once."""
    made: dict[str, Path] = {}

    def prepared(**more: Any) -> Path:
        key = repr(sorted(more.items()))
        if key not in made:
            folder = tmp_path_factory.mktemp("made")
            if more.get("encoding") == "float32":
                mean = dict.fromkeys(MEAN, 117.0) if more["mode"] == "gray" else MEAN
                (folder / "mean.json").write_text(json.dumps(mean))
                more["mean_file"] = str(folder / "mean.json")
            values = {"size": SIZE, "images_per_shard": 4, **more}
            config = prep.Config(source=str(source), output=str(folder / "out"), **values)
            prepare(config)
            made[key] = folder / "out"
        return made[key]

    return prepared


def written(output: Path, split: str = "train") -> list[Record]:
    """The records of a split, read from the start of each shard."""
    suffix = "tar" if list(output.glob("*/*.tar")) else "tfrecord"
    format = record_format("webdataset" if suffix == "tar" else "tfrecord")
    found = []
    for path in sorted((output / split).glob(f"*.{suffix}")):
        with path.open("rb") as file:
            found += [*map(format.parse, format.records(file))]
    return found


# All records


@pytest.mark.parametrize("format", ["tfrecord", "webdataset"])
def test_every_record_is_there_once_as_it_is_in_the_shards(format: str, make: Make) -> None:
    output = make(format=format)
    images = prep.open(output, "train", decode=False)
    expected = written(output)
    assert len(images) == len(expected) == 11
    assert images.read_many(range(11)) == expected
    assert [images.read(number) for number in range(11)] == expected
    assert list(images) == [(record.image, record.label[0]) for record in expected]
    assert images.labels.tolist() == [record.label[0] for record in expected]
    assert images.labels.dtype == np.int64
    assert images.classes == {0: "cat", 1: "dog"}


def test_each_image_has_the_name_of_its_source(make: Make, source: Path) -> None:
    images = prep.open(make(encoding="raw"))
    processor = ImageProcessor(ImageSettings(size=SIZE))
    assert len({*images.names}) == 11
    for name, (image, _) in zip(images.names, images, strict=True):
        assert np.array_equal(image, processor.pixels((source / name).read_bytes()))
    assert images.subset(ids=[3, 1]).names == [images.names[3], images.names[1]]


def test_records_come_in_the_order_that_they_are_asked_for(make: Make) -> None:
    expected = written(make())
    images = prep.open(make(), "train")
    order = [7, 0, 10, 3, 3, -1, 1, -11]
    assert images.read_many(order) == [expected[number] for number in order]
    assert images.read_many(np.array(order)) == images.read_many(order)
    assert images.read_many([]) == []
    assert images.read(np.int64(4)) == expected[4]


@pytest.mark.parametrize(
    ("encoding", "mode"),
    [
        *((encoding, "rgb") for encoding in ("jpeg", "png", "webp", "raw", "float32")),
        *((encoding, "gray") for encoding in ("jpeg", "png", "raw", "float32")),
    ],
)
def test_images_are_arrays(encoding: str, mode: str, make: Make) -> None:
    output = make(encoding=encoding, mode=mode)
    images = prep.open(output)
    channels = 3 if mode == "rgb" else 1
    for (image, label), record in zip(images, written(output), strict=True):
        assert image.shape == (SIZE, SIZE, channels)
        assert image.flags.writeable
        assert label == record.label[0]
        if encoding in ("raw", "float32"):
            assert image.tobytes() == record.image
            assert image.dtype == (np.uint8 if encoding == "raw" else np.float32)
        else:
            stored = np.asarray(Image.open(io.BytesIO(record.image)))
            assert np.array_equal(image, stored.reshape(SIZE, SIZE, -1)[..., :channels])


@pytest.mark.parametrize("encoding", ["jpeg", "png", "webp"])
def test_an_image_of_another_size_is_not_decoded(encoding: str) -> None:
    settings = ImageSettings(size=16, encoding=encoding)
    encode = make_encoder(encoding, 90, None)
    image = bytes(encode(np.zeros((17, 16, 3), np.uint8)))
    with pytest.raises(RecordError, match="found 17 x 16"):
        stored_image(image, settings)
    with pytest.raises(RecordError, match="expected a whole"):
        stored_image(bytes(encode(np.zeros((16, 16, 3), np.uint8)))[:20], settings)


def test_samples_in_tar_files_are_arrays(make: Make) -> None:
    found = [image.tobytes() for image, _ in prep.open(make(format="webdataset", encoding="raw"))]
    assert found == [image.tobytes() for image, _ in prep.open(make(encoding="raw"))]


def test_an_output_of_the_version_before_is_opened() -> None:
    output = Path(__file__).parents[1] / "output/version_0_1_0/complete"
    images = prep.open(output, decode=False)
    assert list(images) == [(record.image, record.label[0]) for record in written(output)]


def test_images_may_differ_in_size(make: Make) -> None:
    output = make(fit="shorter", size=16)
    sizes = {image.shape for image, _ in prep.open(output)}
    assert len(sizes) > 1
    assert {min(shape[:2]) for shape in sizes} == {16}


def test_one_hot_labels_are_vectors(make: Make) -> None:
    images = prep.open(make(label_map={"cat": [0, 0, 1], "dog": [1, 0, 0]}), "val")
    assert images.labels.tolist() == [[1, 0, 0]] * 3
    assert images.label_shape == (3,)
    assert images.classes == {0: "dog", 2: "cat"}
    assert [label.tolist() for _, label in images] == [[1, 0, 0]] * 3
    assert images[0][1].dtype == np.int64


# Parts


def test_a_part_has_the_images_of_some_classes(make: Make) -> None:
    images = prep.open(make())
    dogs = images.subset(classes=["dog"])
    assert len(dogs) == 4
    assert dogs.labels.tolist() == [1] * 4
    assert dogs.read_many(range(4)) == [r for r in written(make()) if r.label == (1,)]
    assert images.subset(classes=[1]).ids.tolist() == dogs.ids.tolist()


def test_a_share_has_images_of_every_class_and_grows(make: Make) -> None:
    images = prep.open(make())
    parts = [images.subset(fraction=f) for f in (0.01, 0.3, 0.5, 1)]
    assert [np.bincount(part.labels).tolist() for part in parts] == [[1, 1], [2, 1], [4, 2], [7, 4]]
    for part, larger in itertools.pairwise(parts):
        assert set(part.ids) < set(larger.ids)
    seeds = {tuple(images.subset(fraction=0.3, seed=seed).ids) for seed in range(-2, 3)}
    assert len(seeds) > 1


def test_parts_of_parts(make: Make) -> None:
    images = prep.open(make(), decode=False)
    assert images[8:2:-2].ids.tolist() == [8, 6, 4]
    part = images.subset(ids=[9, 2, 4]).subset(ids=[2, 0])
    assert part.ids.tolist() == [4, 9]
    assert list(part) == [images[4], images[9]]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"classes": ["cow"]}, "classes: no 'cow'"),
        ({"fraction": 0}, "fraction: got 0"),
        ({"fraction": 1.5}, "fraction: got 1.5"),
        ({"ids": [0, 11]}, "ids: no image 11"),
        ({"ids": [0.5]}, "ids: expected whole numbers"),
        ({"classes": "cat"}, r"classes: expected a list .*; write \['cat'\]"),
    ],
)
def test_what_is_no_part(given: dict[str, Any], told: str, make: Make) -> None:
    with pytest.raises(SourceError, match=told):
        prep.open(make()).subset(**given)


def test_no_flags_are_taken_for_numbers_of_images(make: Make) -> None:
    for indices in (np.ones(11, bool), [0.5]):
        with pytest.raises(TypeError, match="images: expected whole numbers"):
            prep.open(make()).read_many(indices)  # type: ignore[arg-type]


@pytest.mark.parametrize("cache", ["", "s3://bucket/cache", True])
def test_copies_are_kept_in_a_folder_alone(cache: Any, make: Make) -> None:
    with pytest.raises(SourceError, match="cache: expected a folder of this machine, found"):
        prep.open(make(), cache=cache)


@pytest.mark.parametrize("index", [11, -12])
def test_there_is_no_image_beyond_the_last(index: int, make: Make) -> None:
    with pytest.raises(IndexError, match="there are 11, counted from 0"):
        prep.open(make())[index]


# In other processes


def test_a_pickle_holds_a_path_and_the_part(make: Make) -> None:
    images = prep.open(make(), decode=False)
    assert len(pickle.dumps(images)) < 1000
    part = images.subset(classes=["dog"])
    again = pickle.loads(pickle.dumps(part))
    assert list(again) == list(part)
    assert list(pickle.loads(pickle.dumps(images))) == list(images)


def read_there(images: Any, numbers: range, queue: Any) -> None:
    queue.put(images.read_many(numbers))


@pytest.mark.parametrize("start", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_processes_that_were_started_after_it_was_opened_read_it(start: str, make: Make) -> None:
    images = prep.open(make())
    expected = images.read_many(range(11))
    context = multiprocessing.get_context(start)
    queue = context.Queue()
    children = [
        context.Process(target=read_there, args=(images, part, queue))
        for part in (range(6), range(6, 11))
    ]
    for child in children:
        child.start()
    found = [queue.get(timeout=120), queue.get(timeout=120)]
    for child in children:
        child.join()
    assert sorted(found, key=len, reverse=True) == [expected[:6], expected[6:]]


def test_neither_tensorflow_nor_protobuf_is_loaded(make: Make) -> None:
    code = f"import sys, prep; prep.open({str(make())!r})[0]; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "prep" in loaded
    assert loaded.isdisjoint({"tensorflow", "google.protobuf", "dask", "distributed", "torch"})


# Copies, and storages


def shards_in(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}


def test_shards_are_copied_when_they_are_first_needed(own: Path, tmp_path: Path) -> None:
    expected = written(own)
    images = prep.open(own, cache=tmp_path / "new/cache", decode=False)
    assert not (tmp_path / "new").exists()
    assert images.read(0) == expected[0]
    assert shards_in(tmp_path / "new") == {"train-00000-of-00003.tfrecord"}
    assert images.read_many(range(11)) == expected
    assert len(shards_in(tmp_path / "new")) == 3
    subprocess.run(["rm", "-r", str(own / "train")], check=True)
    assert images.read_many(range(11)) == expected  # From the copies alone.


def test_a_copy_that_is_damaged_or_cut_is_not_read(own: Path, tmp_path: Path) -> None:
    images = prep.open(own, cache=tmp_path / "cache", decode=False)
    expected = images.read_many(range(11))
    copy = next((tmp_path / "cache").rglob("train-00001-*"))
    os.truncate(copy, 100)
    assert images.read_many(range(11)) == expected
    copy = next((tmp_path / "cache").rglob("train-00001-*"))
    data = bytearray(copy.read_bytes())
    data[200] ^= 1
    copy.write_bytes(data)
    with pytest.raises(RecordError, match=r"cache.*train-00001.*remove this copy"):
        images.read_many(range(11))


def test_a_copy_that_cannot_be_written(own: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    images = prep.open(own, cache=tmp_path / "file")
    with pytest.raises(SourceError, match=r"cache: .*can't be written to: .*give another folder"):
        images[0]


@pytest.mark.slow
def test_processes_copy_each_shard_once(s3: S3, source: Path, tmp_path: Path) -> None:
    config = prep.Config(
        source=str(source),
        output=f"{s3.url}/out",
        size=SIZE,
        images_per_shard=4,
        storage_options=dict(s3.options),
    )
    prepare(config)
    cache = tmp_path / "cache"
    images = prep.open(config.output, storage_options=dict(s3.options), cache=cache)
    before = len(s3.requests())
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    children = [
        context.Process(target=read_there, args=(images, range(11), queue)) for _ in range(3)
    ]
    for child in children:
        child.start()
    found = [queue.get(timeout=120) for _ in children]
    for child in children:
        child.join()
    assert found[0] == found[1] == found[2]
    fetched = [path for method, path, _ in s3.requests()[before:] if method == "GET"]
    assert sorted(path.rpartition("/")[2] for path in fetched) == sorted(shards_in(cache))


@pytest.mark.slow
@pytest.mark.parametrize("format", ["tfrecord", "webdataset"])
def test_records_in_a_storage_are_read_by_ranges(format: str, s3: S3, source: Path) -> None:
    config = prep.Config(
        source=str(source),
        output=f"{s3.url}/out",
        size=SIZE,
        images_per_shard=4,
        format=format,
        storage_options=dict(s3.options),
    )
    prepare(config)
    images = prep.open(config.output, storage_options=dict(s3.options), decode=False)
    before = len(s3.requests())
    records = images.read_many([*range(11)][::-1])[::-1]
    shown = [(method, bool(span)) for method, _, span in s3.requests()[before:]]
    assert shown == [("GET", True)] * 3  # Records of a shard that lie together are one request.
    assert [record.label[0] for record in records] == images.labels.tolist()
    # What is pickled holds the options, and does not show them.
    pickled = pickle.dumps(images)
    assert KEY.encode() not in pickled
    assert SECRET.encode() not in pickled
    code = f"import pickle; images = pickle.loads({pickled!r}); print(len(images[3][0]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) == len(records[3].image)
    # A fork reads over connections of its own.
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=read_there, args=(images, range(11), queue))
    child.start()
    assert queue.get(timeout=60) == records
    child.join()
    assert images.read_many(range(11)) == records


# What can't be read


def test_compressed_shards_are_refused_with_what_to_do(make: Make) -> None:
    with pytest.raises(SourceError, match=r"compressed \(GZIP\).*prep.load"):
        prep.open(make(compression="GZIP"))


def test_a_split_that_is_not_there(make: Make) -> None:
    with pytest.raises(SourceError, match=r"'test'.*train, val"):
        prep.open(make(), "test")


@pytest.fixture
def own(make: Make, tmp_path: Path) -> Path:
    """An output that a test may damage."""
    output = tmp_path / "out"
    subprocess.run(["cp", "-r", str(make()), str(output)], check=True)
    return output


def test_a_record_that_was_changed_is_found(own: Path) -> None:
    images = prep.open(own)
    shard = own / "train/train-00001-of-00003.tfrecord"
    data = bytearray(shard.read_bytes())
    data[200] ^= 1
    shard.write_bytes(data)
    with pytest.raises(RecordError, match=r"train-00001-.*checksum.*byte 0; repair the shard"):
        images.read_many(range(11))
    assert images[0]
    # Once it is repaired, by another file in its place, the output can be opened again.
    data[200] ^= 1
    (own / "repaired").write_bytes(data)
    (own / "repaired").rename(shard)
    assert len(prep.open(own).read_many(range(11))) == 11


def test_no_record_is_read_that_is_larger_than_an_image_can_be(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RunPlan, "largest_record", 500)
    with pytest.raises(RecordError, match=r"a record takes .* bytes; expected at most 516"):
        prep.open(make())


@pytest.mark.parametrize("change", ["gone", "cut", "longer"])
def test_a_shard_that_is_not_what_it_was(change: str, own: Path) -> None:
    images = prep.open(own)
    shard = own / "train/train-00002-of-00003.tfrecord"
    if change == "gone":
        shard.unlink()
    elif change == "cut":
        os.truncate(shard, 100)
    else:
        shard.write_bytes(shard.read_bytes() + b"more")
    with pytest.raises(SourceError, match="train-00002-of-00003"):
        images[10]
    assert images[0]


def test_an_output_that_holds_another_run_is_not_taken_for_the_one_opened(
    source: Path, own: Path
) -> None:
    pickled = pickle.dumps(prep.open(own))
    config = prep.Config(source=str(source), output=str(own), size=SIZE, seed=5)
    subprocess.run(["rm", "-r", str(own)], check=True)
    prepare(config)
    with pytest.raises(SourceError, match="holds another run"):
        pickle.loads(pickled)
