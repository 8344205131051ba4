"""Whole runs on a real cluster: results, reruns and conflicts."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
import shutil
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import tensorflow as tf
from distributed import Client

import prep
from prep.errors import (
    BadImageError,
    ConfigError,
    LabelError,
    OutputConflict,
    RefusedImage,
    ShardError,
)
from prep.execution.dask import DaskExecutor
from prep.execution.writing import write_serially, write_shards
from prep.images.processor import ImageProcessor
from prep.output.committed import Receipts
from prep.output.journal import Journal
from prep.output.receipt import SplitTotals
from prep.planning.shards import ShardSpec
from prep.settings.image_settings import ImageSettings
from prep.shards.writer import RunRef
from tests.support.clusters import contents, wait_until
from tests.support.gates import Gate
from tests.support.outputs import without_derived
from tests.support.pictures import jpeg, picture, write_tree

SIZE = 32
PIXELS = SIZE * SIZE
TREE = {"train": {"bird": 4, "cat": 9, "dog": 6}, "val": {"cat": 3, "dog": 2}}
GOOD = jpeg(picture(60, 80))
BAD = {
    "cut-off.jpg": GOOD[: len(GOOD) // 2],
    "empty.jpg": b"",
    "page.jpg": b"<!doctype html><title>404</title>",
}
# All three are sums of a few powers of two, so that subtracting them from samples is exact.
MEAN = {"R": 120.5, "G": 116.25, "B": 104.0}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 good images and 3 bad ones, in two splits."""
    root = write_tree(tmp_path_factory.mktemp("runs") / "source", TREE)
    return write_tree(root, {"train": {"cat": BAD}})


@pytest.fixture
def own_source(tmp_path: Path) -> Path:
    """A source that a test may change."""
    return write_tree(tmp_path / "source", {"train": {"cat": 7, "dog": 5}})


def config(source: Path, output: Path, **more: Any) -> prep.Config:
    values = {"size": SIZE, "images_per_shard": 4, **more}
    return prep.Config(source=str(source), output=str(output), **values)


def shards(output: Path) -> dict[str, bytes]:
    return contents(output, "*/*.tfrecord")


def stamps(output: Path) -> dict[str, tuple[int, int]]:
    """Return inodes and times of modification; both change when a file is published."""
    files = (path for path in output.glob("**/*") if path.is_file() and path.name != "lock")
    return {
        str(path.relative_to(output)): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in files
    }


def read_json(path: Path) -> Any:
    return json.loads(path.read_bytes())


def receipts(output: Path) -> list[dict[str, Any]]:
    return [read_json(path) for path in sorted(output.glob(".prep/receipts/*/*.json"))]


def read_records(
    output: Path, split: str, compression: str = "", width: int | None = None
) -> list[tuple[Any, bytes]]:
    """(label, image_raw) of all records of a split, as TensorFlow reads them."""
    features = {
        "label": tf.io.FixedLenFeature([] if width is None else [width], tf.int64),
        "image_raw": tf.io.FixedLenFeature([], tf.string),
    }
    files = sorted(os.fsencode(path) for path in (output / split).glob("*.tfrecord"))
    records = tf.data.TFRecordDataset(files, compression_type=compression)
    examples = records.map(lambda record: tf.io.parse_single_example(record, features))
    return [
        (example["label"].tolist(), example["image_raw"])
        for example in examples.as_numpy_iterator()
    ]


def processed(folder: Path, **settings: Any) -> list[tuple[str, bytes]]:
    """(class, image) of each usable image below a split's folder, one image at a time."""
    processor = ImageProcessor(ImageSettings(size=SIZE, **settings))
    found = []
    for path in sorted(folder.glob("*/*")):
        with contextlib.suppress(RefusedImage):
            found.append((path.parent.name, processor(path.read_bytes()).image))
    return found


def squares(folder: Path) -> np.ndarray:
    """The usable images below a folder as one array of squares."""
    images = [np.frombuffer(raw, np.uint8) for _, raw in processed(folder, encoding="raw")]
    return np.stack(images).reshape(-1, SIZE, SIZE, 3)


def begin(made: prep.RunPlan) -> RunRef:
    """Makes an output ready for a plan, as a run does before it writes shards."""
    journal = Journal(made.config.output)
    journal.begin(made)
    root, digest = str(journal.layout.root), made.fingerprint.digest
    return RunRef(output=root, digest=digest, run=uuid.uuid4().hex)


def sorted_totals(totals: SplitTotals) -> dict[str, Any]:
    """The one thing about totals that depends on the order of merging is that of findings."""
    return {
        split: (t, t.written, sorted(t.findings, key=lambda finding: finding.path))
        for split, t in totals.items()
    }


# What is written


def test_the_cluster_writes_what_the_serial_path_writes(
    source: Path, tmp_path: Path, client: Client
) -> None:
    one, other = (
        prep.plan(config(source, tmp_path / "1")),
        prep.plan(config(source, tmp_path / "2")),
    )
    serial = write_serially(one.shards, begin(one))
    distributed = write_shards(other.shards, begin(other), DaskExecutor(client))
    assert sorted_totals(distributed) == sorted_totals(serial)
    assert len(shards(tmp_path / "1")) == len(one.shards) == 8
    assert shards(tmp_path / "2") == shards(tmp_path / "1")


