"""Read files before their turn comes, where reading keeps a core waiting."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Generic, TypeVar

from prep.storage.locate import locate

T = TypeVar("T")

# Files read ahead, at first and at most: at 800 images/s, 24 hide 30 ms, and 80 hide 100 ms.
_DEPTH, _MOST = 32, 128
_MEMORY = 64 << 20  # 64 MiB
# A read that takes longer keeps its thread waiting: seconds, and seconds for each byte.
_PROMPT, _PER_BYTE = 0.0003, 1e-9
# Seconds of waiting after which a disk's files are read ahead. Each prompt read takes its share
# back, so that it doesn't matter if others use the core now and then.
_TOLERATED = 0.02
# How far to read ahead, as this process has learnt, by storage. Where it is not known to wait,
# a disk's files are read in their turn.
_DEPTHS: dict[str, int] = {}


class Memory:
    """Bytes that a process has read ahead, or is reading, and has not used yet.

    Attributes:
        held: how many.
        lock: to be held while it changes.
    """

    def __init__(self) -> None:
        self.held = 0
        self.lock = threading.Lock()


MEMORY = Memory()


class _Job(Generic[T]):
    """A file that is read ahead: its data, once it is done; None if that failed."""

    def __init__(self, item: T, size: int) -> None:
        self.item = item
        self.data: bytes | None = None
        self.done = self.taken = self._given_up = False
        self._size = size
        self._ready = threading.Lock()
        self._ready.acquire()

    def reserve(self) -> bool:
        """Take memory for the file, unless there is not enough."""
        with MEMORY.lock:
            fits = MEMORY.held + self._size <= _MEMORY
            MEMORY.held += self._size if fits else 0
        return fits

    def run(self, read: Callable[[T], bytes]) -> None:
        """Read the file, unless it was given up."""
        data = None
        if not self._given_up:
            with contextlib.suppress(BaseException):  # Whoever needs the file meets it again.
                data = read(self.item)
        with MEMORY.lock:
            actual = 0 if self._given_up else len(data or b"")
            MEMORY.held += actual - self._size
            self._size, self.data, self.done = actual, data, True
        self._ready.release()

    def take(self) -> bytes | None:
        """Wait for the data, once, and leave no memory to it."""
        self._ready.acquire()
        self.taken, data = True, self.data
        self.give_up()
        return data

    def give_up(self) -> None:
        """Discard the data, without waiting for it."""
        with MEMORY.lock:
            self._given_up, self.data = True, None
            if self.done:
                MEMORY.held -= self._size
                self._size = 0


class ReadAhead(Generic[T]):
    """Yields each item with a function that returns its contents; for one thread.

    The first call of that function returns what was read ahead, if it was; any other call reads in
    the calling thread. So an error is met where it belongs, and to call again is to try again.

    From a storage, files are always read ahead. From a disk, each is read in its turn until that
    keeps the thread waiting. The depth doubles while what was read ahead has to be waited for.

    Leave the ``with`` block to give up what was not used: nobody waits for reads under way, and
    their threads end with them.

    Args:
        items: what to read.
        read: reads one of them, in any thread.
        size: returns how many bytes one of them has, as far as is known.
        storage: the path or URL of the place that they are read from.
    """

    def __init__(
        self,
        items: Iterable[T],
        read: Callable[[T], bytes],
        size: Callable[[T], int],
        storage: str,
    ) -> None:
        self._items = iter(items)
        self._read = read
        self._size = size
        self._storage = storage
        most = locate(storage).most_at_once
        self._most = min(most or _MOST, _MOST)
        self._depth = _DEPTHS.get(storage, 0 if most is None else _DEPTH)
        self._taken = 0  # Since the depth is what it is.
        self._waited = 0.0
        self._reads = self._slow_reads = 0
        self._jobs: queue.SimpleQueue[_Job[T] | None] = queue.SimpleQueue()
        self._threads = 0
        self._window: deque[_Job[T]] = deque()

    def __enter__(self) -> ReadAhead[T]:
        return self

    def __exit__(self, *_: object) -> None:
        for job in self._window:
            job.give_up()
        for _thread in range(self._threads):
            self._jobs.put(None)
        if 2 * self._slow_reads < self._reads:
            _DEPTHS.pop(self._storage, None)

    def __iter__(self) -> Iterator[tuple[T, Callable[[], bytes]]]:
        while not self._depth:
            try:
                item = next(self._items)
            except StopIteration:
                return
            yield item, partial(self._read_in_turn, item)
        yield from self._iterate_ahead()

    def _read_in_turn(self, item: T) -> bytes:
        began = time.perf_counter()
        data = self._read(item)
        over = time.perf_counter() - began - _PROMPT - len(data) * _PER_BYTE
        self._waited = max(0.0, self._waited + over)
        if self._waited > _TOLERATED:
            self._deepen(_DEPTH)
        return data

    def _deepen(self, depth: int) -> None:
        self._depth = _DEPTHS[self._storage] = min(depth, self._most)
        self._taken = 0

    def _iterate_ahead(self) -> Iterator[tuple[T, Callable[[], bytes]]]:
        rest: list[T] = []  # An item for which there was no memory.
        while True:
            while len(self._window) < self._depth:
                try:
                    item = rest.pop() if rest else next(self._items)
                except StopIteration:
                    break
                if not self._submit(item):
                    rest.append(item)
                    break
            if self._window:
                job = self._window[0]
                yield job.item, partial(self._take, job)
                self._window.popleft().give_up()
            elif rest:
                item = rest.pop()
                yield item, partial(self._read, item)
            else:
                return

    def _take(self, job: _Job[T]) -> bytes:
        data = None
        if not job.taken:
            self._taken += 1
            if self._taken > self._depth and not job.done:
                self._deepen(2 * self._depth)
            data = job.take()
        return self._read(job.item) if data is None else data

    def _submit(self, item: T) -> bool:
        """Begin to read a file ahead, if there is memory for it and a thread."""
        job = _Job(item, self._size(item))
        if len(self._window) >= self._threads and self._threads < self._depth:
            with contextlib.suppress(RuntimeError):  # The system allows no more threads.
                threading.Thread(target=self._work, name="prep-read-ahead", daemon=True).start()
                self._threads += 1
        if not self._threads or not job.reserve():
            return False
        self._window.append(job)
        self._jobs.put(job)
        return True

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            began = time.perf_counter()
            job.run(self._read)
            self._reads += 1
            self._slow_reads += time.perf_counter() - began > 1e-3
            del job  # Not to be kept while waiting for the next.
