"""Outputs from others, perhaps forged: only plausible contents are believed.

They are forged with this package's own means, so that all fingerprints and digests are right.
"""

from __future__ import annotations

import csv
import dataclasses
import gzip
import hashlib
import io
import json
import os
import random
import shutil
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from distributed import Client
from hypothesis import given
from hypothesis import strategies as st

import prep
from prep.cli.main import main
from prep.display.page.page import update_page
from prep.errors import PrepError, RecordError, SourceError, UntrustedPlan
from prep.operations.averaging.summing import Portion, sum_shards
from prep.output.journal import Journal
from prep.output.layout import OutputLayout
from prep.output.plan_file import require_trusted
from prep.output.report.history import History, read_histories
from prep.output.report.listings import decode_cell, encode_cell, publish_table
from prep.parsing import Fields, parse_json
from prep.planning.fingerprint import make_fingerprint
from prep.settings.output_names import MOST_SHARDS
from prep.shards.formats.example_parsing import parse_example
from prep.shards.formats.tfrecord import FORMAT, frame
from prep.shards.writer import RunRef, write_shard
from prep.sources import manifest
from prep.sources.columns import targets_of
from prep.sources.labels import LabelMap
from prep.sources.records.record_frames import masked_crc
from prep.storage.local import LocalPath
from prep.storage.locate import locate
from tests.support.clusters import Terminal, contents, wait_until
from tests.support.outputs import examine, look, prepare
from tests.support.pictures import jpeg, picture, write_tree

PLAN = ".prep/plan.json"
MANIFEST = ".prep/manifest.parquet"
RECEIPT = ".prep/receipts/train/00001.json"
HISTORY = ".prep/history.json"
SHARD = "train/train-00001-of-00003.tfrecord"
SECRET = b"of no concern to anybody else"


@dataclasses.dataclass(frozen=True)
class Received:
    """An output beside its source, and what is nobody's business."""

    home: Path

    @property
    def root(self) -> Path:
        return self.home / "out"

    @property
    def journal(self) -> Journal:
        return Journal(self.root)

    def outside(self) -> dict[str, bytes]:
        """All files that are not in the output."""
        assert sorted(path.name for path in self.home.iterdir()) == ["in", "out", "outside"]
        return contents(self.home / "in") | contents(self.home / "outside")

    def json(self, name: str) -> Any:
        return json.loads((self.root / name).read_bytes())

    def write(self, name: str, value: Any) -> None:
        (self.root / name).write_text(json.dumps(value))

    def change_plan(self, **values: Any) -> None:
        """Forges the plan, with a fingerprint of what it says then."""
        plan = {**self.json(PLAN), **values}
        parts = {**plan["fingerprint"], "splits": list(plan["images"])}
        labels = json.dumps(plan["labels"], sort_keys=True).encode()
        parts["label map"] = hashlib.sha256(labels).hexdigest()[:32]
        if "shards" in plan:
            sizes = json.dumps(plan["shards"], sort_keys=True).encode()
            parts |= {"partition": "given", "shards": hashlib.sha256(sizes).hexdigest()[:32]}
        self._store(plan, parts)

    def change_manifest(self, **columns: Any) -> None:
        """Forges the first rows of the image list, and the plan with it."""
        path = self.root / MANIFEST
        table = pq.read_table(path)
        for name, first in columns.items():
            values = [*first, *table[name].to_pylist()[len(first) :]]
            number = table.schema.get_field_index(name)
            table = table.set_column(number, name, pa.array(values, table.schema.field(name).type))
        path.write_bytes(manifest.to_parquet(table))
        plan = self.json(PLAN)
        stored = self.journal.stored_plan()
        assert stored is not None
        parts = make_fingerprint(
            stored.config,
            stored.images_per_shard,
            stored.fingerprint.partition,
            stored.settings.mean,
            stored.fingerprint.versions,
            list(stored.splits),
            stored.labels,
            table,
        ).parts
        self._store(plan, dict(parts))

    def _store(self, plan: dict[str, Any], parts: dict[str, Any]) -> None:
        digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
        self.write(PLAN, {**plan, "fingerprint": parts, "digest": digest})
        for path in (self.root / ".prep/receipts").glob("*/*.json"):
            receipt = json.loads(path.read_bytes())
            path.write_text(json.dumps({**receipt, "fingerprint": digest}))

    def change_receipt(self, **values: Any) -> None:
        self.write(RECEIPT, {**self.json(RECEIPT), **values})