@pytest.mark.parametrize("workers", [1, 3])
def test_bytes_do_not_depend_on_the_number_of_workers(
    workers: int, source: Path, tmp_path: Path, client: Client
) -> None:
    (tmp_path / "mean.json").write_text(json.dumps(MEAN))
    variants: list[dict[str, Any]] = [
        {},
        {"compression": "GZIP"},
        {"encoding": "raw", "compression": "ZLIB"},
        {"encoding": "float32", "mean_file": str(tmp_path / "mean.json")},
    ]
    with prep.cluster(workers=workers) as others:
        for number, variant in enumerate(variants):
            two, many = tmp_path / f"{number}-two", tmp_path / f"{number}-many"
            prep.run(config(source, two, **variant), client)
            prep.run(config(source, many, **variant), others)
            assert len(shards(two)) == 8
            assert shards(many) == shards(two)
            for name in ("mean_rgb.json", "label_map.json"):
                assert (many / name).read_bytes() == (two / name).read_bytes()


@pytest.mark.parametrize("compression", [None, "GZIP", "ZLIB"])
@pytest.mark.parametrize("encoding", ["jpeg", "raw"])
def test_every_usable_image_is_written_exactly_once(
    encoding: str, compression: str | None, source: Path, tmp_path: Path, client: Client
) -> None:
    report = prep.run(config(source, tmp_path, encoding=encoding, compression=compression), client)
    assert report.images == {"planned": 27, "written": 24, "refused": 3}
    labels = {"bird": 0, "cat": 1, "dog": 2}
    for split in ("train", "val"):
        written = read_records(tmp_path, split, compression or "")
        expected = [(labels[c], i) for c, i in processed(source / split, encoding=encoding)]
        assert Counter(written) == Counter(expected)


def test_float32_records_are_the_samples_less_the_mean(
    source: Path, tmp_path: Path, client: Client
) -> None:
    (tmp_path / "mean.json").write_text(json.dumps(MEAN))
    prep.run(
        config(source, tmp_path, encoding="float32", mean_file=str(tmp_path / "mean.json")), client
    )
    expected = squares(source / "train") - np.array([*MEAN.values()], np.float32)
    written = [tf.io.decode_raw(raw, tf.float32) for _, raw in read_records(tmp_path, "train")]
    assert Counter(w.numpy().tobytes() for w in written) == Counter(e.tobytes() for e in expected)


def test_a_class_is_spread_over_the_shards(tmp_path: Path, client: Client) -> None:
    source = write_tree(tmp_path / "source", {"train": {"cat": 40, "dog": 40}})
    prep.run(config(source, tmp_path / "out", images_per_shard=20), client)
    for receipt in (tmp_path / "out/.prep/receipts/train").iterdir():
        # Unshuffled, a shard would be all cats or all dogs. 20 of 80 drawn at random hold fewer
        # than 3 of either kind once in 100,000 times.
        assert min(read_json(receipt)["written"].values()) >= 3


def test_seeds_give_other_orders_of_the_same_records(
    source: Path, tmp_path: Path, client: Client
) -> None:
    for seed in (1, 2):
        prep.run(config(source, tmp_path / str(seed), seed=seed), client)
    one, two = (read_records(tmp_path / str(seed), "train") for seed in (1, 2))
    assert one != two
    assert Counter(one) == Counter(two)


def test_class_folders_without_splits_are_the_train_split(tmp_path: Path, client: Client) -> None:
    source = write_tree(tmp_path / "source", {".": {"cat": 5, "dog": 3}})
    report = prep.run(config(source, tmp_path / "out"), client)
    assert report.classes == {"train": {"cat": 5, "dog": 3}}
    assert sorted(shards(tmp_path / "out")) == [
        "train/train-00000-of-00002.tfrecord",
        "train/train-00001-of-00002.tfrecord",
    ]


# Labels


def test_built_labels_are_written_out(own_source: Path, tmp_path: Path, client: Client) -> None:
    prep.run(config(own_source, tmp_path / "out"), client)
    assert read_json(tmp_path / "out/label_map.json") == {"cat": 0, "dog": 1}
    labels = Counter(label for label, _ in read_records(tmp_path / "out", "train"))
    assert labels == {0: 7, 1: 5}


@pytest.mark.parametrize("where", ["a file", "the source", "the config"])
def test_given_labels_are_used(
    where: str, own_source: Path, tmp_path: Path, client: Client
) -> None:
    given = {"dog": 70, "cat": -3, "unicorn": 5}
    beside, elsewhere = own_source / "label_map.json", tmp_path / "labels.json"
    label_map: Any = {"a file": str(elsewhere), "the source": None, "the config": given}[where]
    (beside if where == "the source" else elsewhere).write_text(json.dumps(given))
    prep.run(config(own_source, tmp_path / "out", label_map=label_map), client)
    labels = Counter(label for label, _ in read_records(tmp_path / "out", "train"))
    assert labels == {-3: 7, 70: 5}
    assert read_json(tmp_path / "out/label_map.json") == given


