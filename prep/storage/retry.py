"""How long answers are waited for, and how often a question is asked again.

Deadlines hold for a block of code, with all threads that it asks through. Retries hold for one
action, and for the time that everything has failed.
"""

from __future__ import annotations

import contextlib
import errno
import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar, copy_context
from dataclasses import dataclass
from typing import Any, TypeVar

S = TypeVar("S")
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


_IN_A_HURRY = 1.5  # seconds
_LOOK = 0.5  # seconds: how often it is looked whether an answer is still of use


class _Limit:
    """Until when answers are of use, by time.monotonic()."""

    def __init__(self, until: float) -> None:
        self.until = until


_limit: ContextVar[_Limit] = ContextVar("limit", default=_Limit(math.inf))  # noqa: B039


@contextlib.contextmanager
def answering_within(seconds: float = _IN_A_HURRY) -> Iterator[None]:
    """Has all that is asked in the block be answered in this time, taken together, or not at all.

    What a storage that takes one question at a time (SFTP) is at is not cut short.

    Args:
        seconds: by default, as many as somebody who has stopped a run is made to wait.
    """
    token = _limit.set(_Limit(min(_limit.get().until, time.monotonic() + seconds)))
    try:
        yield
    finally:
        _limit.reset(token)


def in_a_hurry() -> bool:
    """Whether this is within :func:`answering_within`."""
    return _limit.get().until < math.inf


@contextlib.contextmanager
def asking_in_threads() -> Iterator[Callable[[Callable[[S], T], S], T]]:
    """Gives what calls a function in another thread, in as much of a hurry as this one.

    What is still asked there when the block ends is given up: nobody wants to know any more.
    """
    limit = _Limit(_limit.get().until)
    context = copy_context()
    context.run(_limit.set, limit)
    try:
        # One thread at a time may use a context.
        yield lambda function, item: context.copy().run(function, item)
    finally:
        limit.until = -math.inf


def answer(loop: Any, question: Any, patience: float) -> Any:
    """What a coroutine gives, in the event loop of another thread.

    Args:
        patience: seconds.

    Raises:
        OSError: that takes too long, or is of no use to anyone any more.
    """
    # They take a while to load, and who asks has them.
    import asyncio
    from concurrent.futures import wait

    deadline = time.monotonic() + patience
    future = asyncio.run_coroutine_threadsafe(question, loop)
    try:
        while not future.done():
            wait([future], min(_LOOK, require_time(deadline)))
        return future.result()
    finally:
        future.cancel()  # If it is not done.


def require_time(deadline: float = math.inf) -> float:
    """Seconds that are left to wait for an answer; raises OSError where there are none."""
    until = _limit.get().until
    if until == -math.inf:
        raise OSError(errno.ECANCELED, "not asked for any more")
    left = min(deadline, until) - time.monotonic()
    if left <= 0:
        raise TimeoutError(errno.ETIMEDOUT, "no answer in time")
    return left
