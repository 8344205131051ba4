"""Prefetching of files: in order, within bounds, and only where it pays."""

from __future__ import annotations

import errno
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from distributed import Client
from hypothesis import given, settings
from hypothesis import strategies as st

import prep
from prep.execution.writing import write_serially
from prep.operations.averaging.summing import Portion, sum_images
from prep.output.journal import Journal
from prep.shards.writer import RunRef
from prep.sources import file_source, prefetch
from prep.sources.prefetch import MEMORY, ReadAhead
from prep.storage.locate import read_file
from prep.storage.location import Stamp
from tests.support.clusters import contents, wait_until
from tests.support.pictures import write_tree

THREAD = "prep-read-ahead"


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    """Let each test begin as a new process does."""
    with mock.patch.dict(prefetch._DEPTHS):
        yield


def slow(depth: int, storage: str = "/disk") -> str:
    """A disk of which this process has learnt how far to read ahead."""
    prefetch._DEPTHS[storage] = depth
    return storage


def is_ahead() -> bool:
    """Return whether the calling thread reads ahead."""
    return threading.current_thread().name == THREAD


def threads() -> int:
    return sum(thread.name == THREAD for thread in threading.enumerate())


class Server:
    """A server of files 0, 1, 2, … of given sizes, which answers in any order.

    Attributes:
        asked: which were asked for by threads that read ahead.
        unused: bytes of those that were not used so far.
        most: the most that ``unused`` has ever been.
    """

    def __init__(self, sizes: list[int], whim: random.Random) -> None:
        self.sizes = sizes
        self.asked: list[int] = []
        self.unused = self.most = 0
        self._whim = whim
        self._pending: list[int] = []
        self._answered: set[int] = set()
        self._changed = threading.Condition()
        self._open = True
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Server:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._open = False
            self._changed.notify_all()
        self._thread.join()

    def read(self, number: int) -> bytes:
        with self._changed:
            if is_ahead():
                self.asked.append(number)
                self.unused += self.sizes[number]
                self.most = max(self.most, self.unused)
                self._pending.append(number)
                self._changed.notify_all()
                self._changed.wait_for(lambda: number in self._answered, timeout=60)
        return bytes([number % 256]) * self.sizes[number]

    def use(self, number: int) -> None:
        with self._changed:
            if number in self.asked:
                self.unused -= self.sizes[number]

    def _serve(self) -> None:
        with self._changed:
            while self._changed.wait_for(lambda: self._pending or not self._open, timeout=60):
                if not self._open:
                    return
                self._whim.shuffle(self._pending)
                self._answered.add(self._pending.pop())
                self._changed.notify_all()


@settings(max_examples=60)
@given(
    sizes=st.lists(st.integers(0, 60), max_size=40),
    depth=st.integers(1, 16),
    whim=st.integers(0, 1 << 30),
)
def test_order_is_kept_and_memory_is_bounded(sizes: list[int], depth: int, whim: int) -> None:
    came = []
    with (
        mock.patch.multiple(prefetch, _MEMORY=50, _MOST=depth),
        Server(sizes, random.Random(whim)) as server,
        ReadAhead(range(len(sizes)), server.read, sizes.__getitem__, slow(depth)) as files,
    ):
        for number, read in files:
            data = read()
            server.use(number)
            came.append((number, len(data)))
    assert came == list(enumerate(sizes))
    assert server.most <= 50
    assert MEMORY.held == 0
    assert all(sizes[number] <= 50 for number in server.asked)


def test_a_file_that_turns_out_larger_counts_as_what_it_is() -> None:
    asked: list[int] = []
    both = threading.Barrier(2)

    def read(number: int) -> bytes:
        asked.append(number)
        both.wait(timeout=60)
        return bytes(1000)

    with (
        mock.patch.object(prefetch, "_MEMORY", 100),
        ReadAhead(range(9), read, lambda _: 40, slow(8)) as files,
    ):
        iterator = iter(files)
        _, first = next(iterator)
        wait_until(lambda: MEMORY.held == 2000)  # As many were let in as seemed to fit.
        first()
        assert MEMORY.held == 1000
        next(iterator)  # There is no room for more.
        assert sorted(asked) == [0, 1]
    assert MEMORY.held == 0


def test_files_that_must_be_waited_for_are_read_further_ahead() -> None:
    """Were fewer read at once than 32, or 64 later, nobody would get past the barriers."""
    first, later = threading.Barrier(32), threading.Barrier(64)

    def read(number: int) -> bytes:
        if number < 32:
            first.wait(timeout=60)
        elif number == 40:
            wait_until(lambda: prefetch._DEPTHS["/disk"] == 64)  # Its turn has come.
        elif number > 40:
            later.wait(timeout=60)
        return b"%d" % number

    with (
        mock.patch.object(prefetch, "_MOST", 64),
        ReadAhead(range(105), read, lambda _: 1, slow(32)) as files,
    ):
        assert [read() for _, read in files] == [b"%d" % number for number in range(105)]
    assert prefetch._DEPTHS["/disk"] == 64