def test_one_hot_labels_are_written_as_lists(
    own_source: Path, tmp_path: Path, client: Client
) -> None:
    given = {"dog": [0, 1, 0], "cat": [0, 0, 1], "unicorn": [1, 0, 0]}
    prep.run(config(own_source, tmp_path / "out", label_map=given), client)
    labels = [tuple(label) for label, _ in read_records(tmp_path / "out", "train", width=3)]
    assert Counter(labels) == {(0, 0, 1): 7, (0, 1, 0): 5}
    assert read_json(tmp_path / "out/label_map.json") == given


def test_a_class_without_a_label_stops_it_before_it_begins(
    own_source: Path, tmp_path: Path, client: Client
) -> None:
    with pytest.raises(LabelError, match="'dog'"):
        prep.run(config(own_source, tmp_path / "out", label_map={"cat": 0}), client)
    assert not (tmp_path / "out").exists()


# Mean and report


def test_the_mean_is_that_of_the_crops_of_train(
    source: Path, tmp_path: Path, client: Client
) -> None:
    report = prep.run(config(source, tmp_path), client)
    train = squares(source / "train").astype(np.int64)
    sums, pixels = train.sum(axis=(0, 1, 2)), len(train) * PIXELS
    mean = {channel: int(s) / pixels for channel, s in zip("RGB", sums, strict=True)}
    assert report.mean == mean
    stored = read_json(tmp_path / "mean_rgb.json")
    assert {channel: stored[channel] for channel in "RGB"} == mean
    assert (stored["of"], stored["images"], stored["scale"]) == (["train"], len(train), 255)
    std = train.astype(float).std(axis=(0, 1, 2))
    assert list(report.std.values()) == pytest.approx(list(std), rel=1e-12)
    assert stored["std"] == report.std
    covariance = np.cov(train.reshape(-1, 3).T, bias=True)
    assert np.array(stored["covariance"]) == pytest.approx(covariance, rel=1e-12)
    told = read_json(tmp_path / "report.json")
    for name in ("covariance", "eigenvalues", "eigenvectors"):
        assert told[name] == stored[name]
    values, vectors = np.array(told["eigenvalues"]), np.array(told["eigenvectors"])
    assert (vectors.T * values) @ vectors == pytest.approx(covariance, rel=1e-9)


def test_without_a_train_split_the_mean_is_that_of_all(
    source: Path, tmp_path: Path, client: Client
) -> None:
    both = tmp_path / "source"
    shutil.copytree(source / "train", both / "one")
    shutil.copytree(source / "val", both / "two")
    report = prep.run(config(both, tmp_path / "out", layout="splits"), client)
    stored = read_json(tmp_path / "out/mean_rgb.json")
    assert report.mean == {channel: stored[channel] for channel in "RGB"}
    assert (stored["of"], stored["images"]) == (["one", "two"], 24)
    sums = squares(both / "one").astype(np.int64).sum(axis=(0, 1, 2))
    sums += squares(both / "two").astype(np.int64).sum(axis=(0, 1, 2))
    assert list(report.mean.values()) == [int(s) / (24 * PIXELS) for s in sums]


def test_tensorflow_finds_the_same_mean_in_raw_shards(
    source: Path, tmp_path: Path, client: Client
) -> None:
    prep.run(config(source, tmp_path, encoding="raw", compression="GZIP"), client)
    images = [tf.io.decode_raw(raw, tf.uint8) for _, raw in read_records(tmp_path, "train", "GZIP")]
    samples = tf.cast(tf.reshape(tf.stack(images), (-1, 3)), tf.int64)
    mean = tf.reduce_sum(samples, axis=0) / samples.shape[0]
    stored = read_json(tmp_path / "mean_rgb.json")
    assert [stored[channel] for channel in "RGB"] == mean.numpy().tolist()


def test_the_report_tells_all(source: Path, tmp_path: Path, client: Client) -> None:
    asked = config(source, tmp_path, compression="GZIP", seed=5)
    prep.run(asked, client)
    report = read_json(tmp_path / "report.json")
    files = shards(tmp_path)
    sources = contents(source, "*/*/*.jpg")
    assert report["images"] == {"planned": len(sources), "written": 24, "refused": 3}
    assert report["shards"] == len(files)
    assert report["bytes"] == sum(map(len, files.values()))
    assert report["source_bytes"] == sum(map(len, sources.values()))
    assert report["seconds"] > 0
    assert 0 <= report["start_seconds"] <= report["seconds"]
    work = report["seconds"] - report["start_seconds"]
    assert report["images_per_second"] == pytest.approx(27 / work, rel=0.05)
    stored = read_json(tmp_path / "mean_rgb.json")
    assert report["mean"] == {channel: stored[channel] for channel in "RGB"}
    assert report["mean"] == report["splits"]["train"]["mean"]
    assert report["std"] == report["splits"]["train"]["std"]
    assert report["classes"] == TREE
    assert report["config"] == asked.model_dump(mode="json")
    assert report["fingerprint"] == prep.plan(asked).fingerprint.digest
    assert {"prep", "python", "dask", "numpy", "opencv", "simplejpeg"} <= report["versions"].keys()


def test_the_splits_of_a_report_add_up(source: Path, tmp_path: Path, client: Client) -> None:
    report = prep.run(config(source, tmp_path), client)
    for split in ("train", "val"):
        part, files = report.splits[split], shards(tmp_path / split / "..")
        sizes = [len(data) for name, data in files.items() if name.startswith(split)]
        assert (part["shards"], part["bytes"]) == (len(sizes), sum(sizes))
        assert part["planned"] == part["written"] + part["refused"]
        assert part["written"] == len(read_records(tmp_path, split))
    for name in ("planned", "written", "refused"):
        assert report.images[name] == sum(part[name] for part in report.splits.values())


