"""How far to read ahead: learnt from how long reads are waited for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

#: The most files to read ahead: 30 ms are hidden by 25 of them at 800 images/s, 100 ms by 80.
MOST_AHEAD = 128
# So much of the time may go into waiting.
_TOLERATED = 0.02
# What is judged together: enough to tell, and a slow storage is told after a few files.
_IMAGES, _SHORTEST, _LONGEST = 16, 0.05, 0.25  # and seconds
# Of the reads that are not ahead, so many must have waited: one alone is no reason.
_WAITING = 0.1
# While nothing waits, it is looked at for an eighth of the time, for to measure is not free.
_LOOK_AWAY = 7
# Twice as many reads that take as long as before: the storage itself is at its end.
_NO_GAIN = 0.9
_HOLD = 64  # judgements until it is tried again
# Images that must have been ready in good time before fewer are read ahead; twice as many after
# each time that this was a mistake.
_PATIENCE, _MOST_PATIENCE = 256, 1 << 16
_SPARE = 0.95


@dataclass(slots=True)
class _Seen:
    """Reads that are judged together."""

    images: int = 0
    elapsed: float = 0.0
    waited: float = 0.0
    waits: int = 0
    spare: int = 0

    @property
    def share(self) -> float:
        """Of the time, what went into waiting."""
        return self.waited / self.elapsed

    @property
    def pace(self) -> float:
        """Seconds for an image."""
        return self.elapsed / self.images


class _Growth(NamedTuple):
    """How it was before more were read ahead."""

    value: int
    pace: float


class Depth:
    """How many files to read ahead of the one that is used.

    It doubles while reads are waited for, unless that helps nothing, and is halved once half as
    much would long have done. For several threads.

    Args:
        most: it never gets larger.
        clock: tells seconds.

    Attributes:
        value: files; zero to read each one when its turn comes.
    """

    def __init__(self, most: int = MOST_AHEAD, clock: Callable[[], float] = time.monotonic) -> None:
        self.value = 0
        self._most = most
        self._clock = clock
        self._lock = threading.Lock()
        self._seen = _Seen()
        self._not_seen = 0
        self._look_again = 0.0
        self._grown: _Growth | None = None
        self._hold = 0
        self._calm = 0
        self._patience = _PATIENCE
        self._shrunk = False

    def begin(self) -> None:
        """Reading begins: it must wait until as many are read ahead as should be."""
        if self.value:
            self._not_seen = max(self._not_seen, self.value + 1)

    def observes(self) -> bool:
        """Whether the next read is to be noted; to be asked once before each."""
        if self._not_seen:
            self._not_seen -= 1
            return False
        return self.value > 0 or self._clock() >= self._look_again

    def note(self, elapsed: float, waited: float, *, spare: bool) -> None:
        """Learns from a read.

        Args:
            elapsed: seconds since the read before was over.
            waited: seconds of it in which the thread could do nothing.
            spare: whether half as many files read ahead would have done.
        """
        with self._lock:
            seen = self._seen
            seen.images += 1
            seen.elapsed += elapsed
            seen.waited += waited
            seen.waits += waited > 0
            seen.spare += spare
            enough = seen.images >= max(_IMAGES, self.value) and seen.elapsed >= _SHORTEST
            if enough or seen.elapsed >= _LONGEST:
                self._seen = _Seen()
                self._judge(seen)

    def _judge(self, seen: _Seen) -> None:
        if seen.share > _TOLERATED and (self.value or seen.waits >= _WAITING * seen.images):
            self._calm = 0
            self._too_slow(seen)
            return
        self._grown = None
        self._shrunk = False  # If it was made less before, that was no mistake.
        if not self.value:
            self._look_again = self._clock() + _LOOK_AWAY * seen.elapsed
            return
        self._calm = self._calm + seen.images if seen.spare >= _SPARE * seen.images else 0
        if self._calm >= self._patience:
            self._calm = 0
            self._shrunk = True
            self._change(self.value // 2 if self.value > 2 else 0)

    def _too_slow(self, seen: _Seen) -> None:
        grown, self._grown = self._grown, None
        if grown is not None and seen.share > 0.5 and seen.pace > _NO_GAIN * grown.pace:
            self._hold = _HOLD
            self._change(grown.value)
        elif self._hold:
            self._hold -= 1
        elif self.value < self._most:
            if self._shrunk:
                self._shrunk = False
                self._patience = min(2 * self._patience, _MOST_PATIENCE)
            self._grown = _Growth(self.value, seen.pace)
            self._change(min(max(2, 2 * self.value), self._most))

    def _change(self, value: int) -> None:
        self.value = value
        self._not_seen = value


def depth_of(storage: str | bytes, most: int | None = None) -> Depth:
    """What this process has learnt of a storage.

    Args:
        storage: any name for it.
        most: how many files may be read ahead, if it is less than usual.
    """
    return _learnt(storage, MOST_AHEAD if most is None else min(most, MOST_AHEAD))


def forget_depths() -> None:
    """Has all storages be learnt anew."""
    _learnt.cache_clear()


@lru_cache(maxsize=64)
def _learnt(storage: str | bytes, most: int) -> Depth:
    return Depth(most)
