"""Files are read before their turn: in order, within bounds, as many as it takes, or none."""

from __future__ import annotations

import errno
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from distributed import Client
from hypothesis import given, settings
from hypothesis import strategies as st

import prep
from prep.execution.bags import write_serially
from prep.operations.mean import sum_images
from prep.output.journal import Journal
from prep.shards.writer import RunRef
from prep.sources.folders import source
from prep.sources.prefetch.depth import Depth, depth_of, forget_depths
from prep.sources.prefetch.pool import POOL, Pool
from prep.sources.prefetch.window import ReadAhead
from prep.storage.locate import read_file
from prep.storage.location import Stamp
from tests.support.clusters import contents, wait_until
from tests.support.pictures import write_tree

THREAD = "prep-read-ahead"


def fixed(value: int) -> Depth:
    """A depth that never changes."""
    depth = Depth(most=value)
    depth.value = value
    depth.observes = lambda: False  # type: ignore[method-assign]
    return depth


def is_ahead() -> bool:
    """Whether the calling thread reads ahead."""
    return threading.current_thread().name == THREAD


class Server:
    """Has files 0, 1, 2, … of given sizes, and answers requests in any order it likes.

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
    depth=st.integers(0, 16),
    threads=st.integers(1, 8),
    whim=st.integers(0, 1 << 30),
)
def test_order_is_kept_and_memory_is_bounded(
    sizes: list[int], depth: int, threads: int, whim: int
) -> None:
    pool = Pool(threads=threads, memory=50, idle=0.01)
    numbers = range(len(sizes))
    came = []
    with (
        Server(sizes, random.Random(whim)) as server,
        ReadAhead(numbers, server.read, sizes.__getitem__, fixed(depth), pool) as files,
    ):
        for number, read in files:
            data = read()
            server.use(number)
            came.append((number, len(data)))
            assert pool.threads <= threads
    assert came == list(enumerate(sizes))
    assert server.most <= 50
    assert pool.held == 0
    if depth == 0:
        assert server.asked == []
    if any(size > 50 for size in sizes):
        assert all(sizes[number] <= 50 for number in server.asked)


def test_a_file_that_turns_out_larger_counts_as_what_it_is() -> None:
    pool = Pool(memory=100)
    asked: list[int] = []
    both = threading.Barrier(2)

    def read(number: int) -> bytes:
        asked.append(number)
        both.wait(timeout=60)
        return bytes(1000)

    with ReadAhead(range(9), read, lambda _: 40, fixed(8), pool) as files:
        iterator = iter(files)
        _, first = next(iterator)
        wait_until(lambda: pool.held == 2000)  # As many were let in as seemed to fit.
        first()
        assert pool.held == 1000
        next(iterator)  # There is no room for more.
        assert sorted(asked) == [0, 1]
        assert pool.held == 1000
    assert pool.held == 0


def test_as_many_are_read_at_once_as_it_is_deep() -> None:
    """Were they read one after the other, or fewer at once, nobody would get past the barrier."""
    together = threading.Barrier(32)

    def read(number: int) -> bytes:
        together.wait(timeout=60)
        return b"%d" % number

    with ReadAhead(range(64), read, lambda _: 1, fixed(31)) as files:
        assert [read() for _, read in files] == [b"%d" % number for number in range(64)]


def test_without_depth_no_thread_is_started() -> None:
    pool = Pool()
    with ReadAhead(range(5), lambda _: b"1", lambda _: 1, fixed(0), pool) as files:
        assert [read() for _, read in files] == [b"1"] * 5
    assert pool.threads == 0


def test_to_take_what_is_there_is_not_to_wait() -> None:
    depth = Depth(most=2)
    depth.value = 2
    noted: list[float] = []
    depth.observes = lambda: True  # type: ignore[method-assign]
    depth.note = lambda elapsed, waited, *, spare: noted.append(waited)  # type: ignore[method-assign]
    release = threading.Event()

    def read(number: int) -> bytes:
        if number == 9 and is_ahead():
            release.wait()
        return b"image"

    with ReadAhead(range(10), read, lambda _: 5, depth, Pool()) as ahead:
        for number, take in ahead:
            job = ahead._current.job if ahead._current else None
            assert job is not None
            if number == 9:
                threading.Timer(0.05, release.set).start()
            else:
                wait_until(lambda: job.finished)  # noqa: B023
            take()
    assert noted[:-1] == [0.0] * 8  # The first has none before it.
    assert noted[-1] > 0.01


@pytest.mark.parametrize("depth", [0, 1, 7])
def test_an_error_is_met_where_it_belongs_and_to_call_again_is_to_read_again(depth: int) -> None:
    tried: dict[int, int] = {}

    def read(number: int) -> bytes:
        if not is_ahead():
            tried[number] = tried.get(number, 0) + 1
        if number % 3 == 0 and (is_ahead() or tried[number] < 3):
            raise OSError(errno.EIO, f"file {number}")
        return b"%d" % number

    with ReadAhead(range(12), read, lambda _: 1, fixed(depth)) as files:
        for number, attempt in files:
            if number % 3 == 0:
                for _ in range(2):
                    with pytest.raises(OSError, match=f"file {number}$"):
                        attempt()
            assert attempt() == b"%d" % number
    assert {n: times for n, times in tried.items() if n % 3 == 0} == dict.fromkeys((0, 3, 6, 9), 3)
    assert POOL.held == 0


def test_whoever_stops_waits_for_no_read_and_leaves_nothing() -> None:
    pool = Pool(threads=4, idle=0.01)
    answer = threading.Event()
    asked: list[int] = []

    def read(number: int) -> bytes:
        asked.append(number)
        assert answer.wait(60)
        return bytes(10)

    def stop() -> None:
        with ReadAhead(range(100), read, lambda _: 10, fixed(20), pool) as files:
            next(iter(files))
            wait_until(lambda: len(asked) == 4)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop()
    assert not answer.is_set()  # None of those under way has come to its end.
    assert pool.held > 0
    answer.set()
    wait_until(lambda: pool.threads == 0)
    assert asked == asked[:4]  # What was only waiting for its turn was not read any more.
    assert pool.held == 0


def test_where_no_thread_can_be_started_files_are_read_in_their_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    pool = Pool()
    with ReadAhead(range(9), lambda n: b"%d" % n, lambda _: 1, fixed(4), pool) as files:
        assert [read() for _, read in files] == [b"%d" % number for number in range(9)]
    assert (pool.threads, pool.held) == (0, 0)


def test_an_image_that_was_passed_over_takes_no_memory() -> None:
    pool = Pool()
    with ReadAhead(range(9), lambda _: bytes(10), lambda _: 10, fixed(2), pool) as files:
        for number, read in files:
            if number % 2:
                read()
            assert pool.held <= 30
        wait_until(lambda: pool.held == 0)


HANGING = """
import os, threading
from prep.sources.prefetch.depth import Depth
from prep.sources.prefetch.window import ReadAhead
depth = Depth()
depth.value = 4
asked = threading.Event()
def read(number):
    asked.set()
    os.read(os.pipe()[0], 1)  # Nobody will ever write to it.
