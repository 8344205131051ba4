"""Trying again what failed for a reason that may pass."""

from __future__ import annotations

import errno
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

# What may be over in a second. What is not here is as true the next time: the file is absent
# (ENOENT), forbidden (EACCES), the disk is full (ENOSPC, EDQUOT) or read-only (EROFS).
_PASSING = (
    *("EIO", "EREMOTEIO", "ETIMEDOUT"),  # a disk or a file server that stumbles
    *("ESTALE", "ENOTCONN", "ENOLCK"),  # a file server that has been started anew
    *("ECONNRESET", "ECONNABORTED", "ECONNREFUSED", "EPIPE"),  # a connection to it that broke
    *("ENETDOWN", "ENETUNREACH", "ENETRESET", "EHOSTDOWN", "EHOSTUNREACH"),  # the network to it
    *("EAGAIN", "EBUSY", "EMFILE", "ENFILE", "ENOMEM", "ENOBUFS"),  # others have it all just now
)
TRANSIENT = frozenset(getattr(errno, name) for name in _PASSING if hasattr(errno, name))


def is_transient(error: OSError) -> bool:
    """Whether the same may succeed a moment later."""
    return error.errno in TRANSIENT


def lasted(error: BaseException) -> float:
    """For how many seconds all that was tried had failed when this was the last; 0 if unknown."""
    seconds: float = getattr(error, "lasted", 0.0)
    return seconds


@dataclass(slots=True)
class Retries:
    """Tries again, with growing pauses, and counts how often.

    Where each try takes minutes to fail, and some are tries of what is itself tried again, numbers
    bound nothing: so there is a time as well.

    Attributes:
        limit: how often in all; after that, the first failure is the last.
        patience: seconds; when all that was tried has failed for so long, the next failure is the
            last. Whatever succeeds in between begins a new count.
        clock: gives seconds.
        count: how often it was.
    """

    limit: int = 100
    patience: float = 240.0
    clock: Callable[[], float] = time.monotonic
    count: int = 0
    _since: float | None = None

    @property
    def spent(self) -> bool:
        """Whether all has failed for so long that nothing is tried again."""
        return self._lasted() >= self.patience

    def call(self, action: Callable[[], T], pauses: Sequence[float]) -> T:
        """What ``action`` returns, when it is called once and once more after each pause.

        Args:
            action: what to do; it must leave nothing half-done when it fails.
            pauses: seconds, each stretched or shortened at random, so that many workers that lost
                the same file server do not all come back to it at once.

        Raises:
            OSError: it failed for a reason that will not pass, every time, or for too long.
        """
        left = iter(pauses)
        while True:
            try:
                result = action()
            except OSError as error:
                if not is_transient(error):
                    raise
                self._since = self.clock() if self._since is None else self._since
                pause = None if self.count >= self.limit or self.spent else next(left, None)
                if pause is None:
                    error.lasted = self._lasted()  # type: ignore[attr-defined]
                    raise
            else:
                self._since = None
                return result
            self.count += 1
            time.sleep(pause * random.uniform(0.5, 1.5))

    def _lasted(self) -> float:
        return 0.0 if self._since is None else self.clock() - self._since
