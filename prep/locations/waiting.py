"""How long an answer of a storage is waited for, and who is in a hurry."""

from __future__ import annotations

import contextlib
import errno
import math
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar, copy_context
from typing import Any, TypeVar

S = TypeVar("S")
T = TypeVar("T")

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
