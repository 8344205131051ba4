"""TFRecord files of others as a source; TensorFlow writes them, and is the oracle."""

from __future__ import annotations

import gzip
import os
import random
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import prep
from prep.errors import ConfigError, PrepError, SourceError
from prep.execution.writing import write_serially
from prep.output.journal import Journal
from prep.shards.formats.tfrecord import frame
from prep.shards.writer import RunRef
from prep.sources.archives import archive_bytes
from prep.sources.file_source import FileSource
from prep.sources.manifest import entries_of
from prep.sources.records.record_frames import packing_of
from tests.support.catalogs import catalog_of, catalog_or_error, contents_of, rows_of
from tests.support.pictures import jpeg, picture, write_tree
from tests.support.storages import S3
from tests.support.tars import tar_of

tf = pytest.importorskip("tensorflow")

PHOTOS = [jpeg(picture(40, 48, seed)) for seed in range(6)]
Value = int | float | bytes | Sequence[int] | Sequence[float] | Sequence[bytes]


def example(**features: Value) -> bytes:
    """Return a serialized example, as TensorFlow makes it; ``__`` in a name stands for a slash."""

    def feature(value: Value) -> Any:
        values = [value] if isinstance(value, int | float | bytes) else list(value)
        if values and isinstance(values[0], bytes):
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
        if values and isinstance(values[0], float):
            return tf.train.Feature(float_list=tf.train.FloatList(value=values))
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

    named = {name.replace("__", "/"): feature(value) for name, value in features.items()}
    found: bytes = tf.train.Example(features=tf.train.Features(feature=named)).SerializeToString()
    return found


def slim(number: int, label: int, text: bytes, **more: Value) -> bytes:
    """Return an example as TF-Slim's scripts for ImageNet make it."""
    return example(
        **{
            "image__encoded": PHOTOS[number],
            "image__class__label": label,
            "image__class__text": text,
            "image__class__synset": b"n%08d" % label,
            "image__height": 40,
            "image__object__bbox__xmin": [0.5, 0.25],
            "image__object__bbox__label": [label, label],
            "image__filename": b"%d.JPEG" % number,
            **more,
        }
    )


def records(*data: bytes, compression: str = "") -> bytes:
    """Return a TFRecord file, as TensorFlow writes it."""
    path = Path(records.folder) / "one.tfrecord"  # type: ignore[attr-defined]
    with tf.io.TFRecordWriter(str(path), compression) as writer:
        for each in data:
            writer.write(each)
    return path.read_bytes()


@pytest.fixture(scope="module", autouse=True)
def _folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    records.folder = tmp_path_factory.mktemp("records")  # type: ignore[attr-defined]


def folder(root: Path, files: Mapping[str, bytes]) -> Path:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def test_records_of_slim_are_read_with_names_for_people(tmp_path: Path) -> None:
    files = {
        "train-00000-of-00002": records(slim(0, 2, b"dog"), slim(1, 1, b"cat")),
        "train-00001-of-00002": records(slim(2, 2, b"dog")),
        "validation-00000-of-00001": records(slim(3, 1, b"cat")),
    }
    catalog = catalog_of(folder(tmp_path, files))
    assert rows_of(catalog) == [
        ("train", "train-00000-of-00002#1", "1"),
        ("train", "train-00000-of-00002#0", "2"),
        ("train", "train-00001-of-00002#0", "2"),
        ("validation", "validation-00000-of-00001#0", "1"),
    ]
    assert contents_of(catalog) == [PHOTOS[number] for number in (1, 0, 2, 3)]
    assert catalog.class_names == {"1": "cat", "2": "dog"}
    assert catalog.order == ("0", "1", "2")
    assert catalog.read_as == (
        "TFRecords (3 files), images from 'image/encoded', labels from 'image/class/label'"
    )
    [doubt] = catalog.doubts
    assert "pass `label_offset=1`" in doubt
    shifted = catalog_of(tmp_path, label_offset=1)
    assert (shifted.order, shifted.class_names) == (("0", "1"), {"0": "cat", "1": "dog"})
    folder(tmp_path, {"labels.txt": b"0:cat\n1:dog\n"})
    named = catalog_of(tmp_path, label_offset=1, splits=["validation"])
    assert rows_of(named) == [("validation", "validation-00000-of-00001#0", "cat")]
    text = catalog_of(tmp_path, columns={"label": "image/class/text"})
    assert text.classes == ("cat", "dog")