def test_the_chosen_number_of_images_in_a_shard_is_reported(
    source: Path, tmp_path: Path, client: Client
) -> None:
    report = prep.run(config(source, tmp_path, images_per_shard=None), client)
    assert report.config["images_per_shard"] == 32
    assert report.shards == 2


def test_the_report_prints_as_a_summary(source: Path, tmp_path: Path, client: Client) -> None:
    text = repr(prep.run(config(source, tmp_path), client))
    assert "24 written, 3 refused, of 27 planned" in text
    assert str(tmp_path) in text


# Images that can't be used


def test_refused_images_are_named_with_their_reasons(
    source: Path, tmp_path: Path, client: Client
) -> None:
    report = prep.run(config(source, tmp_path), client)
    assert [(image["path"], image["reason"]) for image in report.refused] == [
        ("train/cat/cut-off.jpg", "truncated"),
        ("train/cat/empty.jpg", "empty"),
        ("train/cat/page.jpg", "not an image"),
    ]
    assert read_json(tmp_path / "report.json")["refused"] == list(report.refused)


def test_an_image_that_vanishes_after_the_plan_is_refused(
    own_source: Path, tmp_path: Path, client: Client
) -> None:
    made = prep.plan(config(own_source, tmp_path / "out"))
    run_ref = begin(made)
    (own_source / "train/cat/0003.jpg").unlink()
    (total,) = write_shards(made.shards, run_ref, DaskExecutor(client)).values()
    assert [(r.path, r.reason) for r in total.refused] == [("train/cat/0003.jpg", "unreadable")]
    assert total.images == 11


@pytest.mark.parametrize("kind", ["dangling link", "pipe", "folder link"])
def test_what_is_no_file_is_refused_as_unreadable(
    kind: str, own_source: Path, tmp_path: Path, client: Client
) -> None:
    path = own_source / "train/cat/strange.jpg"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("nowhere" if kind == "dangling link" else path.parent)
    report = prep.run(config(own_source, tmp_path / "out"), client)
    if kind == "folder link":  # Seen to be a folder when the source is listed.
        assert report.images == {"planned": 12, "written": 12, "refused": 0}
    else:
        assert report.images == {"planned": 13, "written": 12, "refused": 1}
        assert report.refused[0]["reason"] == "unreadable"


def test_nothing_but_bad_images_is_a_run_without_records(tmp_path: Path, client: Client) -> None:
    source = write_tree(tmp_path / "source", {"train": {"cat": BAD}})
    report = prep.run(config(source, tmp_path / "out"), client)
    assert report.images == {"planned": 3, "written": 0, "refused": 3}
    assert report.mean is report.std is None
    assert not (tmp_path / "out/mean_rgb.json").exists()
    assert read_records(tmp_path / "out", "train") == []
    assert "3 refused" in repr(report)


def test_a_run_may_be_told_to_stop_at_a_bad_image(
    source: Path, tmp_path: Path, client: Client
) -> None:
    with pytest.raises(BadImageError, match=r"'train/cat/\S+\.jpg' was refused"):
        prep.run(config(source, tmp_path, on_bad_image="fail"), client)
    assert not (tmp_path / "report.json").exists()


def test_a_stop_does_not_disturb_what_else_the_client_does(
    source: Path,
    own_source: Path,
    tmp_path: Path,
    client: Client,
    caplog: pytest.LogCaptureFixture,
) -> None:
    mine, before = client.submit(sum, [20, 22]), worker_pids(client)
    mine.result()
    with pytest.raises(BadImageError):
        prep.run(config(source, tmp_path / "stopped", on_bad_image="fail"), client)
    report = prep.run(config(own_source, tmp_path / "next"), client)
    assert report.images["written"] == 12
    assert mine.status == "finished"
    assert worker_pids(client) == before
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_a_stopped_run_goes_on_when_told_not_to_mind(
    source: Path, tmp_path: Path, client: Client
) -> None:
    with pytest.raises(BadImageError):
        prep.run(config(source, tmp_path / "out", on_bad_image="fail"), client)
    report = prep.run(config(source, tmp_path / "out"), client)
    assert report.images == {"planned": 27, "written": 24, "refused": 3}


def test_a_finished_run_with_refused_images_fails_when_asked_to(
    source: Path, tmp_path: Path, client: Client
) -> None:
    prep.run(config(source, tmp_path), client)
    with pytest.raises(BadImageError):
        prep.run(config(source, tmp_path, on_bad_image="fail"), client)


# Names


ODD_NAMES = [
    "with space",
    "naïve 猫",
    "new\nline",
    "-rf",
    "[bold]*?",
    "quote'\"",
    "tab\t\x1b[31m",
    os.fsdecode(b"latin-1 \xe9"),
]


