"""Files in their order, those to come being read already."""

from __future__ import annotations

import resource
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Generic, TypeVar

from prep.sources.prefetch.depth import Depth
from prep.sources.prefetch.pool import POOL, Job, Pool

T = TypeVar("T")

# Linux counts for each thread, others for the process.
_WHO = getattr(resource, "RUSAGE_THREAD", resource.RUSAGE_SELF)


def _times_blocked() -> int:
    """How often this thread has had to wait for something, and not merely for a core."""
    return resource.getrusage(_WHO).ru_nvcsw


class _Place(Generic[T]):
    """An item, and the job that reads it ahead, until that is taken or given up."""

    __slots__ = ("item", "job")

    def __init__(self, item: T) -> None:
        self.item = item
        self.job: Job | None = None


class ReadAhead(Generic[T]):
    """Gives items one after the other, each with what reads it. For one thread.

    Iterating gives pairs of an item and a function without arguments. The first call of that gives
    what was read ahead, if anything was; any other reads, in the calling thread. So to call it once
    more is to try again, and each error is met where it belongs.

    Leave the ``with`` block to give up what was not used, without waiting for reads under way.

    Args:
        items: what to read.
        read: reads one of them, in any thread.
        size: how many bytes one of them has.
        depth: how many to read ahead.
        pool: who reads them.
    """

    def __init__(
        self,
        items: Iterable[T],
        read: Callable[[T], bytes],
        size: Callable[[T], int],
        depth: Depth,
        pool: Pool = POOL,
    ) -> None:
        self._items = iter(items)
        self._no_room: list[T] = []
        self._read = read
        self._size = size
        self._depth = depth
        self._pool = pool
        self._window: deque[_Place[T]] = deque()
        self._current: _Place[T] | None = None
        self._looked: float | None = None

    def __enter__(self) -> ReadAhead[T]:
        self._depth.begin()
        return self

    def __exit__(self, *_: object) -> None:
        while self._window:
            self._give_up(self._window.popleft())
        self._give_up(self._current)

    def __iter__(self) -> Iterator[tuple[T, Callable[[], bytes]]]:
        while True:
            self._give_up(self._current)
            self._fill()
            if not self._window:
                return
            self._current = place = self._window.popleft()
            yield place.item, partial(self._take, place)

    def _fill(self) -> None:
        """Has files read, up to the depth and as there is room, and has at least the next one."""
        depth = self._depth.value
        while len(self._window) <= depth:
            try:
                item = self._no_room.pop() if self._no_room else next(self._items)
            except StopIteration:
                return
            place = _Place(item)
            if depth and not self._submit(place) and self._window:
                self._no_room.append(item)
                return
            self._window.append(place)

    def _submit(self, place: _Place[T]) -> bool:
        """Whether this is read ahead, or is one that is never to be."""
        size = self._size(place.item)
        if size > self._pool.memory:
            return True
        job = Job(partial(self._read, place.item), size)
        if not self._pool.submit(job):
            return False
        place.job = job
        return True

    def _give_up(self, place: _Place[T] | None) -> None:
        if place is not None and place.job is not None:
            self._pool.cancel(place.job)
            place.job = None

    def _take(self, place: _Place[T]) -> bytes:
        if not self._depth.observes():
            self._looked = None
            return self._get(place)
        job = place.job
        # To take what is there is not to wait, though threads may be in each other's way.
        there = job is not None and job.finished
        blocked = _times_blocked() if job is None else 0
        began = time.perf_counter()
        try:
            return self._get(place)
        finally:
            now = time.perf_counter()
            waited = not there and (job is not None or _times_blocked() > blocked)
            if self._looked is not None:
                self._depth.note(
                    now - self._looked, now - began if waited else 0.0, spare=self._is_spare()
                )
            self._looked = now

    def _get(self, place: _Place[T]) -> bytes:
        if place.job is not None:
            data = self._pool.take(place.job)
            place.job = None
            if data is not None:
                return data
        return self._read(place.item)

    def _is_spare(self) -> bool:
        """Whether half as many files read ahead would have done, as far as can be told."""
        depth = self._depth.value
        if not depth or len(self._window) < depth:
            return True
        job = self._window[depth // 2 - 1].job
        return job is None or job.finished