with ReadAhead(range(9), read, lambda _: 1, depth) as files:
    next(iter(files))
    asked.wait()
"""


def test_reads_that_hang_keep_no_process_from_ending() -> None:
    subprocess.run([sys.executable, "-c", HANGING], check=True, timeout=30)


# How deep


class Simulated:
    """A storage and somebody who uses what is read, in time that only counts.

    Args:
        latency: seconds until a request is answered.
        busy: seconds that a file is worked on.
        spacing: seconds that must lie between two answers: a storage that is at its end.
    """

    def __init__(self, latency: float, busy: float = 0.0012, spacing: float = 0.0) -> None:
        self.latency, self.busy, self.spacing = latency, busy, spacing
        self.now = self.waited = self._last = 0.0

    def run(self, depth: Depth, images: int) -> float:
        """Reads and works, and gives back the share of the time that went into waiting."""
        began, before = self.now, self.waited
        depth._clock = lambda: self.now
        ready: deque[float] = deque()
        looked: float | None = None
        depth.begin()
        for _ in range(images):
            while len(ready) <= depth.value:
                self._last = max(self.now + self.latency, self._last + self.spacing)
                ready.append(self._last)
            due, start = ready.popleft(), self.now
            half = depth.value // 2 - 1
            spare = not depth.value or len(ready) < depth.value or ready[half] <= start
            self.now = max(start, due)
            self.waited += self.now - start
            if not depth.observes():
                looked = None
            else:
                if looked is not None:
                    depth.note(self.now - looked, self.now - start, spare=spare)
                looked = self.now
            self.now += self.busy
        return (self.waited - before) / (self.now - began)


@pytest.mark.parametrize("latency", [0.0005, 0.005, 0.03, 0.1])
def test_it_grows_until_reads_are_not_waited_for(latency: float) -> None:
    depth, server = Depth(), Simulated(latency)
    server.run(depth, 2000)
    assert server.run(depth, 5000) < 0.03
    assert latency / server.busy < depth.value + 1 <= 4 * latency / server.busy + 3


def test_it_has_learnt_all_within_a_second_or_two() -> None:
    depth, server = Depth(), Simulated(0.03)
    while server.now < 1.5:
        server.run(depth, 20)
    assert server.run(depth, 1000) < 0.05


def test_it_stays_at_nothing_where_reads_are_not_waited_for() -> None:
    depth = Depth()
    Simulated(0.0).run(depth, 20_000)
    assert depth.value == 0


def test_a_storage_that_becomes_slow_is_noticed_within_seconds() -> None:
    depth, server = Depth(), Simulated(0.0)
    server.run(depth, 20_000)
    server.latency, turned = 0.1, server.now
    while depth.value == 0:
        server.run(depth, 10)
    assert server.now - turned < 3


def test_a_read_in_a_hundred_that_waits_is_no_reason() -> None:
    depth = Depth()
    for number in range(10_000):
        if depth.observes():
            depth.note(0.0012, 0.001 if number % 100 == 0 else 0.0, spare=True)
    assert depth.value == 0


def test_it_shrinks_again_and_costs_nothing_in_the_end() -> None:
    depth, server = Depth(), Simulated(0.03)
    server.run(depth, 3000)
    assert depth.value >= 16
    server.latency = 0.0
    server.run(depth, 5000)
    assert depth.value == 0


def test_what_was_a_mistake_is_made_ever_more_rarely() -> None:
    """A storage that is just quick enough if one file is read ahead, but not without."""
    depth, server = Depth(), Simulated(0.001)
    server.run(depth, 20_000)
    assert server.run(depth, 20_000) < 0.01


def test_what_comes_and_goes_leaves_no_mark() -> None:
    """What was right when it shrank is no mistake because it must grow again later."""
    depth, server = Depth(), Simulated(0.0)
    for _ in range(10):
        server.latency = 0.03
        server.run(depth, 3000)
        assert depth.value >= 16
        server.latency = 0.0
        server.run(depth, 5000)
        assert depth.value == 0


def test_it_does_not_grow_where_that_helps_nothing() -> None:
    depth, server = Depth(), Simulated(0.01, spacing=0.01)
    server.run(depth, 20_000)
    assert depth.value <= 8


@given(
    notes=st.lists(
        st.tuples(st.floats(1e-6, 1), st.floats(0, 1), st.booleans()), min_size=1, max_size=300
    ),
    most=st.integers(0, 200),
)
def test_it_is_never_out_of_bounds(notes: list[tuple[float, float, bool]], most: int) -> None:
    depth = Depth(most)
    for elapsed, share, spare in notes:
        depth.begin()
        if depth.observes():
            depth.note(elapsed, elapsed * share, spare=spare)
        assert 0 <= depth.value <= most


def test_what_was_learnt_is_kept_for_each_storage() -> None:
    assert depth_of("/a") is depth_of("/a")
    assert depth_of("/a") is not depth_of("/b")


# Shards


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A folder with a source."""
    tree = {"train": {"cat": 60, "dog": 50, "bad": {"empty.jpg": b"", "text.jpg": b"no image"}}}
    write_tree(tmp_path / "source", tree)
    yield tmp_path
    forget_depths()


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

    for module in ("sources.folders.source", "operations.mean"):
        monkeypatch.setattr(f"prep.{module}.read_file", read)


