"""Images with the same bytes, and images that have changed."""

from __future__ import annotations

import csv
import errno
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from distributed import Client
from hypothesis import given
from hypothesis import strategies as st

import prep
from prep.errors import OutputConflict, TooManyRefused
from prep.output.journal import Journal
from prep.output.report.checksums import UNKNOWN, checksum_images, find_identical
from prep.output.report.duplicates import (
    Copies,
    Copy,
    changed_since_written,
    copies_in_run,
    summarise_copies,
    without_duplicates,
)
from prep.output.report.listings import decode_cell, publish_table
from prep.output.report.report import RunReport
from prep.shards.writer import RunRef, write_shard
from prep.sources.base import ImageEntry
from prep.sources.file_source import FileSource
from prep.sources.registry import open_source
from prep.storage.local import LocalPath
from prep.storage.location import Stamp
from tests.support.clusters import contents
from tests.support.pictures import jpeg, picture, write_tree

COPIES = {
    "train/dog/copy.jpg": "train/cat/0000.jpg",
    "val/cat/copy.jpg": "train/cat/0000.jpg",
    "train/dog/other-copy.jpg": "train/dog/0004.jpg",
}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """13 images, three of which are copies of others."""
    root = write_tree(tmp_path / "photos", {"train": {"cat": 4, "dog": 3}, "val": {"cat": 3}})
    for copy, original in COPIES.items():
        (root / copy).write_bytes((root / original).read_bytes())
    return root


def config(source: Path, output: Path, **more: Any) -> prep.Config:
    return prep.Config(
        source=str(source), output=str(output), **{"size": 32, "images_per_shard": 4, **more}
    )