def test_the_files_of_one_split_may_have_no_labels(tmp_path: Path) -> None:
    """The first by name, as those of Kaggle's flowers."""
    files = {
        "test/00-224x224-1.tfrec": records(example(image=PHOTOS[0], id=b"a")),
        "train/00-224x224-1.tfrec": records(example(image=PHOTOS[1], **{"class": 4}, id=b"b")),
        "val/00-224x224-0.tfrec": b"",
    }
    catalog = catalog_of(folder(tmp_path, files), unlabelled="keep")
    assert [(split, kind) for split, _, kind in rows_of(catalog)] == [("test", ""), ("train", "4")]


def test_records_of_tensorflow_datasets_are_read(tmp_path: Path) -> None:
    """Features ``image`` and ``label``, names of classes in a file, no label in a test set."""
    files = {
        "pets-train.tfrecord-00000-of-00001": records(
            example(image=PHOTOS[0], label=1, id=b"x"), example(image=PHOTOS[1], label=0, id=b"y")
        ),
        "pets-test.tfrecord-00000-of-00001": records(example(image=PHOTOS[2], label=-1, id=b"z")),
        "label.labels.txt": b"tabby cat\ndog\n",
        "features.json": b"{}",
        "dataset_info.json": b"{}",
    }
    catalog = catalog_of(folder(tmp_path, files))
    assert [(split, kind) for split, _, kind in rows_of(catalog)] == [
        ("train", "dog"),
        ("train", "tabby cat"),
    ]
    assert catalog.order == ("tabby cat", "dog")
    assert [(i.reason, i.count) for i in catalog.ignored] == [("image without a label", 1)]
    kept = catalog_of(tmp_path, unlabelled="keep")
    assert [kind for _, _, kind in rows_of(kept)] == ["", "dog", "tabby cat"]
    assert contents_of(kept) == [PHOTOS[2], PHOTOS[0], PHOTOS[1]]


@pytest.mark.parametrize("compression", ["", "GZIP", "ZLIB"])
def test_an_output_of_ours_is_made_anew_at_another_size(compression: str, tmp_path: Path) -> None:
    photos = write_tree(tmp_path / "photos", {"train": {"cat": 3, "dog": 2}, "val": {"dog": 1}})
    config = prep.Config(
        source=photos, output=tmp_path / "one", size=32, compression=compression or None
    )
    first = _written(config)
    again = prep.Config(source=tmp_path / "one", output=tmp_path / "two", size=16)
    if compression:
        with pytest.raises(SourceError, match="or pass `unpack=True`"):
            prep.plan(again)
        again = again.model_copy(update={"unpack": True})
    second = _written(again)
    assert second.read_as.startswith("TFRecords (2 files), images from 'image_raw', labels from")
    assert dict(second.splits) == dict(first.splits) == {"train": 5, "val": 1}
    assert second.labels == first.labels
    labels = [int(e.features.feature["label"].int64_list.value[0]) for e in _examples(tmp_path)]
    assert sorted(labels) == [0, 0, 0, 1, 1, 1]


def _written(config: prep.Config) -> Any:
    plan = prep.plan(config)
    journal = Journal(config.output)
    journal.begin(plan)
    run = RunRef(output=journal.output, digest=plan.fingerprint.digest, run="1")
    write_serially(plan.shards, run)
    return plan


def _examples(root: Path) -> list[Any]:
    """Return the examples of the second output, as TensorFlow reads them."""
    paths = sorted(map(str, root.glob("two/*/*.tfrecord")))
    return [tf.train.Example.FromString(r.numpy()) for r in tf.data.TFRecordDataset(paths)]


