"""The features of records: TF-Slim's, and those that are added to records of any kind."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from click.testing import CliRunner

import prep
from prep.cli.main import main
from prep.errors import ConfigError, LabelError
from prep.operations.tools.lookup import find_record
from prep.output.journal import Journal
from prep.planning.plan import RunPlan
from prep.settings.record_features import EXTRA_FEATURES
from prep.shards.formats.base import record_format
from prep.sources.manifest import entries_of
from tests.shards.test_encoded_shards import problems_of, written
from tests.support.outputs import examine, placed_here, prepare
from tests.support.pages import run_below
from tests.support.pictures import jpeg, picture, stored, write_tree

ODD = "1 né\udcff.jpg"  # Its name is not valid UTF-8.
#: Height and width of each picture; the last is stored on its side.
SHAPES = {"0.jpg": (40, 48), ODD: (48, 90), "2.jpg": (60, 40)}
TREE = {
    "train": {
        "cat": {
            **{name: jpeg(picture(*shape, n)) for n, (name, shape) in enumerate(SHAPES.items())},
            "2.jpg": stored(picture(60, 40), 6, "JPEG"),
        },
        "dog": {"0.jpg": b"no image"},
    }
}
#: What plain parsing of TF-Slim's data sets asks of each record.
TF_SLIM = {
    "image/encoded": tf.io.FixedLenFeature([], tf.string),
    "image/format": tf.io.FixedLenFeature([], tf.string),
    "image/colorspace": tf.io.FixedLenFeature([], tf.string),
    "image/class/label": tf.io.FixedLenFeature([], tf.int64),
    "image/class/text": tf.io.FixedLenFeature([], tf.string),
    "image/filename": tf.io.FixedLenFeature([], tf.string),
    "image/height": tf.io.FixedLenFeature([], tf.int64),
    "image/width": tf.io.FixedLenFeature([], tf.int64),
}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tree(tmp_path_factory.mktemp("features") / "photos", TREE)


def records_of(plan: RunPlan) -> list[bytes]:
    format = record_format(plan.config.format)
    found: list[bytes] = []
    for shard in plan.shards:
        with open(Path(plan.config.output) / shard.split / shard.name, "rb") as file:
            found += format.records(file)
    return found


def by_name(plan: RunPlan, source: str = "image/filename") -> dict[str, Any]:
    """Return the records of an output as TF-Slim parses them, by the name of the image."""
    parsed = [tf.io.parse_single_example(record, TF_SLIM) for record in records_of(plan)]
    return {os.path.basename(os.fsdecode(each[source].numpy())): each for each in parsed}


@pytest.mark.parametrize(
    ("values", "format", "colours", "stored_as"),
    [
        ({"first_label": 1}, b"jpeg", b"RGB", dict.fromkeys(SHAPES, (24, 32))),
        (
            {"encoding": "png", "mode": "gray"},
            b"png",
            b"Grayscale",
            dict.fromkeys(SHAPES, (24, 32)),
        ),
        (
            {"fit": "shorter", "compression": "GZIP"},
            *(b"jpeg", b"RGB"),
            {"0.jpg": (27, 32), ODD: (24, 45), "2.jpg": (48, 32)},
        ),
        ({"encoding": "webp", "fit": "shorter"}, b"webp", b"RGB", {ODD: (24, 45)}),
        ({"encoding": "raw"}, b"raw", b"RGB", dict.fromkeys(SHAPES, (24, 32))),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else None,
)
def test_records_are_what_tf_slim_parses(
    values: dict[str, Any],
    format: bytes,
    colours: bytes,
    stored_as: dict[str, tuple[int, int]],
    source: Path,
    tmp_path: Path,
) -> None:
    plan = written(source, tmp_path / "out", record="tf-slim", **values)
    assert problems_of(plan) == []
    found = by_name(plan)
    assert set(found) == set(SHAPES)
    for name, (height, width) in stored_as.items():
        each = found[name]
        assert (each["image/height"].numpy(), each["image/width"].numpy()) == (height, width)
        if format == b"raw":
            pixels = tf.io.decode_raw(each["image/encoded"], tf.uint8)
            assert pixels.shape == (24 * 32 * 3,)
        elif format != b"webp":
            assert tf.io.decode_image(each["image/encoded"]).shape[:2] == (height, width)
    for name, each in found.items():
        assert each["image/format"].numpy() == format
        assert each["image/colorspace"].numpy() == colours
        assert each["image/class/label"].numpy() == values.get("first_label", 0)
        assert each["image/class/text"].numpy() == b"cat"
        assert each["image/filename"].numpy() == os.fsencode(f"train/cat/{name}")
    for record in records_of(plan):  # Features stand in the order of their keys.
        assert tf.train.Example.FromString(record).SerializeToString(deterministic=True) == record


def test_the_page_on_outputs_parses_them(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(source, tmp_path / "shards", record="tf-slim", first_label=1)
    monkeypatch.chdir(tmp_path)
    examples = list(run_below("output.md", "Features")["examples"])
    assert [each["image/class/label"].numpy() for each in examples] == [1, 1, 1]
    assert {each["image/class/text"].numpy() for each in examples} == {b"cat"}


def test_such_records_are_a_source_of_the_same_images_and_labels(
    source: Path, tmp_path: Path
) -> None:
    plan = written(source, tmp_path / "out", record="tf-slim", first_label=1)
    again = prep.plan(
        {
            "source": str(tmp_path / "out/train"),
            "output": str(tmp_path / "again"),
            "layout": "tfrecord",
            "label_offset": 1,
            "first_label": 1,
        }
    )
    assert again.splits == {"train": 3}
    assert again.labels.number(again.classes[0]) == 1
    assert set(again.class_names.values()) == {"cat"}
    journal = Journal(again.config.output)
    journal.begin(again)
    origin = journal.source(again)
    read = {origin.read(entry) for entry in entries_of(again.manifest, again.classes)}
    assert read == {record_format("tfrecord").parse(record).image for record in records_of(plan)}


@pytest.mark.parametrize("format", ["tfrecord", "webdataset"])
def test_records_of_any_kind_may_have_more_features(
    format: str, source: Path, tmp_path: Path
) -> None:
    values: dict[str, Any] = {"format": format, "encoding": "raw"}
    plan = written(source, tmp_path / "out", features="height,width,filename,class_name", **values)
    assert plan.config.features == tuple(EXTRA_FEATURES)
    assert problems_of(plan) == []
    found = {}
    for record in records_of(plan):
        others = record_format(plan.config.format).others(record)
        path = os.fsencode(others["filename"][0])  # type: ignore[arg-type]
        assert os.fsencode(others["class_name"][0]) == b"cat"  # type: ignore[arg-type]
        found[os.fsdecode(path)] = others["height"] + others["width"]
    assert found == {f"train/cat/{name}": size for name, size in SHAPES.items()}
    plain = written(source, tmp_path / "plain", **values)
    images = [record_format(plan.config.format).parse(r) for r in records_of(plan)]
    assert images == [record_format(plan.config.format).parse(r) for r in records_of(plain)]
    assert "features" not in plain.fingerprint.parts
    assert len({plan.fingerprint.digest, plain.fingerprint.digest}) == 2


def forge(plan: RunPlan, number: int, record: bytes) -> None:
    """Put another record into the only shard, and make its receipt agree with the file."""
    format, (shard,) = record_format(plan.config.format), plan.shards
    records = records_of(plan)
    records[number] = record
    path = Path(plan.config.output) / shard.split / shard.name
    with path.open("wb") as file:
        writer = format.writer(file)
        for each in records:
            writer.write((each,))
        writer.finish()
    data = path.read_bytes()
    receipt = Path(plan.config.output) / f".prep/receipts/{shard.split}/00000.json"
    told = json.loads(receipt.read_bytes())
    told |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    receipt.write_text(json.dumps(told))


@pytest.mark.parametrize("record", ["prep", "tf-slim"])
def test_an_edit_of_any_feature_is_found_and_named(
    record: str, source: Path, tmp_path: Path
) -> None:
    plan = written(source, tmp_path / "out", record=record, features="width,filename")
    before = records_of(plan)[1]
    edited = tf.train.Example.FromString(before)
    for name, feature in sorted(edited.features.feature.items()):
        edit = tf.train.Example.FromString(before)
        if name == plan.features.image:
            continue  # The sums and the digest tell of these.
        if feature.HasField("int64_list"):
            edit.features.feature[name].int64_list.value[0] += 1
        else:
            edit.features.feature[name].bytes_list.value[0] += b"x"
        forge(plan, 1, edit.SerializeToString(deterministic=True))
        (problem,) = problems_of(plan)
        if name == plan.features.label:
            assert "expected record 1 to have label 0 ('cat'); found label 1" in problem
        else:
            assert f"expected record 1 to have '{name}' " in problem
    more = tf.train.Example.FromString(before)
    more.features.feature["more"].int64_list.value[:] = [1, 2]
    forge(plan, 1, more.SerializeToString(deterministic=True))
    assert "expected record 1 to have 'more' not at all; found [1, 2]" in problems_of(plan)[0]
    forge(plan, 1, edited.SerializeToString(deterministic=True)[:-1])
    assert "not a serialized tf.train.Example" in problems_of(plan)[0]
    forge(plan, 1, before)
    assert problems_of(plan) == []


@pytest.mark.parametrize("record", ["prep", "tf-slim"])
def test_merged_records_have_the_names_that_images_have_then(
    record: str, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prep.operations.publish._update_page", lambda *_: None)
    monkeypatch.setattr("prep.operations.growth.merge.placed", placed_here)
    tree = {
        "train": {"cat": {"0.jpg": jpeg(picture(30, 36))}}
    }  # There is one of this name already.
    other = write_tree(tmp_path / "more", tree)
    outputs = [tmp_path / "a", tmp_path / "b"]
    keys: dict[str, Any] = {"size": 16, "record": record, "features": "filename,width"}
    for place, output in zip((source, other), outputs, strict=True):
        prepare(prep.Config(source=str(place), output=str(output), **keys))
    prep.merge(outputs, tmp_path / "out")
    plan = Journal(tmp_path / "out").stored_plan()
    assert plan is not None
    assert plan.config.record == record
    found = [record_format("tfrecord").others(each) for each in records_of(plan)]
    names = [os.fsdecode(each["filename"][0]) for each in found]  # type: ignore[arg-type]
    assert names[-1].endswith("more/train/cat/0.jpg")
    assert found[-1]["width"] == (36,)
    assert sorted(each["width"] for each in found) == [(36,), (40,), (48,), (90,)]
    if record == "tf-slim":
        assert [each["image/filename"] for each in found] == [each["filename"] for each in found]
    assert examine(tmp_path / "out").problems == ()


def test_sizes_of_sources_can_not_be_verified_without_the_measures_of_a_receipt(
    source: Path, tmp_path: Path
) -> None:
    plan = written(source, tmp_path / "out", features="width")
    receipt = tmp_path / "out/.prep/receipts/train/00000.json"
    told = json.loads(receipt.read_bytes())
    receipt.write_text(json.dumps({**told, "measures": ""}))
    assert "expected measures of records: 3; found 0" in problems_of(plan)[0]


def test_show_tells_all_features(source: Path, tmp_path: Path) -> None:
    plan = written(source, tmp_path / "out", record="tf-slim", features="width")
    assert "image/encoded" not in find_record(plan.config.output, 0).features
    told = CliRunner().invoke(main, ["show", plan.config.output, "0"]).stdout
    rows = dict(line.split(None, 1) for line in told.splitlines())
    assert rows["image/format"] == "jpeg"
    assert rows["image/height"] == "24"
    assert rows["image/filename"].startswith("train/cat/")
    assert int(rows["width"]) in {width for _, width in SHAPES.values()}


@pytest.mark.parametrize(
    ("keys", "error", "told"),
    [
        ({"format": "webdataset"}, ConfigError, "record: got tf-slim, .* format is webdataset"),
        (
            {"encoding": "float32", "mean_file": "mean.json"},
            *(ConfigError, "record: got tf-slim, whose readers take vectors for uint8"),
        ),
        ({"features": "hight"}, ConfigError, "features: 'hight': unknown feature; .* 'height'"),
        ({"label_map": {"cat": [1, 0], "dog": [0, 1]}}, LabelError, "label map: got one-hot lists"),
        (
            {"label_map": {"cat": 0, "dog": 1}, "first_label": 1},
            *(ConfigError, "first_label: got 1, and the label map .* numbers the classes"),
        ),
    ],
)
def test_what_records_of_tf_slim_cannot_hold_is_an_error_before_any_work(
    keys: dict[str, Any], error: type[Exception], told: str, source: Path, tmp_path: Path
) -> None:
    with pytest.raises(error, match=told):
        prep.plan({"source": str(source), "output": str(tmp_path), "record": "tf-slim", **keys})