def test_a_shard_is_the_same_whether_or_not_it_is_read_ahead(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    near = write(home, "near")
    source = str(home / "source")
    assert depth_of(source).value == 0
    ahead: list[bytes] = []

    def delay(path: bytes) -> None:
        if is_ahead():
            ahead.append(path)
        time.sleep(0.01)

    patch_reading(monkeypatch, delay)
    forget_depths()
    assert write(home, "far") == near
    assert depth_of(source).value > 0
    assert len(ahead) > 30
    assert len(set(ahead)) == len(ahead)
    assert POOL.held == 0


def test_a_server_that_stumbles_with_all_reads_under_way_loses_no_image(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each image is tried again for itself, and not counted out for what happened to all."""
    near = write(home, "near")
    depth_of(str(home / "source")).value = 64
    failed: list[bytes] = []

    def stumble(path: bytes) -> None:
        if is_ahead():
            failed.append(path)
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    patch_reading(monkeypatch, stumble)
    assert write(home, "far") == near
    assert len(failed) >= 50


def test_a_source_that_is_away_is_an_error_as_ever(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    depth_of(str(home / "source")).value = 16

    def vanish(path: bytes) -> None:
        shutil.rmtree(home / "source", ignore_errors=True)

    patch_reading(monkeypatch, vanish)
    with pytest.raises(FileNotFoundError):
        write(home, "out")
    assert not list((home / "out").glob("*/*.tfrecord*"))
    wait_until(lambda: POOL.held == 0)


def test_the_mean_of_images_is_the_same_whether_or_not_they_are_read_ahead(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [*map(str, sorted(home.glob("source/*/*/*"))), str(home / "absent.jpg")]
    forget_depths()
    near = sum_images(paths)
    assert len(near.refused) == 3
    depth_of("mean").value = 8
    ahead: list[str] = []
    patch_reading(monkeypatch, lambda path: ahead.append(path) if is_ahead() else None)
    assert sum_images(paths) == near
    assert len(ahead) > 50


# These run in the workers.
def _answer_late(seconds: float) -> None:
    lock = threading.Lock()
    counts = {"now": 0, "most": 0}

    def read(path: bytes, expected: Stamp | None = None) -> bytes:
        with lock:
            counts["now"] += 1
            counts["most"] = max(counts["most"], counts["now"])
        time.sleep(seconds)
        try:
            return read_file(path, expected)
        finally:
            with lock:
                counts["now"] -= 1

    read.counts = counts  # type: ignore[attr-defined]
    vars(source)["read_file"] = read


def _answer_at_once() -> int:
    read: Any = vars(source)["read_file"]
    vars(source)["read_file"] = read_file
    most: int = read.counts["most"]
    return most


def _threads_and_bytes() -> tuple[int, int]:
    return sum(thread.name == THREAD for thread in threading.enumerate()), POOL.held


def test_workers_read_ahead_of_a_server_that_is_far_away(client: Client, tmp_path: Path) -> None:
    source = write_tree(tmp_path / "source", {"train": {"cat": 300, "dog": 300}})
    config = {"source": str(source), "size": 32, "images_per_shard": 150}
    prep.run(prep.Config(**config, output=str(tmp_path / "near")), client)
    client.run(_answer_late, 0.02)
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
    client.run(_answer_late, 0.02)
    try:
        with pytest.raises(prep.PrepError, match=r"zzz\.jpg"):
            prep.run(config, client)
    finally:
        client.run(_answer_at_once)
    wait_until(
        lambda: all(found == (0, 0) for found in client.run(_threads_and_bytes).values()), 30
    )