def test_odd_class_names(tmp_path: Path, client: Client) -> None:
    source = write_tree(tmp_path / "source", {"train": dict.fromkeys(ODD_NAMES, 2)})
    report = prep.run(config(source, tmp_path / "out"), client)
    assert report.classes == {"train": dict.fromkeys(sorted(ODD_NAMES), 2)}
    numbers = read_json(tmp_path / "out/label_map.json")
    expected = [(numbers[name], image) for name, image in processed(source / "train")]
    assert len(expected) == 2 * len(ODD_NAMES)
    assert Counter(read_records(tmp_path / "out", "train")) == Counter(expected)
    assert len(list(prep.load(tmp_path / "out", "train"))) == 2 * len(ODD_NAMES)


def test_odd_split_and_file_names(tmp_path: Path, client: Client) -> None:
    files = {f"{name}.jpg": GOOD for name in ODD_NAMES}
    source = write_tree(tmp_path / "source", {name: {"cat": files} for name in ODD_NAMES})
    report = prep.run(config(source, tmp_path / "out", layout="splits"), client)
    assert report.images["written"] == len(ODD_NAMES) ** 2
    for name in ODD_NAMES:
        assert len(list(prep.load(tmp_path / "out", name))) == len(ODD_NAMES)
    assert repr(report)


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_an_odd_split_name_does_not_disturb_the_workers(tmp_path: Path) -> None:
    source = write_tree(tmp_path / "source", {ODD_NAMES[-1]: {"cat": {"0.jpg": GOOD}}})
    for number in range(1, 1000):
        os.link(source / ODD_NAMES[-1] / "cat/0.jpg", source / ODD_NAMES[-1] / f"cat/{number}.jpg")
    # One shard that takes longer than it takes until a worker tells how far it is.
    asked = config(source, tmp_path / "out", size=512, images_per_shard=1000, layout="splits")
    with prep.cluster(workers=1) as own:
        before = worker_pids(own)
        assert prep.run(asked, own).images["written"] == 1000
        assert worker_pids(own) == before


def test_an_odd_name_of_a_bad_image_is_told_as_it_is(tmp_path: Path, client: Client) -> None:
    files = {f"{name}.jpg": b"no image" for name in ODD_NAMES}
    source = write_tree(tmp_path / "source", {"train": {"cat": {**files, "good.jpg": GOOD}}})
    prep.run(config(source, tmp_path / "out"), client)
    refused = read_json(tmp_path / "out/report.json")["refused"]
    names = [Path(image["path"]).name for image in refused]
    assert sorted(names) == sorted(files)
    assert all((source / image["path"]).exists() for image in refused)


# Going on


def lose_a_receipt(output: Path) -> None:
    (output / ".prep/receipts/train/00001.json").unlink()


def lose_a_shard(output: Path) -> None:
    (output / "train/train-00001-of-00003.tfrecord").unlink()


def cut_a_shard(output: Path) -> None:
    os.truncate(output / "train/train-00001-of-00003.tfrecord", 1000)


def garble_a_receipt(output: Path) -> None:
    (output / ".prep/receipts/train/00001.json").write_text('{"split": "tr')


def swap_a_receipt(output: Path) -> None:
    """A receipt that says that it belongs to another run."""
    path = output / ".prep/receipts/train/00001.json"
    path.write_text(json.dumps({**read_json(path), "fingerprint": "0" * 64}))


@pytest.mark.parametrize(
    "harm", [lose_a_receipt, lose_a_shard, cut_a_shard, garble_a_receipt, swap_a_receipt]
)
def test_only_what_is_missing_is_written_again(
    harm: Callable[[Path], None], own_source: Path, tmp_path: Path, client: Client
) -> None:
    output = tmp_path / "out"
    first = prep.run(config(own_source, output), client)
    before, bytes_before = stamps(output), shards(output)
    harm(output)
    report = prep.run(config(own_source, output), client)
    after = stamps(output)
    redone = {name for name in after if after[name] != before.get(name)}
    of_the_run = {"report.json", "report.html", "mean_rgb.json", ".prep/history.json"}
    assert without_derived(redone) - of_the_run == {
        ".prep/receipts/train/00001.json",
        "train/train-00001-of-00003.tfrecord",
    }
    assert shards(output) == bytes_before
    assert (first.resumed_shards, report.resumed_shards) == (0, 2)
    for name in ("images", "bytes", "source_bytes", "mean", "std", "classes", "shards"):
        assert getattr(report, name) == getattr(first, name)


@pytest.mark.pages
def test_a_complete_run_does_nothing_when_run_again(
    own_source: Path, tmp_path: Path, client: Client
) -> None:
    first = prep.run(config(own_source, tmp_path / "out"), client)
    before = stamps(tmp_path / "out")
    again = prep.run(config(own_source, tmp_path / "out"), client)
    assert stamps(tmp_path / "out") == before
    assert again.resumed_shards == again.shards == 3
    assert dataclasses.replace(again, resumed_shards=0) == first