def told(error: pytest.ExceptionInfo[PrepError]) -> str:
    """The message, which is one line and not of great length."""
    message = str(error.value)
    assert "\n" not in message
    assert len(message) < 1000
    return message


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An output and its source, made without a cluster; what lies beside must be left alone."""
    home = tmp_path_factory.mktemp("received")
    write_tree(home / "in", {"train": {"cat": 5, "dog": 4}, "val": {"cat": 2, "dog": 1}})
    write_tree(home / "in", {"train": {"cat": {"page.jpg": b"<!doctype html>"}}})
    outside = home / "outside"
    (outside / "train").mkdir(parents=True)
    (outside / "secret.jpg").write_bytes(jpeg(picture(48, 40, 99)))
    (outside / "secret.txt").write_bytes(SECRET)
    (outside / "train/train-00000-of-00001.tfrecord").write_bytes(b"another data set")
    config = prep.Config(
        source=str(home / "in"), output=str(home / "out"), size=16, images_per_shard=4
    )
    prepare(config)
    history = History(
        began=1.7e9,
        seconds=(0.0, 1.0),
        images=(0, 13),
        bytes_read=(0, 1),
        bytes_written=(0, 1),
        workers={"node:1": (None, 97.0)},
        hosts={"node": (50.0, 97.0)},
        busy={"node:1": 0.5},
    )
    (home / "out" / HISTORY).write_text(json.dumps([history.to_json()]))
    assert examine(home / "out").problems == ()
    return home


@pytest.fixture
def received(made: Path, tmp_path: Path) -> Iterator[Received]:
    """A copy, after which nothing but the output may be another."""
    home = tmp_path / "home"
    shutil.copytree(made, home)
    own = Received(home)
    plan = own.json(PLAN)
    source = str(home / "in")
    own.change_plan(source=source, config={**plan["config"], "source": source})
    before = own.outside()
    yield own
    assert own.outside() == before


def test_what_nobody_has_touched_is_as_it_should_be(received: Received) -> None:
    assert [p for p in examine(received.root).problems if p.where != "report.json"] == []
    look(received.root)


# --- What a plan may say ---------------------------------------------------------------------

MANY: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "an escaping split": lambda plan: {"images": {"../../escaped": 10, "val": 3}},
    "an absolute split": lambda plan: {"images": {"/tmp/escaped": 10, "val": 3}},
    "a split of ours": lambda plan: {"images": {".prep": 10, "val": 3}},
    "a split as a file of ours": lambda plan: {"images": {"report.json": 10, "val": 3}},
    "a fraction of images": lambda plan: {"images": {"train": 1e15}},
    "a bool of images": lambda plan: {"images": {"train": True, "val": 3}},
    "less than no images": lambda plan: {"images": {"train": -10, "val": 3}},
    "more shards than can be": lambda plan: {"images": {"train": 10**15}},
    "more digits than can be": lambda plan: {"images": {"train": 10**300}},
    "a million shards": lambda plan: {"images": {"train": 4 * MOST_SHARDS}},
    "no images a shard": lambda plan: {"images_per_shard": 0},
    "another number a shard": lambda plan: {"images_per_shard": 1},
    "a shard of text": lambda plan: {"images_per_shard": "4"},
    "sizes of other images": lambda plan: {"shards": {"train": [4, 5], "val": [3]}},
    "a size below none": lambda plan: {"shards": {"train": [11, -1], "val": [3]}},
    "sizes of one split": lambda plan: {"shards": {"train": [4, 6]}},
    "more sizes than shards can be": lambda plan: {
        "shards": {"train": [10, *[0] * MOST_SHARDS], "val": [3]}
    },
    "a relative source": lambda plan: {"source": "../outside"},
    "a zero byte in the source": lambda plan: {"source": "/in\0/outside"},
    "a source that is a list": lambda plan: {"source": ["/in"]},
    "huge squares": lambda plan: {"settings": {**plan["settings"], "size": 10**9}},
    "squares of another size": lambda plan: {"settings": {**plan["settings"], "size": 17}},
    "a setting of its own": lambda plan: {"settings": {**plan["settings"], "shell": "sh"}},
    "a size out of range": lambda plan: {"config": {**plan["config"], "size": 5000}},
    "another compression": lambda plan: {"compression": "GZIP"},
    "options of a storage": lambda plan: {
        "config": {**plan["config"], "storage_options": {"source": {"key": "KEY"}}}
    },
    "an unknown key": lambda plan: {"config": {**plan["config"], "run": "sh"}},
    "labels of nothing": lambda plan: {"labels": {}},
    "labels of text": lambda plan: {"labels": {"cat": "zero", "dog": 1}},
    "classes of numbers": lambda plan: {"classes": [0, 1]},
    "a class twice": lambda plan: {"classes": ["cat", "cat"]},
    "no classes": lambda plan: {"classes": []},
    "something else beside": lambda plan: {"hook": "sh"},
    "another version": lambda plan: {"format": 99},
    "a version that is none": lambda plan: {"format": {"a": [1] * 1000}},
}


@pytest.mark.parametrize("forgery", MANY)
def test_a_forged_plan_is_refused_in_one_line(forgery: str, received: Received) -> None:
    received.change_plan(**MANY[forgery](received.json(PLAN)))
    before = contents(received.root)
    for action in (
        lambda: prep.verify(received.root),  # Before a cluster is started.
        lambda: prep.verify(received.root, repair=True, trust_plan=True),
        lambda: prep.report_page(received.root),
    ):
        with pytest.raises(PrepError) as error:
            action()
        assert PLAN in told(error)
    assert contents(received.root) == before


@pytest.mark.parametrize("digest", ["0" * 64, 7, None], ids=["another", "a number", "none"])
def test_a_plan_whose_digest_is_another_is_refused(digest: Any, received: Received) -> None:
    received.write(PLAN, {**received.json(PLAN), "digest": digest})
    with pytest.raises(PrepError, match="digest: expected"):
        prep.verify(received.root)


def test_many_shards_are_believed_with_the_manifest_for_them_alone(received: Received) -> None:
    received.change_plan(
        images={"train": 20_000}, images_per_shard=1, config=_every_image(received)
    )
    with pytest.raises(PrepError, match=r"claims 20,000 images, where manifest\.parquet .* 13 im"):
        prep.verify(received.root)
    (received.root / MANIFEST).unlink()
    with pytest.raises(PrepError, match="lists nothing that can be read"):
        prep.report_page(received.root)


def test_many_empty_shards_are_not_believed(received: Received) -> None:
    sizes = {"train": [10, *[0] * 20_000], "val": [3]}
    config = {**received.json(PLAN)["config"], "images_per_shard": None}
    received.change_plan(shards=sizes, config=config)
    for action in (prep.verify, prep.report_page):
        with pytest.raises(PrepError, match="claims 20,002 shards of 13 images"):
            action(received.root)


def _every_image(received: Received) -> dict[str, Any]:
    return {**received.json(PLAN)["config"], "images_per_shard": 1}


# --- What an image list may say --------------------------------------------------------------

PATHS = [
    b"../outside/secret.jpg",
    b"train/../../outside/secret.jpg",
    b"/etc/passwd",
    b"train/cat/..",
    b"train//cat.jpg",
    b"train/./cat.jpg",
    b"train/cat/",
    b"",
    b".",
    b"train/cat\0.jpg",
]


@pytest.mark.parametrize("path", PATHS, ids=repr)
def test_a_path_that_leads_out_of_the_source_is_no_path_of_a_manifest(
    path: bytes, received: Received
) -> None:
    received.change_manifest(path=[path])
    audit = examine(received.root)
    assert audit.plan is None
    (found,) = (p for p in audit.beside if p.where == MANIFEST)
    assert "a path in it does not stay within the source" in str(found)
    run = RunRef(output=str(received.root), digest=received.json(PLAN)["digest"], run=path.hex())
    shard = Journal(received.root).stored_plan().shards[0]  # type: ignore[union-attr]
    (received.root / ".prep/receipts/train/00000.json").unlink()
    with pytest.raises(ValueError, match="stay within the source"):
        write_shard(shard, run)


def test_a_repair_takes_nothing_from_outside_of_the_source(
    received: Received, client: Client
) -> None:
    secret = received.home / "outside/secret.jpg"
    text = received.home / "outside/secret.txt"
    stamps = [os.stat(path) for path in (secret, text)]
    received.change_manifest(
        path=[b"../outside/secret.jpg", b"../outside/secret.txt"],
        size=[status.st_size for status in stamps],
        mtime=[status.st_mtime_ns for status in stamps],
    )
    (received.root / SHARD).unlink()
    (received.root / "train/train-00000-of-00003.tfrecord").unlink()
    report = prep.verify(received.root, client, repair=True, trust_plan=True)
    assert not report.clean
    assert any("another one: images" in problem.found for problem in report.problems)
    assert not (received.root / "train/train-00000-of-00003.tfrecord").exists()
    held = b"".join(contents(received.root).values())
    assert SECRET[:8] not in held


@pytest.mark.parametrize(
    ("path", "stays"),
    [
        (b"train/cat/1.jpg", True),
        (b"train/cat/..1..jpg", True),
        (b"train/%2e%2ejpg/1.jpg", True),
        (b"train/a%2fb.jpg", True),
        (b"%2e%2e/secret.jpg", False),
        (b"train/%2E%2e/%2e./secret.jpg", False),
        (b"train/..%2f..%2fsecret.jpg", False),
        (b"train/..%5csecret.jpg", False),
        (b"train/%00.jpg", False),
    ],
)
def test_what_a_server_would_decode_is_looked_at_decoded(path: bytes, stays: bool) -> None:
    images = pa.table({"path": pa.array([path], pa.large_binary())})
    manifest.require_within(images, "/photos")  # Here, these are names like others.
    if stays:
        manifest.require_within(images, "https://host/photos")
    else:
        with pytest.raises(ValueError, match="stay within the source"):
            manifest.require_within(images, "https://host/photos")


@pytest.mark.parametrize(
    "columns", [{"class": [-1]}, {"class": [2]}, {"class": [2**31 - 1]}, {"size": [-1]}], ids=str
)
def test_numbers_of_a_manifest_that_can_not_be(columns: dict[str, Any], received: Received) -> None:
    received.change_manifest(**columns)
    audit = examine(received.root)
    assert audit.plan is None
    assert [p.remedy for p in audit.beside if p.where == MANIFEST] == ["remake"]
    with pytest.raises(PrepError, match=MANIFEST):
        prep.report_page(received.root)


def test_a_class_without_a_label_is_named(received: Received) -> None:
    received.change_plan(labels={"cat": 0})
    found = next(p for p in examine(received.root).beside if p.where == MANIFEST)
    assert "no number for" in str(found)


def _bomb(**options: Any) -> bytes:
    """An image list of a few bytes for very many."""
    rows = 4096 * 25
    table = pa.table(
        {
            "path": pa.array([b"x" * 4096] * rows, pa.large_binary()),
            "class": pa.array(np.zeros(rows, np.int32)),
            "size": pa.array(np.zeros(rows, np.int64)),
            "mtime": pa.array(np.zeros(rows, np.int64)),
        }
    )
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, row_group_size=4096, **options)
    return bytes(sink.getvalue())


@pytest.mark.parametrize("column", ["path", "class", "size"])
def test_a_manifest_with_damaged_statistics_is_an_error(column: str, tmp_path: Path) -> None:
    """A process ends where pyarrow is asked for the metadata of such a column."""
    table = pa.table(
        {"path": [b"a"], "class": pa.array([0], pa.int32()), "size": [1], "mtime": [1]}
    )
    whole = manifest.to_parquet(table)
    optional = b"\x25\x02\x18" + bytes([len(column)]) + column.encode()
    assert whole.count(optional) == 1
    path = locate(str(tmp_path / "manifest.parquet"))
    Path(path).write_bytes(whole.replace(optional, b"\x25\x00" + optional[2:]))
    with pytest.raises(OSError, match="size mismatch"):
        manifest.read(path)


@pytest.mark.parametrize("options", [{}, {"compression": "zstd"}], ids=str)
def test_a_manifest_that_holds_far_more_than_its_bytes_takes_no_memory(
    options: dict[str, Any], received: Received
) -> None:
    data = _bomb(**options)
    assert len(data) < 1 << 20  # and 400 MB of paths
    (received.root / MANIFEST).write_bytes(data)
    before = pa.total_allocated_bytes()
    pool = pa.default_memory_pool()
    with pytest.raises(ValueError, match=r"bytes of paths|compression|rows"):
        manifest.read(locate(received.root / MANIFEST))
    assert pool.bytes_allocated() - before < 1 << 20
    with pytest.raises(ValueError, match=r"bytes of paths|compression"):
        list(manifest.entries(locate(received.root / MANIFEST), "/in", ["cat"], range(10)))


def test_labels_of_a_manifest_take_no_more_memory_than_its_file(received: Received) -> None:
    rows, width = 4096, 1 << 16
    numbers = np.broadcast_to(np.float32(0), (rows, width // 4))
    table = pa.table(
        {
            "path": pa.array([b"%d" % n for n in range(rows)], pa.large_binary()),
            "class": pa.array(np.zeros(rows, np.int32)),
            "size": pa.array(np.zeros(rows, np.int64)),
            "mtime": pa.array(np.zeros(rows, np.int64)),
            "target": targets_of(numbers),
        }
    )
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, row_group_size=4096)
    data = bytes(sink.getvalue())
    assert len(data) < 1 << 20  # and 256 MB of labels
    (received.root / MANIFEST).write_bytes(data)
    with pytest.raises(ValueError, match="4,096 labels of 65,536 bytes"):
        manifest.read(locate(received.root / MANIFEST))


def test_labels_that_a_manifest_has_beside_those_of_its_plan_are_found(received: Received) -> None:
    path = received.root / MANIFEST
    images = manifest.read(locate(path))
    numbers = np.zeros((len(images), 1), np.float32)
    path.write_bytes(manifest.to_parquet(images.append_column("target", targets_of(numbers))))
    found = next(p for p in examine(received.root).beside if p.where == MANIFEST)
    assert "of target class" in str(found)


def test_a_manifest_of_another_form_is_none(received: Received) -> None:
    path = received.root / MANIFEST
    table = pq.read_table(path)
    for other in (
        table.drop_columns(["mtime"]),
        table.append_column("more", table["size"]),
        table.set_column(1, "class", table["class"].cast(pa.int64())),
        table.set_column(0, "path", pa.array([None, *table["path"].to_pylist()[1:]])),
        table.set_column(0, "path", table["size"]),
    ):
        path.write_bytes(manifest.to_parquet(other))
        assert examine(received.root).plan is None
    pq.write_table(table, path, row_group_size=5)
    with pytest.raises(ValueError, match="13 rows in 3 parts"):
        manifest.read(locate(path))
    path.write_bytes(b"PAR1" + b"\xff" * 100 + b"PAR1")
    assert examine(received.root).plan is None


# --- What a receipt may say ------------------------------------------------------------------

RECEIPTS: dict[str, dict[str, Any]] = {
    "a file elsewhere": {"file": "/etc/passwd"},
    "a file above": {"file": "../outside/train/train-00000-of-00001.tfrecord"},
    "the split of another": {"split": "../outside"},
    "another index": {"index": 0, "file": "train/train-00000-of-00003.tfrecord"},
    "another count": {"count": 4, "file": "train/train-00001-of-00004.tfrecord"},
    "infinitely long": {"seconds": float("inf")},
    "not a number": {"seconds": float("nan")},
    "before the beginning": {"seconds": -1.0},
    "at the end of time": {"began": 1e300},
    "a digest of text": {"sha256": "../" * 20},
    "a worker of 1 MB": {"worker": "w" * (1 << 20)},
    "less than none written": {"written": {"cat": -5, "dog": 9}},
    "huge numbers": {"written": {"cat": 10**30}},
    "no finding": {"findings": ["all of them"]},
    "another outcome": {
        "findings": [{"path": "a", "outcome": "sold", "reason": "", "detail": "", "class_name": ""}]
    },
    "sums of nothing": {
        "stats": {"images": 4, "pixels": 1024, "sums": [1] * 3, "squares": [0] * 3}
    },
    "sums too large": {
        "stats": {"images": 4, "pixels": 1024, "sums": [10**9] * 3, "squares": [10**11] * 3}
    },
    "sums of others": {
        "stats": {"images": 4, "pixels": 4, "sums": [400] * 3, "squares": [40_000] * 3}
    },
    "wide pictures": {"dimensions": {"sides": {str(10**12): 4}, "aspects": {"0": 4}}},
    "no bins": {"dimensions": {"sides": {"x": 4}, "aspects": {"0": 4}}},
    "more bytes than can be": {"bytes": 10**15},
    "fewer checksums": {"checksums": "00" * 8},
    "something beside": {"hook": "sh"},
    "a class of its own": {"written": {"cow": 4}},
}


@pytest.mark.parametrize("forgery", RECEIPTS)
def test_a_forged_receipt_is_named_and_harms_nothing(forgery: str, received: Received) -> None:
    received.change_receipt(**RECEIPTS[forgery])
    audit = examine(received.root)
    assert [p.remedy for p in audit.problems if p.where == RECEIPT][:1] == ["rewrite"]
    assert all("\n" not in str(p) and len(str(p)) < 1000 for p in audit.problems)
    look(received.root)


def test_a_shard_is_looked_for_under_its_own_name_alone(received: Received) -> None:
    """A reader of the output opens no file that a receipt names."""
    received.change_receipt(file="../outside/train/train-00000-of-00001.tfrecord")
    stored = received.journal.stored_plan()
    assert stored is not None
    assert received.journal.receipts.of(stored.shards[1], stored.fingerprint.digest) is None


@pytest.mark.slow
def test_a_reader_opens_no_file_that_a_receipt_names(received: Received) -> None:
    assert len(list(prep.load(received.root, "val"))) == 3
    received.change_receipt(file="../outside/train/train-00000-of-00001.tfrecord")
    with pytest.raises(SourceError, match="2 of 3 shards"):
        prep.load(received.root)
    received.change_plan(images={"../outside": 10, "val": 3})
    with pytest.raises(PrepError, match="can't be called"):
        prep.load(received.root, "../outside")


# --- JSON ------------------------------------------------------------------------------------

BOMBS = {
    "deep": b"[" * 200_000,
    "deep objects": b'{"a":' * 200_000,
    "deep and closed": b"[" * 5000 + b"]" * 5000,
    "wide": b"[" + b"{}," * 4_000_000 + b"{}]",
    "not a number": b'{"a": NaN}',
    "infinite": b'{"a": 1e999}',
    "long number": b'{"a": ' + b"9" * 100_000 + b"}",
    "twice": b'{"format": 3, "format": 3}',
    "no text": b"\xff\xfe\x00",
    "nothing": b"",
    "a list": b"[]",
    "null": b"null",
}
FILES = [PLAN, RECEIPT, HISTORY, "report.json", "label_map.json", "mean_rgb.json"]


@pytest.mark.parametrize("bomb", BOMBS)
def test_json_that_is_deep_or_wide_or_no_json_is_refused(bomb: str, received: Received) -> None:
    for name in FILES:
        whole = (received.root / name).read_bytes()
        (received.root / name).write_bytes(BOMBS[bomb])
        if name == PLAN:
            with pytest.raises(PrepError) as error:
                look(received.root)
            assert PLAN in told(error)
        else:
            look(received.root)
            named = {p.where for p in examine(received.root).problems}
            assert name in named or name == HISTORY
            assert name != HISTORY or read_histories(received.journal.layout) == []
        (received.root / name).write_bytes(whole)


@pytest.mark.parametrize("name", FILES)
def test_what_is_larger_than_it_can_be_is_not_read(name: str, received: Received) -> None:
    os.truncate(received.root / name, 1 << 40)  # It takes no room on the disk.
    if name == PLAN:
        with pytest.raises(PrepError, match="1,099,511,627,776 bytes; at most"):
            look(received.root)
    else:
        look(received.root)


@pytest.mark.parametrize("name", [*FILES, MANIFEST, SHARD])
def test_a_pipe_keeps_nobody_waiting(name: str, received: Received) -> None:
    (received.root / name).unlink()
    os.mkfifo(received.root / name)
    if name == PLAN:
        with pytest.raises(PrepError, match="not a regular file"):
            examine(received.root)
    else:
        named = {problem.where for problem in examine(received.root).problems}
        assert name in named or name == HISTORY
    if name == "label_map.json":
        (received.root / PLAN).unlink()  # Which would tell them, too.
        assert Journal(received.root).stored_labels() is None
    if name == SHARD:
        with pytest.raises(RecordError, match="can't be read: not a regular file"):
            sum_shards(Portion(files=[str(received.root / name)]))


def test_a_pipe_in_the_place_of_a_shard_without_records_is_not_opened(received: Received) -> None:
    receipt = Journal(received.root).receipts.read("train", 1)
    empty = dataclasses.replace(receipt, bytes=0)
    assert not Journal(received.root).receipts.is_true(empty, receipt.fingerprint)
    (received.root / SHARD).write_bytes(b"")
    assert Journal(received.root).receipts.is_true(empty, receipt.fingerprint)
    (received.root / SHARD).unlink()
    os.mkfifo(received.root / SHARD)
    assert not Journal(received.root).receipts.is_true(empty, receipt.fingerprint)


def test_a_pipe_in_the_place_of_the_page_is_replaced(received: Received) -> None:
    (received.root / "report.html").unlink()
    os.mkfifo(received.root / "report.html")
    journal = Journal(received.root)
    stored = journal.stored_plan()
    assert stored is not None
    update_page(
        journal, stored, journal.receipts.committed(stored.shards, stored.fingerprint.digest)
    )
    assert (received.root / "report.html").read_bytes().startswith(b"<!doctype html>")


def test_wide_json_within_text_is_just_text() -> None:
    value = {"names": ["a,{[" * 3_000_000]}
    assert parse_json(json.dumps(value)) == value
    with pytest.raises(ValueError, match="more than 8,000,000 values"):
        parse_json('{"a": "' + '\\"' * 10 + '"}' + "[" * 8_000_001)


def test_one_hot_lists_too_long_for_a_plan_are_refused_when_they_are_asked_for() -> None:
    many = {f"c{n}": [int(n == k) for k in range(2001)] for n in range(2)}
    assert LabelMap.parse(many).width == 2001
    one = [1] + [0] * 2000
    with pytest.raises(PrepError, match="give each class its number"):
        LabelMap.parse({f"c{n}": one for n in range(2001)})


def test_members_of_an_object_are_what_is_asked_for() -> None:
    for value in (True, 1.0, "1", None, -1, 1 << 63):
        with pytest.raises(ValueError, match="n: expected a whole number"):
            Fields({"n": value}, "it").whole("n")
    for value in (True, "1", None, float("nan"), float("inf"), -1, 10**400):
        with pytest.raises(ValueError, match="n: expected a number"):
            Fields({"n": value}, "it").number("n")
    with pytest.raises(ValueError, match="expected it with 'n', found none"):
        Fields({}, "it").text("n")
    with pytest.raises(ValueError, match='expected it, found "x"'):
        Fields("x", "it")


# --- Shards ----------------------------------------------------------------------------------


def traced(action: Callable[[], object]) -> int:
    """The most memory that Python had at once while it did something, in bytes."""
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _refused(data: bytes, **bounds: Any) -> Callable[[], None]:
    def read() -> None:
        with pytest.raises(RecordError):
            for _ in FORMAT.records(io.BytesIO(data), **bounds):
                pass

    return read


def test_what_inflates_without_end_takes_no_memory() -> None:
    zeros = gzip.compress(bytes(256 << 20), 9)
    assert len(zeros) < 1 << 19
    assert traced(_refused(zeros)) < 8 << 20
    long = frame(bytes(16 << 20))
    inflating = gzip.compress(long, 9)
    assert traced(_refused(inflating, largest=1 << 20)) < 8 << 20
    assert [len(data) for data in FORMAT.records(io.BytesIO(inflating))] == [16 << 20]


def test_more_records_than_there_may_be_end_the_reading() -> None:
    small = gzip.compress(frame(b"") * 1_000_000)
    found = FORMAT.records(io.BytesIO(small), most=10)
    assert [next(found) for _ in range(10)] == [b""] * 10
    with pytest.raises(RecordError, match="more than 10 records"):
        next(found)


@pytest.mark.parametrize("length", [1 << 60, 1 << 31, (1 << 28) + 1])
def test_a_record_that_claims_more_than_any_has_is_not_waited_for(length: int) -> None:
    header = length.to_bytes(8, "little")
    data = header + masked_crc(header).to_bytes(4, "little") + b"x" * 100
    for whole in (data, gzip.compress(data)):
        assert traced(_refused(whole)) < 8 << 20
        with pytest.raises(RecordError, match="claims"):
            list(FORMAT.chosen(io.BytesIO(whole), {1}))


def test_a_compressed_shard_that_is_a_bomb_is_found_and_named(received: Received) -> None:
    (received.root / SHARD).write_bytes(gzip.compress(frame(b"") * 500_000))
    written = sum(received.json(RECEIPT)["written"].values())
    problems = [str(p) for p in examine(received.root).problems if p.where == SHARD]
    assert f"{SHARD}: expected {written} records; found {2 * written + 3}" in problems


def test_a_number_without_end_is_no_number() -> None:
    with pytest.raises(RecordError, match="more than 64 bits"):
        parse_example(b"\x80" * (1 << 20))


# --- Whose plan ------------------------------------------------------------------------------

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
STRANGER = 61234  # an account that nobody has


@needs_root
@pytest.mark.parametrize("name", ["", ".prep", PLAN, MANIFEST])
def test_a_repair_of_what_belongs_to_others_is_asked_for(name: str, received: Received) -> None:
    os.chown(received.root / name, STRANGER, -1)
    before = contents(received.root)
    with pytest.raises(UntrustedPlan) as error:
        prep.verify(received.root, repair=True)
    assert f"belongs to uid {STRANGER}" in told(error)
    assert str(received.home / "in") in str(error.value)
    assert "pass `trust_plan=True`" in str(error.value)
    asked: list[str] = []
    with pytest.raises(UntrustedPlan):
        prep.verify(received.root, repair=True, trust_plan=lambda told: bool(asked.append(told)))
    (question,) = asked
    assert str(received.home / "in") in question
    result = CliRunner().invoke(main, ["verify", str(received.root), "--repair"])
    assert result.exit_code == 2
    assert "--trust-plan" in result.output
    assert contents(received.root) == before


def test_an_own_output_can_be_said_to_be_a_received_one(received: Received) -> None:
    with pytest.raises(UntrustedPlan, match="may be somebody else's"):
        prep.verify(received.root, repair=True, trust_plan=False)
    result = CliRunner().invoke(main, ["verify", str(received.root), "--repair", "--no-trust-plan"])
    assert result.exit_code == 2


def test_a_storage_does_not_tell_whose_plan_it_is(received: Received) -> None:
    stored = received.journal.stored_plan()
    assert stored is not None
    require_trusted(received.journal.layout, stored, None)
    elsewhere = OutputLayout(locate("memory://bucket/out"))
    with pytest.raises(UntrustedPlan, match="in a storage, which does not say who owns it"):
        require_trusted(elsewhere, stored, None)
    require_trusted(elsewhere, stored, True)


def test_no_options_are_granted_to_a_source_before_somebody_speaks_for_it(
    received: Received, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or the credentials of the output would be sent to wherever a forged plan says."""
    received.change_plan(source="memory://elsewhere/photos")
    granted: list[str] = []
    monkeypatch.setattr("prep.storage.arguments.grant", lambda url, _: granted.append(url))
    with pytest.raises(UntrustedPlan):
        prep.verify(received.root, repair=True, trust_plan=False, storage_options={"key": "KEY"})
    assert not any("elsewhere" in url for url in granted)