def table(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", errors="surrogateescape") as file:
        return list(csv.DictReader(file))


NOTHING = {"images": 0, "across_splits": 0, "leaks": {}, "conflicts": 0, "examples": {}}


def test_duplicates_leaks_and_conflicts_are_reported_and_named(
    source: Path, tmp_path: Path, client: Client
) -> None:
    report = prep.run(config(source, tmp_path / "out"), client)
    assert report.images["written"] == 13
    examples = report.duplicates["examples"]
    assert {**report.duplicates, "examples": {}} == {
        **{**NOTHING, "images": 3, "across_splits": 1},
        **{"leaks": {"val": {"train": 1}}, "conflicts": 1},
    }
    same = {"train/cat/0000.jpg", "train/dog/copy.jpg", "val/cat/copy.jpg"}
    assert all(set(pair) <= same for pair in examples.values())
    assert {path.split("/")[0] for path in examples["leak"]} == {"train", "val"}
    assert {path.split("/")[1] for path in examples["conflict"]} == {"cat", "dog"}
    rows = dict(report.rows())
    a, b = examples["leak"]
    assert rows["leaks"] == f"1 of 4 val images is a copy of a train image, such as {a} and {b}"
    a, b = examples["conflict"]
    assert rows["conflicts"] == f"1 image lies in more than one class, such as {a} and {b}"
    found = table(tmp_path / "out/duplicates.csv")
    groups: dict[tuple[str, ...], set[tuple[str, str, str]]] = {}
    for row in found:
        key = (row["group"], row["leak"], row["conflict"])
        groups.setdefault(key, set()).add((row["path"], row["class"], row["split"]))
    assert {key[1:]: sorted(images) for key, images in groups.items()} == {
        ("yes", "yes"): [
            ("train/cat/0000.jpg", "cat", "train"),
            ("train/dog/copy.jpg", "dog", "train"),
            ("val/cat/copy.jpg", "cat", "val"),
        ],
        ("", ""): [
            ("train/dog/0004.jpg", "dog", "train"),
            ("train/dog/other-copy.jpg", "dog", "train"),
        ],
    }
    again = prep.run(config(source, tmp_path / "out"), client)
    assert again.duplicates == report.duplicates
    assert RunReport.read(tmp_path / "out").duplicates == report.duplicates


def copies(*images: tuple[str, str]) -> Copies:
    """Images with the same bytes, of these splits and classes."""
    named = enumerate(images)
    return Copies(tuple(Copy(n, f"{s}/{c}/{n}", c, s) for n, (s, c) in named))


def test_images_that_were_refused_are_no_leaks_and_no_conflicts(
    source: Path, tmp_path: Path, client: Client
) -> None:
    for name in ("train/dog/page", "val/cat/page", "train/cat/page"):
        (source / f"{name}.jpg").write_bytes(b"<!DOCTYPE html>")
    report = prep.run(config(source, tmp_path / "out"), client)
    assert report.images == {"planned": 16, "written": 13, "refused": 3}
    numbers = {name: report.duplicates[name] for name in ("images", "across_splits", "conflicts")}
    assert numbers == {"images": 3, "across_splits": 1, "conflicts": 1}
    assert report.duplicates["leaks"] == {"val": {"train": 1}}
    names = {row["path"] for row in table(tmp_path / "out/duplicates.csv")}
    assert names == {*COPIES.keys(), *COPIES.values()}


@pytest.mark.parametrize(
    ("found", "leaks"),
    [
        ([copies(("train", "a"), ("train", "a"))], {}),
        # Two of val are one of train.
        ([copies(("val", "a"), ("train", "a"), ("val", "a"))], {"val": {"train": 2}}),
        # Of splits that nobody trains on, the smaller one is said to hold copies of the larger.
        ([copies(("test", "a"), ("val", "a"))], {"test": {"val": 1}}),
        (
            [copies(("test", "a"), ("val", "a"), ("train", "b"))] * 2,
            {"val": {"train": 2}, "test": {"train": 2, "val": 2}},
        ),
    ],
)
def test_leaks_are_counted_from_the_split_that_is_trained_on(
    found: list[Copies], leaks: dict[str, Any]
) -> None:
    assert summarise_copies(found, {"test": 5, "train": 9, "val": 7})["leaks"] == leaks


def test_a_report_from_before_leaks_were_counted_is_read(
    source: Path, tmp_path: Path, client: Client
) -> None:
    value = prep.run(config(source, tmp_path / "out"), client).to_json()
    value["duplicates"] = {"images": 3, "across_splits": 1}
    report = RunReport.from_json(value)
    assert report.duplicates == {**NOTHING, "images": 3, "across_splits": 1}
    assert "leaks" not in dict(report.rows())
    for wrong in (
        {"leaks": {"val": 1}},
        {"examples": {"leak": ["a"]}},
        {"conflicts": -1},
        {"a": 1},
    ):
        with pytest.raises(ValueError, match="expected"):
            RunReport.from_json({**value, "duplicates": {**value["duplicates"], **wrong}})


def test_an_output_from_before_leaks_were_counted_may_lie_where_nothing_can_be_written(
    source: Path, tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = config(source, tmp_path / "out")
    value = prep.run(wanted, client).to_json()
    value["duplicates"] = {"images": 3, "across_splits": 1}
    (tmp_path / "out/report.json").write_text(json.dumps(value))
    rows = [",".join(row.split(",")[:4]) for row in (tmp_path / "out/duplicates.csv").open()]
    (tmp_path / "out/duplicates.csv").write_text("\n".join(rows))

    def read_only(path: Path, data: bytes, **_: Any) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    with monkeypatch.context() as patch:
        patch.setattr(LocalPath, "publish", read_only)
        patch.setattr(LocalPath, "publish_json", read_only)
        assert prep.run(wanted, client).duplicates["leaks"] == {"val": {"train": 1}}
        (tmp_path / "out/report.json").write_text(json.dumps({**value, "bytes": 1}))
        with pytest.raises(prep.PrepError, match="the report can't be written"):
            prep.run(wanted, client)
    prep.run(wanted, client)
    assert prep.RunReport.read(tmp_path / "out").duplicates["conflicts"] == 1


def test_duplicates_are_dropped_from_the_larger_split(
    source: Path, tmp_path: Path, client: Client
) -> None:
    made = prep.plan(config(source, tmp_path / "out", duplicates="drop"))
    left = {os.fsdecode(path) for path in made.manifest["path"].to_pylist()}
    everything = {str(p.relative_to(source)) for p in source.glob("*/*/*.jpg")}
    # Of the three that are the same, the one in the small split stays.
    gone = {"train/cat/0000.jpg", "train/dog/copy.jpg", "train/dog/other-copy.jpg"}
    assert everything - left == gone
    assert [(i.reason, i.count) for i in made.ignored] == [("duplicate of another image", 3)]
    report = prep.run(config(source, tmp_path / "out", duplicates="drop"), client)
    assert report.images == {"planned": 10, "written": 10, "refused": 0}
    assert report.duplicates == NOTHING


def entry(path: bytes) -> ImageEntry:
    return ImageEntry(path, "cat", Stamp(0, 0), path)


@given(st.lists(st.binary(max_size=3), max_size=30))
def test_identical_files_are_found_whatever_they_are(
    tmp_path_factory: pytest.TempPathFactory, files: list[bytes]
) -> None:
    root = tmp_path_factory.mktemp("files")
    paths = [str(number).encode() for number in range(len(files))]
    for path, data in zip(paths, files, strict=True):
        (root / path.decode()).write_bytes(data)
    sizes = np.array([len(data) for data in files], np.int64)
    found = find_identical(sizes, checksum_images(FileSource(str(root)), [*map(entry, paths)]))
    # The checksum of nothing is that of what can't be read.
    expected: dict[bytes, list[int]] = {}
    for row, data in enumerate(files):
        if data:
            expected.setdefault(data, []).append(row)
    assert sorted(found) == sorted(rows for rows in expected.values() if len(rows) > 1)


def test_what_cannot_be_read_has_no_checksum(tmp_path: Path) -> None:
    assert checksum_images(FileSource(str(tmp_path)), [entry(b"absent")]).tolist() == [UNKNOWN]


def test_changed_images_are_counted_and_named(source: Path, tmp_path: Path, client: Client) -> None:
    prep.run(config(source, tmp_path / "out"), client)
    (source / "train/cat/0001.jpg").unlink()
    os.utime(source / "val/cat/0007.jpg", ns=(1, 1))
    for name in ("new", "newer"):
        (source / f"train/cat/{name}.jpg").write_bytes(b"")
    with pytest.raises(OutputConflict) as caught:
        prep.run(config(source, tmp_path / "out"), client)
    assert (
        "images: 2 added (such as 'train/cat/new.jpg'), 1 gone (such as 'train/cat/0001.jpg'), "
        "1 changed (such as 'val/cat/0007.jpg')"
    ) in str(caught.value)


def test_changed_bytes_behind_the_same_size_and_time_are_named_when_asked_for(
    source: Path, tmp_path: Path, client: Client
) -> None:
    prep.run(config(source, tmp_path / "out"), client)
    before = contents(tmp_path / "out", "*/*.tfrecord")
    path = source / "train/dog/0004.jpg"
    times, data = path.stat(), path.read_bytes()
    path.write_bytes(data[:-3] + bytes([data[-3] ^ 1]) + data[-2:])
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert prep.run(config(source, tmp_path / "out"), client).resumed_shards == 4
    with pytest.raises(OutputConflict, match=r"1 image had other .*'train/dog/0004\.jpg'"):
        prep.run(config(source, tmp_path / "out", check="digest"), client)
    assert contents(tmp_path / "out", "*/*.tfrecord") == before


@pytest.mark.parametrize("beside", [False, True])
def test_copies_are_found_however_they_are_packed(tmp_path: Path, *, beside: bool) -> None:
    image, other = jpeg(picture(48, 40, 1)), jpeg(picture(48, 40, 2))
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("cat/0.jpg", image, compresslevel=1)
        file.writestr("dog/copy.jpg", image, compresslevel=9)
        file.writestr("dog/other.jpg", other)
    given: Any = str(archive)
    if beside:
        files = {"cat": {"1.jpg": other}, "dog": {"9.jpg": image}}
        write_tree(tmp_path, {"photos": files})
        given = {"train": str(archive), "val": str(tmp_path / "photos")}
    asked = prep.Config(source=given, output=str(tmp_path / "out"), size=32, images_per_shard=4)
    found = open_source(asked.source)
    kept = without_duplicates(found.catalog(asked), found).images["path"].to_pylist()
    assert kept == ([b"cat/1.jpg", b"dog/9.jpg"] if beside else [b"cat/0.jpg", b"dog/other.jpg"])
    plan = prep.plan(asked)
    journal = Journal(asked.output)
    journal.begin(plan)
    run = RunRef(output=journal.output, digest=plan.fingerprint.digest, run="1")
    receipts = [write_shard(shard, run) for shard in plan.shards]
    copies = copies_in_run(plan.manifest, plan.classes, plan.shards, receipts)
    assert sorted(sorted(image.path for image in each.images) for each in copies) == (
        [["cat/0.jpg", "dog/9.jpg", "dog/copy.jpg"], ["cat/1.jpg", "dog/other.jpg"]]
        if beside
        else [["cat/0.jpg", "dog/copy.jpg"]]
    )
    # What has changed in an archive, behind its size and time, is noticed by its checksum.
    assert changed_since_written(plan, journal.source(plan), receipts) == []
    times, data = archive.stat(), bytearray(archive.read_bytes())
    data[200] ^= 1
    archive.write_bytes(data)
    os.utime(archive, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert changed_since_written(plan, journal.source(plan), receipts) == ["cat/0.jpg"]


def test_refused_images_are_listed(source: Path, tmp_path: Path, client: Client) -> None:
    odd = 'with, "all"\nsorts.jpg'
    (source / "val/cat" / odd).write_bytes(b"<html>")
    prep.run(config(source, tmp_path / "out"), client)
    (row,) = table(tmp_path / "out/refused.csv")
    assert decode_cell(row["path"]) == f"val/cat/{odd}"
    assert (row["class"], row["split"], row["outcome"], row["reason"]) == (
        *("cat", "val", "refused", "not an image"),
    )
    (tmp_path / "out/refused.csv").unlink()
    prep.run(config(source, tmp_path / "out"), client)
    assert len(table(tmp_path / "out/refused.csv")) == 1


def test_a_long_list_is_written_as_parquet_and_a_short_one_as_csv(tmp_path: Path) -> None:
    rows = [(f"{number}.jpg", "caf\udce9") for number in range(5)]
    tmp_path = LocalPath(tmp_path)
    publish_table(tmp_path / "list.csv", ("path", "reason"), rows, within=tmp_path, most_in_csv=4)
    found = pq.read_table(tmp_path / "list.parquet").to_pylist()
    assert [row["path"] for row in found] == [row[0].encode() for row in rows]
    publish_table(tmp_path / "list.csv", ("path", "reason"), rows, within=tmp_path, most_in_csv=5)
    written = table(tmp_path / "list.csv")
    assert [tuple(map(decode_cell, row.values())) for row in written] == rows
    assert [path.name for path in tmp_path.iterdir()] == ["list.csv"]


@pytest.mark.parametrize(("share", "fails"), [(0.07, True), (0.08, False)])
def test_too_many_refused_images_are_an_error_with_everything_good_kept(
    share: float, fails: bool, source: Path, tmp_path: Path, client: Client
) -> None:
    (source / "val/cat/0007.jpg").write_bytes(b"")  # 1 of 13: 7.7 %
    wanted = config(source, tmp_path / "out", max_refused=share)
    if fails:
        for _ in range(2):  # Run again, it is no better.
            with pytest.raises(TooManyRefused, match=r"1 of 13 images was refused \(7.7%\)"):
                prep.run(wanted, client)
            assert prep.RunReport.read(tmp_path / "out").verdict.state == "too many refused"
        run = prep.start(wanted, client)
        assert isinstance(run._outcome.exception(60), TooManyRefused)
        assert run.verdict == prep.RunReport.read(tmp_path / "out").verdict
        assert run.counters().images == 13
        assert "prep-good" not in run._repr_html_().partition("</style>")[2]
    else:
        prep.run(wanted, client)
    report = prep.run(config(source, tmp_path / "out", max_refused=1.0), client)
    assert report.images == {"planned": 13, "written": 12, "refused": 1}
    assert report.resumed_shards == 4


def test_of_a_few_images_some_may_be_refused_unless_a_share_is_asked_for(
    source: Path, tmp_path: Path, client: Client
) -> None:
    bad = sorted(source.glob("*/*/*.jpg"))
    for path in bad[:10]:
        path.write_bytes(b"")
    assert prep.run(config(source, tmp_path / "ten"), client).images["refused"] == 10
    bad[10].write_bytes(b"")
    with pytest.raises(TooManyRefused, match="11 of 13"):
        prep.run(config(source, tmp_path / "eleven"), client)