def test_features_and_labels_of_other_kinds(tmp_path: Path) -> None:
    def classes(name: str, *data: bytes, **config: Any) -> tuple[str, ...]:
        return catalog_of(folder(tmp_path, {name: records(*data)}) / name, **config).classes

    photo = PHOTOS[0]
    assert classes("bytes.tfrecord", example(img=photo, label=b"a cat")) == ("a cat",)
    assert classes("hot.tfrec", example(jpg=photo, label=[0, 0, 1])) == ("2",)
    assert classes("floats.tfrecords", example(image=photo, label=[0.0, 1.0, 0.0])) == ("1",)
    assert classes("float.tfrecord", example(image=photo, label=[3.0])) == ("3",)
    odd = example(x=photo, kind=b"pug", y=7)
    assert classes("odd.tfrecord", odd, columns={"image": "x", "label": "kind"}) == ("pug",)
    assert classes("odd.tfrecord", odd, columns={"label": "y"}) == ("7",)
    grouped = catalog_of(tmp_path / "odd.tfrecord", columns={"label": "y", "group": "kind"})
    assert grouped.images["group"].to_pylist() == [b"pug"]
    # A sequence of frames has its image in the context, which lies where features do.
    sequence = tf.train.SequenceExample()
    sequence.context.feature["image"].bytes_list.value.append(photo)
    sequence.context.feature["label"].int64_list.value.append(4)
    assert classes("sequence.tfrecord", sequence.SerializeToString()) == ("4",)
    two = records(example(image=photo, label=1), example(image=photo))
    assert catalog_of(folder(tmp_path, {"two": two}) / "two").images.num_rows == 1
    by_name = catalog_of(tmp_path / "odd.tfrecord", labels={"from": r"(?P<label>odd)"})
    assert by_name.classes == ("odd",)