@needs_root
@pytest.mark.slow
def test_at_a_terminal_it_is_asked_for(received: Received) -> None:
    for path in (received.root, *received.root.rglob("*")):
        os.chown(path, STRANGER, -1)
    (received.root / "report.json").unlink()
    with Terminal("verify", received.root, "--repair", cwd=received.home) as terminal:
        wait_until(lambda: "Read it?" in terminal.shown)
        assert str(received.home / "in") in terminal.shown.replace("\r\n", "")
        terminal.press(b"n\n")
        assert terminal.process.wait(60) == 2
    assert not (received.root / "report.json").exists()
    with Terminal("verify", received.root, "--repair", cwd=received.home) as terminal:
        wait_until(lambda: "Read it?" in terminal.shown)
        terminal.press(b"y\n")
        assert terminal.process.wait(120) == 0
    assert (received.root / "report.json").exists()


@needs_root
def test_a_page_of_what_belongs_to_others_shows_nothing_of_the_source(
    received: Received, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[int] = []
    monkeypatch.setattr(
        "prep.display.page.page.look_at_refused",
        lambda _, __, found: looked.append(len(found)) or [],
    )
    prep.report_page(received.root)
    os.chown(received.root / PLAN, STRANGER, -1)
    prep.report_page(received.root)
    assert looked == [3 + 1, 0]


# --- Tables ----------------------------------------------------------------------------------

NAMES = [
    "=cmd|' /C calc'!A0.jpg",
    "+1.jpg",
    "-2.jpg",
    "@SUM(A1).jpg",
    "\t=1.jpg",
    "\r=1.jpg",
    "  =1.jpg",
    "a;=1.jpg",
    'a,"=1.jpg',
    "＝1.jpg",
    "a\nb\x1b[2J.jpg",
    "a\\x3db.jpg",
    "caf\udce9.jpg",
    "Zürich, 'x' \"y\".jpg",
    "\u202egpj.exe",
]


def cells_of(data: bytes, delimiter: str) -> list[str]:
    rows = csv.reader(io.StringIO(data.decode(), newline=""), delimiter=delimiter)
    return [cell for row in rows for cell in row]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_cell_is_harmless_and_names_the_file_exactly(name: str, tmp_path: Path) -> None:
    path = LocalPath(tmp_path / "list.csv")
    publish_table(path, ("path", "reason"), [(name, "not an image")], within=path.parent)
    data = path.read_bytes()
    assert data.decode().replace("\n", "").isprintable()
    assert data.count(b"\n") == 2
    for delimiter in ",;\t|":  # as programs take it for, by their language
        for cell in cells_of(data, delimiter):
            assert cell.lstrip(" '\"")[:1] not in {*"=+-@＝＋－＠"}
    with open(path, newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert decode_cell(row["path"]) == name
    publish_table(
        path, ("path", "reason"), [(name, "not an image")] * 2, within=path.parent, most_in_csv=1
    )
    (first, _) = pq.read_table(tmp_path / "list.parquet").to_pylist()
    assert first == {"path": os.fsencode(name), "reason": "not an image"}


@given(name=st.binary(max_size=20).map(os.fsdecode))
def test_any_name_comes_back_out_of_a_cell(name: str) -> None:
    cell = encode_cell(name)
    assert decode_cell(cell) == name
    assert cell.encode().decode("unicode_escape").encode("latin-1") == os.fsencode(name)  # README
    assert encode_cell("a plain-name, of 1+1 = 2 (@home).jpg").startswith("a plain-name, of 1+1 =")


# --- At random -------------------------------------------------------------------------------

_VALUES: list[Any] = [
    *(None, True, False, 0, -1, 1, 2, 10**6, 10**15, 10**40, 1e300, -0.5, "", "x", "../..", "/etc"),
    *("\0", "\ud800", "\udcff", "a\nb", [], {}, [[]], {"a": 1}, ["train"], [1, 2, 3]),
]


def mutate(value: Any, dice: random.Random) -> Any:
    """Return the JSON with something changed, removed, added or moved."""
    if isinstance(value, dict) and value and dice.random() < 0.85:
        key = dice.choice(sorted(value))
        what = dice.random()
        if what < 0.1:
            return {k: v for k, v in value.items() if k != key}
        if what < 0.2:
            return {**value, dice.choice(("x", "../x", "", key + "0")): dice.choice(_VALUES)}
        if what < 0.3:
            return {
                dice.choice(("x", "../x", "/x", "")) if k == key else k: v for k, v in value.items()
            }
        return {**value, key: mutate(value[key], dice)}
    if isinstance(value, list) and value and dice.random() < 0.7:
        place = dice.randrange(len(value))
        return [*value[:place], mutate(value[place], dice), *value[place + dice.randrange(2) :]]
    return dice.choice(_VALUES)


def mutate_manifest(path: Path, dice: random.Random) -> None:
    table = pq.read_table(path)
    name = dice.choice(table.column_names)
    values = table[name].to_pylist()
    if dice.random() < 0.3:
        table = table.slice(dice.randrange(3), dice.randrange(20))
    elif name == "path":
        values[dice.randrange(len(values))] = dice.choice([*PATHS, b"\xff", b"x" * 5000])
        table = table.set_column(0, name, pa.array(values, pa.large_binary()))
    else:
        values[dice.randrange(len(values))] = dice.choice([-1, 0, 1, 2, 99, 2**31 - 1, None])
        number = table.schema.get_field_index(name)
        table = table.set_column(number, name, pa.array(values, table.schema.field(name).type))
    path.write_bytes(manifest.to_parquet(table))


def look_at_mutations(received: Received, seeds: range) -> Mapping[str, int]:
    """Looks at outputs of which something was changed; how many times each thing came of it."""
    came = {"refused": 0, "looked at": 0}
    whole = {name: (received.root / name).read_bytes() for name in (*FILES, MANIFEST)}
    outside = received.outside()
    for seed in seeds:
        dice = random.Random(seed)
        name = dice.choice((*FILES, MANIFEST, PLAN, RECEIPT))
        path = received.root / name
        if name == MANIFEST:
            mutate_manifest(path, dice)
        elif name == PLAN and dice.random() < 0.8:
            received.change_plan(**_mutated_plan(received, dice))
        else:
            received.write(name, mutate(received.json(name), dice))
        try:
            look(received.root)
            came["looked at"] += 1
        except PrepError:
            came["refused"] += 1
        except BaseException as error:
            raise AssertionError(f"seed {seed}: {name}") from error
        for other, data in whole.items():
            (received.root / other).write_bytes(data)
        for path in (received.root / ".prep/receipts").glob("*/*.json"):
            receipt = json.loads(path.read_bytes())
            path.write_text(
                json.dumps({**receipt, "fingerprint": json.loads(whole[PLAN])["digest"]})
            )
    assert received.outside() == outside
    return came


def _mutated_plan(received: Received, dice: random.Random) -> dict[str, Any]:
    while True:
        plan = mutate(received.json(PLAN), dice)
        if isinstance(plan, dict) and all(
            isinstance(plan.get(key, {}), dict) for key in ("images", "fingerprint")
        ):
            return plan


def test_whatever_an_output_says_it_is_refused_or_looked_at(received: Received) -> None:
    came = look_at_mutations(received, range(120))
    assert min(came.values()) > 20


@pytest.mark.slow
def test_whatever_an_output_says_at_greater_length(received: Received) -> None:
    came = look_at_mutations(received, range(1000, 3000))
    assert min(came.values()) > 200