def test_a_complete_run_reads_each_receipt_once_when_run_again(
    own_source: Path, tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    prep.run(config(own_source, tmp_path / "out"), client)
    read: list[int] = []
    receipt_of = Receipts.of

    def counting(receipts: Receipts, shard: ShardSpec, *more: Any) -> Any:
        read.append(shard.index)
        return receipt_of(receipts, shard, *more)

    monkeypatch.setattr(Receipts, "of", counting)
    prep.run(config(own_source, tmp_path / "out"), client)
    assert read == [0, 1, 2]


def test_a_complete_run_needs_no_cluster_to_be_run_again(
    own_source: Path, tmp_path: Path, client: Client
) -> None:
    prep.run(config(own_source, tmp_path / "out"), client)
    spec = tmp_path / "cluster.yaml"
    spec.write_text(
        "{version: 1, address: 'tcp://127.0.0.1:1'}"  # Nobody answers there.
    )
    assert prep.run(config(own_source, tmp_path / "out"), cluster=spec).shards == 3


@pytest.mark.parametrize("name", ["mean_rgb.json", "label_map.json", "report.json"])
def test_a_file_that_went_missing_is_written_again(
    name: str, own_source: Path, tmp_path: Path, client: Client
) -> None:
    prep.run(config(own_source, tmp_path / "out"), client)
    before = read_json(tmp_path / "out" / name)
    (tmp_path / "out" / name).unlink()
    prep.run(config(own_source, tmp_path / "out"), client)
    after = read_json(tmp_path / "out" / name)
    for timing in ("seconds", "start_seconds", "images_per_second", "resumed_shards"):
        before.pop(timing, None), after.pop(timing, None)
    assert after == before


def test_what_dead_attempts_left_is_cleared_away(
    own_source: Path, tmp_path: Path, client: Client
) -> None:
    prep.run(config(own_source, tmp_path / "out"), client)
    half = tmp_path / f"out/train/.{uuid.uuid4().hex}.partial"
    half.write_bytes(b"half a shard")
    (tmp_path / "out/train/train-00001-of-00003.tfrecord").unlink()
    prep.run(config(own_source, tmp_path / "out"), client)
    assert not half.exists()


def test_the_source_may_move_between_runs(own_source: Path, tmp_path: Path, client: Client) -> None:
    prep.run(config(own_source, tmp_path / "out"), client)
    before = shards(tmp_path / "out")
    lose_a_shard(tmp_path / "out")
    moved = own_source.rename(tmp_path / "moved")
    report = prep.run(config(moved, tmp_path / "out"), client)
    assert report.refused == ()
    assert shards(tmp_path / "out") == before


def test_the_source_may_move_before_it_is_prepared_afresh(
    own_source: Path, tmp_path: Path, client: Client
) -> None:
    prep.run(config(own_source, tmp_path / "out"), client)
    before = shards(tmp_path / "out")
    moved = own_source.rename(tmp_path / "moved")
    report = prep.run(config(moved, tmp_path / "out"), client, overwrite=True)
    assert report.refused == ()
    assert shards(tmp_path / "out") == before


def test_the_output_may_move_between_runs(own_source: Path, tmp_path: Path, client: Client) -> None:
    prep.run(config(own_source, tmp_path / "out"), client)
    before = shards(tmp_path / "out")
    moved = (tmp_path / "out").rename(tmp_path / "moved")
    lose_a_shard(moved)
    prep.run(config(own_source, moved), client)
    assert shards(moved) == before
    assert not (tmp_path / "out").exists()


def test_two_runs_on_one_client_are_both_carried_out(
    own_source: Path, tmp_path: Path, client: Client
) -> None:
    for name in ("one", "two"):
        report = prep.run(config(own_source, tmp_path / name), client)
        assert report.resumed_shards == 0
    assert len(shards(tmp_path / "one")) == 3
    assert shards(tmp_path / "one") == shards(tmp_path / "two")


def test_an_output_prepared_afresh_is_written_afresh(
    own_source: Path, tmp_path: Path, client: Client
) -> None:
    prep.run(config(own_source, tmp_path / "out"), client)
    before, bytes_before = stamps(tmp_path / "out"), shards(tmp_path / "out")
    report = prep.run(config(own_source, tmp_path / "out"), client, overwrite=True)
    assert report.resumed_shards == 0
    assert shards(tmp_path / "out") == bytes_before
    after = stamps(tmp_path / "out")
    assert all(after[name] != before[name] for name in bytes_before)


# Outputs that hold something else


def add_an_image(source: Path) -> dict[str, Any]:
    (source / "train/cat/new.jpg").write_bytes(GOOD)
    return {}


def remove_an_image(source: Path) -> dict[str, Any]:
    (source / "train/cat/0000.jpg").unlink()
    return {}


def change_an_image(source: Path) -> dict[str, Any]:
    (source / "train/cat/0000.jpg").write_bytes(GOOD)
    return {}


def move_an_image(source: Path) -> dict[str, Any]:
    (source / "train/cat/0000.jpg").rename(source / "train/dog/moved.jpg")
    return {}


def add_a_split(source: Path) -> dict[str, Any]:
    write_tree(source, {"val": {"cat": 1}})
    return {}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda source: {"size": 48}, "size: 32 there, 48 here"),
        (lambda source: {"quality": 80}, "quality: 90 there, 80 here"),
        (lambda source: {"seed": 1}, "seed: 0 there, 1 here"),
        (lambda source: {"compression": "GZIP"}, "compression: none there, GZIP here"),
        (lambda source: {"encoding": "raw"}, "encoding: jpeg there, raw here"),
        (lambda source: {"interpolation": "linear"}, "interpolation: bilinear there, linear here"),
        (lambda source: {"images_per_shard": 5}, "images_per_shard: 4 there, 5 here"),
        (lambda source: {"label_map": {"cat": 1, "dog": 0}}, "label map: "),
        (add_an_image, "images: "),
        (remove_an_image, "images: "),
        (change_an_image, "images: "),
        (move_an_image, "images: "),
        (add_a_split, "splits: "),
    ],
)
def test_an_output_of_another_run_is_left_alone(
    change: Callable[[Path], dict[str, Any]],
    named: str,
    own_source: Path,
    tmp_path: Path,
    client: Client,
) -> None:
    prep.run(config(own_source, tmp_path / "out"), client)
    before = stamps(tmp_path / "out")
    with pytest.raises(OutputConflict) as caught:
        prep.run(config(own_source, tmp_path / "out", **change(own_source)), client)
    assert named in str(caught.value)
    assert "pass `overwrite=True`" in str(caught.value)
    assert stamps(tmp_path / "out") == before


