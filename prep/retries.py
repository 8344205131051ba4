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


@dataclass(slots=True)
class Retries:
    """Tries again, with growing pauses, and counts how often.

    Attributes:
        limit: how often in all; after that, the first failure is the last.
        count: how often it was.
    """

    limit: int = 100
    count: int = 0

    def call(self, action: Callable[[], T], pauses: Sequence[float]) -> T:
        """What ``action`` returns, when it is called once and once more after each pause.

        Args:
            action: what to do; it must leave nothing half-done when it fails.
            pauses: seconds, each stretched or shortened at random, so that many workers that lost
                the same file server do not all come back to it at once.

        Raises:
            OSError: it failed for a reason that will not pass, or every time.
        """
        for pause in pauses:
            try:
                return action()
            except OSError as error:
                if not is_transient(error) or self.count >= self.limit:
                    raise
            self.count += 1
            time.sleep(pause * random.uniform(0.5, 1.5))
        return action()