# The records of a file, what is asked for, and what is told.
REFUSED: dict[str, tuple[list[bytes], dict[str, Any], str]] = {
    "raw pixels": (
        [example(image_raw=bytes(48), label=1)],
        {},
        "'image_raw' of the records in 'SOURCE' begins with the bytes 00 00 00 00 00 00 00 00, as "
        "no image file does",
    ),
    "floats": (
        [example(image=[0.5] * 12, label=1)],
        {},
        "record 0 of 'SOURCE' can't be read: 'image' holds numbers; expected the bytes of an image",
    ),
    "two images": (
        [example(image=PHOTOS[0], img=PHOTOS[1], label=1)],
        {},
        "several features of the records in 'SOURCE' are images, 'image', 'img'; name the one",
    ),
    "none": ([example(label=1, x=b"text")], {}, "no feature of the records in 'SOURCE' is an im"),
    "a later one without": (
        [example(image=PHOTOS[0], label=1), example(label=2)],
        {},
        "record 1 of 'SOURCE' can't be read: it has no feature 'image'; found 'label'",
    ),
    "several in one": (
        [example(image=PHOTOS[0], label=1), example(image=PHOTOS[:2], label=1)],
        {},
        "record 1 of 'SOURCE' can't be read: 'image' holds 2 values; expected one image",
    ),
    "many labels": ([example(image=PHOTOS[0], label=[1, 1, 0])], {}, "'label' is 1, 1, 0; expect"),
    "no such feature": (
        [example(image=PHOTOS[0], label=1)],
        {"columns": {"label": "lable"}},
        "columns.label: 'lable': unknown feature; did you mean 'label'?",
    ),
    "another role": (
        [example(image=PHOTOS[0], label=1)],
        {"columns": {"split": "label"}},
        "columns.split: has no meaning in a source that is read as TFRecords; expected image, lab",
    ),
    "extensions": (
        [example(image=PHOTOS[0], label=1)],
        {"image_type": "jpg"},
        "image_type: images in records have no extension; leave it out",
    ),
    "no example": ([b"\x0a\x05abc"], {}, "record 0 of 'SOURCE' can't be read: a field that runs"),
    "no text": ([example(image=PHOTOS[0], label=b"\xff")], {}, "a label that is not valid UTF-8"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_can_not_be_read_is_told_in_one_line(name: str, tmp_path: Path) -> None:
    data, config, expected = REFUSED[name]
    path = tmp_path / "a.tfrecord"
    path.write_bytes(records(*data))
    with pytest.raises((SourceError, ConfigError)) as error:
        catalog_of(path, **config)
    told = str(error.value).replace(str(path), "SOURCE")
    assert expected in told
    assert "\n" not in told


def test_damage_is_an_error_that_names_the_byte(tmp_path: Path) -> None:
    whole = records(*(example(image=photo, label=1) for photo in PHOTOS))
    second = len(frame(example(image=PHOTOS[0], label=1)))
    path = tmp_path / "a.tfrecord"
    damaged = whole[:second] + b"\xff" + whole[second + 1 :]
    for data, told in (
        (damaged, f"at byte {second:,}: the checksum of a record's length is wrong; the file is"),
        (whole[:-1], "the file ends within a record; the file is damaged; get it again"),
        (whole[: second + 5], f"at byte {second:,}: the file ends within the header of a record"),
        (gzip.compress(whole)[:-9], "can't unpack"),
        (zlib.compress(whole)[:-9], "can't unpack"),
    ):
        path.write_bytes(data)
        with pytest.raises(SourceError, match=told):
            catalog_of(path, unpack=True)
    folder(tmp_path, {"b.tfrecord": b"<html>", "a.tfrecord": whole})
    with pytest.raises(SourceError, match=r"b\.tfrecord' does not begin with a record"):
        catalog_of(tmp_path)


def test_a_file_is_told_by_its_first_bytes() -> None:
    whole = records(example(image=PHOTOS[0], label=1))
    assert packing_of(whole[:4096]) == ""
    assert packing_of(gzip.compress(whole)[:4096]) == "gzip"
    assert packing_of(zlib.compress(whole)[:4096]) == "zlib"
    for other in (b"", b"x" * 99, gzip.compress(b"path,label\n"), zlib.compress(b"x"), PHOTOS[0]):
        assert packing_of(other) is None


def test_changed_records_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.tfrecord"
    one, other = (example(image=photo, label=1) for photo in PHOTOS[:2])
    path.write_bytes(records(one, other))
    catalog = catalog_of(path)
    path.write_bytes(records(other, one))
    with pytest.raises(OSError, match="changed since it was listed"):
        contents_of(catalog)


def test_records_beside_images_are_passed_over(tmp_path: Path) -> None:
    write_tree(tmp_path, {"train": {"cat": 1, "dog": 1}})
    folder(tmp_path, {"a.tfrecord": records(example(image=PHOTOS[0], label=1))})
    catalog = catalog_of(tmp_path)
    assert catalog.read_as == "class folders in splits"
    assert [item.example for item in catalog.ignored] == ["a.tfrecord"]


def test_a_broken_link_named_like_a_shard_does_no_harm(tmp_path: Path) -> None:
    write_tree(tmp_path, {"train": {"cat": 1, "dog": 1}})
    (tmp_path / "b-0.tar").symlink_to(tmp_path / "nowhere")
    assert catalog_of(tmp_path).read_as == "class folders in splits"


def test_shards_that_are_not_there_are_told(tmp_path: Path) -> None:
    one = records(example(image=PHOTOS[0], label=0))
    files = {f"train-0000{n}-of-00004.tfrecord": one for n in (0, 2)}
    [doubt] = catalog_of(folder(tmp_path, files)).doubts
    assert doubt == (
        "2 of the 4 shards that are called like 'train-00000-of-00004.tfrecord' are not there, "
        "such as number 1"
    )
    folder(tmp_path, {f"train-0000{n}-of-00004.tfrecord": one for n in (1, 3)})
    assert catalog_of(tmp_path).doubts == ()


def test_sources_of_several_kinds_are_read_as_one(tmp_path: Path) -> None:
    data = [example(image=photo, label=number) for number, photo in enumerate(PHOTOS)]
    folder(tmp_path, {"a.tfrecord": records(*data[:4]), "b/0.tfrecord": records(*data[:2])})
    members = {"5.jpg": PHOTOS[5], "5.cls": b"5"}
    (tmp_path / "more-0.tar").write_bytes(tar_of(members))
    paths = {"train": [f"{tmp_path}/a.tfrecord", f"{tmp_path}/more-0.tar"], "val": f"{tmp_path}/b"}
    plan = prep.plan(prep.Config(source=paths, output=tmp_path / "out"))
    assert dict(plan.splits) == {"train": 5, "val": 2}
    assert {name: plan.labels.number(name) for name in plan.classes} == {
        str(number): number for number in (0, 1, 2, 3, 5)
    }


def test_a_number_that_counts_no_classes_is_doubted(tmp_path: Path) -> None:
    one = records(example(image=PHOTOS[0], label=10**15), example(image=PHOTOS[0], label=1))
    catalog = catalog_of(folder(tmp_path, {"a.tfrecord": one}))
    assert catalog.order is None
    assert any("they are numbered by name" in doubt for doubt in catalog.doubts)


def test_a_bucket_gives_the_same_catalog(s3: S3, tmp_path: Path) -> None:
    files = {
        f"set/{split}/{split}-00000-of-00001.tfrecord": records(
            *(example(image_raw=photo, label=number % 2) for number, photo in enumerate(PHOTOS))
        )
        for split in ("train", "val")
    }
    folder(tmp_path, files)
    for name, data in files.items():
        s3.write(name, data)
    options = {"source": dict(s3.options)}
    config = prep.Config(source=f"{s3.url}/set", output=tmp_path / "out", storage_options=options)
    config.grant()
    source = FileSource(f"{s3.url}/set")
    found = source.catalog(config)
    here = catalog_of(tmp_path / "set")
    assert rows_of(found) == rows_of(here)
    images = found.images.drop_columns(["split"])
    assert [source.read(e) for e in entries_of(images, found.classes)] == contents_of(here)


@pytest.mark.parametrize("rounds", [200, pytest.param(5_000, marks=pytest.mark.slow)])
def test_mutated_records_end_in_all_of_them_or_in_one_line(rounds: int, tmp_path: Path) -> None:
    """No list is shorter than the file, whatever a byte becomes, and nothing else is raised.

    Nothing tells that a file was cut between two records.
    """
    small = [jpeg(picture(8, 8, seed)) for seed in range(3)]
    examples = [slim(0, 1, b"cat", image__encoded=photo) for photo in small]
    whole = records(*examples)
    ends = [len(records(*examples[:number])) for number in range(4)]
    path = tmp_path / "a.tfrecord"
    told = 0
    for seed in range(rounds):
        rng = random.Random(seed)
        data = bytearray(whole)
        for _ in range(rng.choice((1, 1, 2, 8))):
            data[rng.randrange(len(data))] = rng.randrange(256)
        size = rng.choice((len(data), len(data), rng.randrange(len(data))))
        path.write_bytes(data[:size])
        found = catalog_or_error(path, layout="tfrecord")
        if isinstance(found, PrepError):
            told += 1
            assert "\n" not in str(found)
        else:
            left_out = sum(item.count for item in found.ignored)
            assert found.images.num_rows + left_out == ends.index(size)
    assert 0 < told < rounds


def test_no_more_is_read_than_what_lies_around_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of records of a megabyte, less than a hundredth; TensorFlow writes labels after the image."""
    noise = np.random.default_rng(0).bytes(1 << 20)
    data = [example(image=PHOTOS[0] + noise, label=n % 2) for n in range(8)]
    path = tmp_path / "a.tfrecord"
    path.write_bytes(records(*data))
    amounts: list[int] = []
    pread = os.pread

    def counted(descriptor: int, length: int, position: int) -> bytes:
        found = pread(descriptor, length, position)
        amounts.append(len(found))
        return found

    monkeypatch.setattr(archive_bytes, "os", SimpleNamespace(pread=counted))
    assert catalog_of(path).images.num_rows == 8
    assert sum(amounts) < path.stat().st_size / 50