def test_a_disk_is_read_in_turn_until_it_keeps_its_reader_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    monkeypatch.setattr(prefetch, "time", SimpleNamespace(perf_counter=lambda: now))
    ahead: list[int] = []

    def read(number: int) -> bytes:
        nonlocal now
        if is_ahead():
            ahead.append(number)
        else:  # Of the first thousand, some are slow, as where others use the core.
            seconds = 0.004 if number < 1000 and number % 20 == 0 else 0.0001
            now += 0.005 if number >= 1000 else seconds
        return b"image"

    with ReadAhead(range(1100), read, lambda _: 5, "/disk") as files:
        assert all(read() == b"image" for _, read in files)
        assert sorted(ahead) == list(range(1005, 1100))
    with ReadAhead(range(40), read, lambda _: 5, "/disk") as files:
        ahead.clear()
        assert all(read() == b"image" for _, read in files)
    assert len(ahead) in (0, 40)  # It is remembered, unless the reads ahead were prompt.


def test_a_disk_that_is_prompt_again_is_read_in_turn_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(prefetch, "time", SimpleNamespace(perf_counter=lambda: 0.0))
    with ReadAhead(range(99), lambda _: b"1", lambda _: 1, slow(32)) as files:
        assert [read() for _, read in files] == [b"1"] * 99
    assert "/disk" not in prefetch._DEPTHS
    wait_until(lambda: threads() == 0)
    with ReadAhead(range(5), lambda _: b"1", lambda _: 1, "/disk") as files:
        assert [read() for _, read in files] == [b"1"] * 5
        assert threads() == 0


@pytest.mark.parametrize("depth", [0, 1, 7])
def test_an_error_is_met_where_it_belongs_and_to_call_again_is_to_read_again(depth: int) -> None:
    tried: dict[int, int] = {}

    def read(number: int) -> bytes:
        if not is_ahead():
            tried[number] = tried.get(number, 0) + 1
        if number % 3 == 0 and (is_ahead() or tried[number] < 3):
            raise OSError(errno.EIO, f"file {number}")
        return b"%d" % number

    with ReadAhead(range(12), read, lambda _: 1, slow(depth)) as files:
        for number, attempt in files:
            if number % 3 == 0:
                for _ in range(2):
                    with pytest.raises(OSError, match=f"file {number}$"):
                        attempt()
            assert attempt() == b"%d" % number
    assert {n: times for n, times in tried.items() if n % 3 == 0} == dict.fromkeys((0, 3, 6, 9), 3)
    assert MEMORY.held == 0


def test_whoever_stops_waits_for_no_read_and_leaves_nothing() -> None:
    answer = threading.Event()
    asked: list[int] = []

    def read(number: int) -> bytes:
        asked.append(number)
        assert answer.wait(60)
        return bytes(10)

    def stop() -> None:
        with ReadAhead(range(100), read, lambda _: 10, slow(4)) as files:
            next(iter(files))
            wait_until(lambda: len(asked) == 4)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop()
    assert not answer.is_set()  # None of those under way has come to its end.
    assert MEMORY.held == 40
    answer.set()
    wait_until(lambda: threads() == 0)
    assert len(asked) == 4  # What was only waiting for its turn was not read any more.
    assert MEMORY.held == 0


def test_where_no_thread_can_be_started_files_are_read_in_their_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with ReadAhead(range(9), lambda n: b"%d" % n, lambda _: 1, slow(4)) as files:
        assert [read() for _, read in files] == [b"%d" % number for number in range(9)]
    assert MEMORY.held == 0


def test_an_image_that_was_passed_over_takes_no_memory() -> None:
    with ReadAhead(range(9), lambda _: bytes(10), lambda _: 10, slow(2)) as files:
        for number, read in files:
            if number % 2:
                read()
        wait_until(lambda: MEMORY.held == 0)


HANGING = """
import os, threading
from prep.sources import file_source, prefetch
prefetch._DEPTHS["/disk"] = 4
asked = threading.Event()
def read(number):
    asked.set()
    os.read(os.pipe()[0], 1)  # Nobody will ever write to it.
with prefetch.ReadAhead(range(9), read, lambda _: 1, "/disk") as files:
    next(iter(files))
    asked.wait()
"""


def test_reads_that_hang_keep_no_process_from_ending() -> None:
    subprocess.run([sys.executable, "-c", HANGING], check=True, timeout=60)