def test_overwriting_replaces_the_old_run_and_nothing_else(
    source: Path, own_source: Path, tmp_path: Path, client: Client
) -> None:
    output = tmp_path / "out"
    prep.run(config(source, output), client)
    mine = {
        "notes.txt": b"mine",
        "train/notes.txt": b"mine too",
        "val/other-00000-of-00001.tfrecord": b"not a shard of val",
        "extra/train-00000-of-00001.tfrecord": b"in no split",
    }
    for name, data in mine.items():
        (output / name).parent.mkdir(exist_ok=True)
        (output / name).write_bytes(data)
    prep.run(config(own_source, output, images_per_shard=6), client, overwrite=True)
    assert {name: (output / name).read_bytes() for name in mine} == mine
    assert sorted(contents(output, "train/*")) == [
        "train/notes.txt",
        "train/train-00000-of-00002.tfrecord",
        "train/train-00001-of-00002.tfrecord",
    ]
    assert sorted(contents(output, "val/*")) == ["val/other-00000-of-00001.tfrecord"]
    assert not (output / ".prep/receipts/val").exists()


def test_a_split_folder_that_overwriting_empties_goes_away(
    source: Path, own_source: Path, tmp_path: Path, client: Client
) -> None:
    prep.run(config(source, tmp_path / "out"), client)
    prep.run(config(own_source, tmp_path / "out"), client, overwrite=True)
    assert not (tmp_path / "out/val").exists()


def test_shards_of_unknown_origin_are_in_the_way(
    own_source: Path, tmp_path: Path, client: Client
) -> None:
    foreign = tmp_path / "out/train/train-00000-of-00009.tfrecord"
    foreign.parent.mkdir(parents=True)
    foreign.write_bytes(b"by another program")
    with pytest.raises(OutputConflict, match=r"train-00000-of-00009.*`overwrite=True`"):
        prep.run(config(own_source, tmp_path / "out"), client)
    assert contents(tmp_path / "out") == {
        "train/train-00000-of-00009.tfrecord": b"by another program"
    }
    prep.run(config(own_source, tmp_path / "out"), client, overwrite=True)
    assert not foreign.exists()
    assert len(shards(tmp_path / "out")) == 3


def test_a_folder_named_like_a_shard_is_in_the_way_and_stays(
    own_source: Path, tmp_path: Path, client: Client
) -> None:
    mine = tmp_path / "out/train/train-00000-of-00009.tfrecord/mine.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(OutputConflict, match="train-00000-of-00009"):
            prep.run(config(own_source, tmp_path / "out"), client, overwrite=overwrite)
    assert contents(tmp_path / "out") == {"train/train-00000-of-00009.tfrecord/mine.txt": b"mine"}


def test_shards_of_unknown_origin_among_ours_are_in_the_way(
    own_source: Path, tmp_path: Path, client: Client
) -> None:
    prep.run(config(own_source, tmp_path / "out"), client)
    foreign = tmp_path / "out/train/train-00000-of-00009.tfrecord"
    foreign.write_bytes(b"by another program")
    # Whoever trains on train/*.tfrecord would read it, too.
    with pytest.raises(OutputConflict, match=r"train-00000-of-00009.*`overwrite=True`"):
        prep.run(config(own_source, tmp_path / "out"), client)


def test_files_of_the_user_are_not_replaced_unasked(
    own_source: Path, tmp_path: Path, client: Client
) -> None:
    mean = tmp_path / "out/mean_rgb.json"
    mean.parent.mkdir()
    mean.write_text(json.dumps(MEAN))
    with pytest.raises(OutputConflict, match=r"mean_rgb\.json"):
        prep.run(config(own_source, tmp_path / "out"), client)
    assert read_json(mean) == MEAN


# Places


def test_the_output_may_lie_in_the_source(own_source: Path, client: Client) -> None:
    asked = config(own_source, own_source / "prepared")
    for _ in range(2):  # The second time, with what the first has put there.
        report = prep.run(asked, client)
        assert report.images == {"planned": 12, "written": 12, "refused": 0}


