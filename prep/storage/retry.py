"""Deadlines and retries of requests.

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

# Errors that may be over in a second. Others are as true the next time: the file is absent
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
    """Return True if the same may succeed a moment later."""
    return error.errno in TRANSIENT


def lasted(error: BaseException) -> float:
    """Return for how many seconds everything had failed when this was raised; 0 if unknown."""
    seconds: float = getattr(error, "lasted", 0.0)
    return seconds


@dataclass(slots=True)
class Retries:
    """A budget of further attempts, with growing pauses.

    An attempt may take minutes to fail, and may itself consist of several. So the time is limited
    as well as the number.

    Attributes:
        limit: number of further attempts in all; after that, the first failure is the last.
        patience: seconds; once everything has failed for so long, the next failure is the last.
            A success begins a new count.
        clock: returns seconds.
        count: number of further attempts so far.
    """

    limit: int = 100
    patience: float = 240.0
    clock: Callable[[], float] = time.monotonic
    count: int = 0
    _since: float | None = None

    @property
    def spent(self) -> bool:
        """True if everything has failed for so long that nothing is tried again."""
        return self._lasted() >= self.patience

    def call(self, action: Callable[[], T], pauses: Sequence[float]) -> T:
        """Call ``action``, and again after each pause while it fails for a reason that may pass.

        Args:
            action: leaves nothing half-done when it fails.
            pauses: seconds, each stretched or shortened at random, so that many workers that lost
                the same file server do not all come back to it at once.

        Raises:
            OSError: the failure does not pass, or there were too many, or for too long.
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
_LOOK = 0.5  # seconds between two looks at whether an answer is still of use


class _Limit:
    """The time.monotonic() until which answers are of use."""

    def __init__(self, until: float) -> None:
        self.until = until


_limit: ContextVar[_Limit] = ContextVar("limit", default=_Limit(math.inf))  # noqa: B039


@contextlib.contextmanager
def answering_within(seconds: float = _IN_A_HURRY) -> Iterator[None]:
    """Limit the time that all requests in the block may take together.

    A request to a storage that takes one at a time (SFTP) is not cut short.

    Args:
        seconds: the default is how long somebody who has stopped a run is made to wait.
    """
    token = _limit.set(_Limit(min(_limit.get().until, time.monotonic() + seconds)))
    try:
        yield
    finally:
        _limit.reset(token)


def in_a_hurry() -> bool:
    """Return True inside of :func:`answering_within`."""
    return _limit.get().until < math.inf


@contextlib.contextmanager
def asking_in_threads() -> Iterator[Callable[[Callable[[S], T], S], T]]:
    """Yield a function that calls another in a thread of a pool, with this thread's deadline.

    Requests that are still waiting there when the block ends are given up.
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
    """Run a coroutine in the event loop of another thread, and return its result.

    Args:
        patience: seconds.

    Raises:
        OSError: it takes too long, or nobody wants the result any more.
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
    """Return the seconds that are left to wait for an answer; raise OSError if there are none."""
    until = _limit.get().until
    if until == -math.inf:
        raise OSError(errno.ECANCELED, "not asked for any more")
    left = min(deadline, until) - time.monotonic()
    if left <= 0:
        raise TimeoutError(errno.ETIMEDOUT, "no answer in time")
    return left