# Shards


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with a source."""
    tree = {"train": {"cat": 60, "dog": 50, "bad": {"empty.jpg": b"", "text.jpg": b"no image"}}}
    write_tree(tmp_path / "source", tree)
    return tmp_path


def write(home: Path, out: str) -> tuple[dict[str, bytes], list[Any]]:
    """Writes all shards of the source in this process; gives their bytes and receipts."""
    config = prep.Config(
        source=str(home / "source"),
        output=str(home / out),
        size=32,
        images_per_shard=56,
        max_refused=1,
    )
    made = prep.plan(config)
    journal = Journal(home / out)
    journal.begin(made)
    run = RunRef(output=str(home / out), digest=made.fingerprint.digest, run=out)
    write_serially(made.shards, run)
    return contents(home / out, "*/*.tfrecord"), [
        {**receipt.to_json(), "seconds": 0, "began": 0} for receipt in journal.committed(made)
    ]


def patch_reading(monkeypatch: pytest.MonkeyPatch, before: Callable[[Any], None]) -> None:
    """Has ``before`` called with each path before an image is read."""

    def read(path: Any, expected: Stamp | None = None) -> bytes:
        before(path)
        return read_file(path, expected)

    for module in ("sources.file_source", "operations.averaging.summing"):
        monkeypatch.setattr(f"prep.{module}.read_file", read)


def test_a_server_that_stumbles_with_all_reads_under_way_loses_no_image(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each image is tried again for itself, and not counted out for what happened to all."""
    near = write(home, "near")
    ahead: list[bytes] = []

    def stumble(path: bytes) -> None:
        if is_ahead():
            ahead.append(path)
            if len(ahead) % 2:
                raise OSError(errno.EIO, os.strerror(errno.EIO))

    patch_reading(monkeypatch, stumble)
    slow(64, str(home / "source"))
    assert write(home, "far") == near
    assert len(set(ahead)) == len(ahead) >= 50
    assert MEMORY.held == 0


def test_a_source_that_is_away_is_an_error_as_ever(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow(16, str(home / "source"))

    def vanish(path: bytes) -> None:
        shutil.rmtree(home / "source", ignore_errors=True)

    patch_reading(monkeypatch, vanish)
    with pytest.raises(FileNotFoundError):
        write(home, "out")
    assert not list((home / "out").glob("*/*.tfrecord*"))
    wait_until(lambda: MEMORY.held == 0)


def test_the_mean_of_images_is_the_same_whether_or_not_they_are_read_ahead(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [*map(str, sorted(home.glob("source/*/*/*"))), str(home / "absent.jpg")]
    near = sum_images(Portion(files=paths))
    assert len(near.refused) == 3
    slow(8, os.sep)
    ahead: list[str] = []
    patch_reading(monkeypatch, lambda path: ahead.append(path) if is_ahead() else None)
    assert sum_images(Portion(files=paths)) == near
    assert len(ahead) > 50


# These run in the workers.
def _answer_late(at_once: int) -> None:
    """Have each file read late; those read ahead, once so many have been asked for at once."""
    changed = threading.Condition()
    counts = {"now": 0, "most": 0}

    def read(path: bytes, expected: Stamp | None = None) -> bytes:
        with changed:
            counts["now"] += 1
            counts["most"] = max(counts["most"], counts["now"])
            changed.notify_all()
            if is_ahead():
                changed.wait_for(lambda: counts["most"] >= at_once, timeout=60)
        time.sleep(0.02)
        try:
            return read_file(path, expected)
        finally:
            with changed:
                counts["now"] -= 1

    read.counts = counts  # type: ignore[attr-defined]
    vars(file_source)["read_file"] = read


def _answer_at_once() -> int:
    read: Any = vars(file_source)["read_file"]
    vars(file_source)["read_file"] = read_file
    most: int = read.counts["most"]
    return most


def _threads_and_bytes() -> tuple[int, int]:
    return threads(), MEMORY.held


def test_workers_read_ahead_of_a_server_that_is_far_away(client: Client, tmp_path: Path) -> None:
    source = write_tree(tmp_path / "source", {"train": {"cat": 300, "dog": 300}})
    config = {"source": str(source), "size": 32, "images_per_shard": 150}
    prep.run(prep.Config(**config, output=str(tmp_path / "near")), client)
    client.run(_answer_late, 8)
    try:
        report = prep.run(prep.Config(**config, output=str(tmp_path / "far")), client)
    finally:
        most = client.run(_answer_at_once).values()
    assert report.images["written"] == 600
    assert contents(tmp_path / "far", "*/*.tfrecord") == contents(tmp_path / "near", "*/*.tfrecord")
    assert max(most) >= 8  # requests of one worker at once
    assert all(held == 0 for _, held in client.run(_threads_and_bytes).values())


@pytest.mark.slow
def test_a_stopped_run_leaves_no_thread_that_reads(client: Client, tmp_path: Path) -> None:
    source = write_tree(tmp_path / "source", {"train": {"cat": 400}})
    (source / "train/cat/zzz.jpg").write_bytes(b"no image")
    config = prep.Config(
        source=str(source),
        output=str(tmp_path / "out"),
        size=32,
        images_per_shard=401,
        on_bad_image="fail",
    )
    client.run(_answer_late, 0)
    try:
        with pytest.raises(prep.PrepError, match=r"zzz\.jpg"):
            prep.run(config, client)
    finally:
        client.run(_answer_at_once)
    wait_until(lambda: all(found == (0, 0) for found in client.run(_threads_and_bytes).values()))
