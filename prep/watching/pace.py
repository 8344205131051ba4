"""Rates and the time that is left, from what was done so far."""

from __future__ import annotations

import dataclasses
from collections import deque
from typing import NamedTuple

from prep.watching.counts import LiveCounts

_SETTLE = 1.0  # seconds before a rate means anything
_LATELY = 30.0  # seconds that a rate is taken over


class _Mark(NamedTuple):
    time: float
    images: int
    read: int
    written: int


class Pace:
    """Adds rates to counts.

    The clock starts with the first image: starting workers says nothing about the speed of work.
    """

    def __init__(self) -> None:
        self._marks: deque[_Mark] = deque()
        self._before: int | None = None

    def add_rates(self, counts: LiveCounts, now: float) -> LiveCounts:
        """The same counts with the rates of late.

        Args:
            now: in seconds, of a clock that only goes forward.
        """
        mark = _Mark(now, counts.images, counts.bytes_read, counts.bytes_written)
        if self._before is None:
            self._before = counts.images
        if not self._marks and counts.images == self._before:
            return counts
        self._marks.append(mark)
        while now - self._marks[0].time > _LATELY and len(self._marks) > 2:
            self._marks.popleft()
        first = self._marks[0]
        seconds = now - first.time
        if seconds < _SETTLE or mark.images <= first.images:
            return counts
        rate = (mark.images - first.images) / seconds
        return dataclasses.replace(
            counts,
            images_per_second=rate,
            read_per_second=max(mark.read - first.read, 0) / seconds,
            written_per_second=max(mark.written - first.written, 0) / seconds,
            seconds_left=max(counts.planned - counts.images, 0) / rate,
        )