def test_paths_may_be_relative_and_end_in_a_slash(
    own_source: Path, tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    prep.run(config(own_source, tmp_path / "absolute"), client)
    (tmp_path / "labels.json").write_text('{"cat": 0, "dog": 1}')
    monkeypatch.chdir(tmp_path)
    relative = prep.Config(
        source="source/",
        output="./relative/",
        label_map="labels.json",
        size=SIZE,
        images_per_shard=4,
    )
    prep.run(relative, client)
    assert len(shards(tmp_path / "absolute")) == 3
    assert shards(tmp_path / "relative") == shards(tmp_path / "absolute")


# Clusters


def worker_pids(client: Client) -> dict[str, int]:
    return client.run(os.getpid)


def test_a_given_client_is_left_as_it_was(own_source: Path, tmp_path: Path, client: Client) -> None:
    before, mine = worker_pids(client), client.submit(sum, [20, 22])
    prep.run(config(own_source, tmp_path / "out"), client)
    assert client.status == "running"
    assert worker_pids(client) == before
    assert mine.result() == 42
    assert {receipt["worker"].rpartition(":")[2] for receipt in receipts(tmp_path / "out")} <= {
        str(pid) for pid in before.values()
    }


def test_without_a_client_a_cluster_is_started_and_closed(own_source: Path, tmp_path: Path) -> None:
    before = set(psutil.Process().children(recursive=True))
    asked = config(own_source, tmp_path / "out", images_per_shard=1)
    report = prep.run(asked, workers=2, dashboard=True)
    assert report.images["written"] == 12
    workers = {receipt["worker"] for receipt in receipts(tmp_path / "out")}
    assert len(workers) == 2
    running = {f"{process.pid}" for process in psutil.process_iter()}
    assert not {worker.rpartition(":")[2] for worker in workers} & running
    left = set(psutil.Process().children(recursive=True)) - before
    assert not [process for process in left if "spawn_main" in " ".join(process.cmdline())]


def test_workers_and_a_client_contradict_each_other(
    own_source: Path, tmp_path: Path, client: Client
) -> None:
    with pytest.raises(ConfigError, match="workers"):
        prep.run(config(own_source, tmp_path / "out"), client, workers=2)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "place", ["train/train-00001-of-00003.tfrecord", ".prep/receipts/train/00001.json"]
)
def test_a_shard_that_cannot_be_written_is_named_and_the_others_are_committed(
    place: str, own_source: Path, tmp_path: Path, client: Client
) -> None:
    output = tmp_path / "out"
    made = prep.plan(config(own_source, output))
    run_ref = begin(made)
    # A folder that is not empty can't be replaced by a file, not even by root.
    (output / place / "something").mkdir(parents=True)
    with pytest.raises(ShardError, match=r"1 shards? failed: train/1 \(Is a directory: "):
        write_shards(made.shards, run_ref, DaskExecutor(client))
    committed = output.glob(".prep/receipts/train/*.json")
    assert [path.name for path in sorted(committed) if path.is_file()] == [
        "00000.json",
        "00002.json",
    ]
    assert not list(output.glob("**/.*.partial"))

    shutil.rmtree(output / place)
    report = prep.run(config(own_source, output), client)
    assert (report.images["written"], report.resumed_shards) == (12, 2)


def test_a_killed_worker_costs_nothing_but_time(tmp_path: Path) -> None:
    source = write_tree(tmp_path / "source", {"train": {"cat": 12, "dog": 12}})
    options = {"images_per_shard": 4}
    undisturbed = prep.plan(config(source, tmp_path / "undisturbed", **options))
    write_serially(undisturbed.shards, begin(undisturbed))
    output = tmp_path / "out"
    gate = Gate(tmp_path, first=4)
    with gate, prep.cluster(workers=2) as own, ThreadPoolExecutor(1) as pool:
        victim = psutil.Process(next(iter(worker_pids(own).values())))
        run = pool.submit(prep.run, config(source, output, **options), own)
        # Both are at their second shard.
        wait_until(
            lambda: len(receipts(output)) == 2 and len([*output.glob("train/.*.partial")]) == 4
        )
        victim.kill()
        assert not run.done()
        gate.open()
        report = run.result(timeout=60)
    assert report.images == {"planned": 24, "written": 24, "refused": 0}
    assert len(shards(output)) == 6
    assert shards(output) == shards(tmp_path / "undisturbed")
    assert not list(output.glob("**/.*.partial"))


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"PAR1")])
def test_a_manifest_that_was_lost_is_written_anew(
    damage: Callable[[Path], object], own_source: Path, tmp_path: Path, client: Client
) -> None:
    output = tmp_path / "out"
    prep.run(config(own_source, output), client)
    before = shards(output)
    (output / "train/train-00001-of-00003.tfrecord").unlink()
    damage(output / ".prep/manifest.parquet")
    report = prep.run(config(own_source, output), client)
    assert (report.images["written"], report.resumed_shards) == (12, 2)
    assert shards(output) == before


# Real photos


def test_real_photos(photos: Path, tmp_path: Path, client: Client) -> None:
    report = prep.run(
        prep.Config(source=str(photos), output=str(tmp_path), encoding="raw", splits="val"), client
    )
    files = sorted(path for path in (photos / "val").glob("*/*") if path.is_file())
    assert report.images == {"planned": len(files), "written": len(files), "refused": 0}
    numbers = read_json(photos / "label_map.json")
    by_class = Counter(numbers[path.parent.name] for path in files)
    written = read_records(tmp_path, "val")
    assert Counter(label for label, _ in written) == by_class
    samples = np.frombuffer(b"".join(image for _, image in written), np.uint8).reshape(-1, 3)
    assert len(samples) == len(files) * 256 * 256
    assert list(report.mean.values()) == samples.astype(np.int64).mean(axis=0).tolist()
