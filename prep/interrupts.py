"""The end of a process, or Ctrl-C, where it must not strike in the middle of something."""

from __future__ import annotations

import atexit
import contextlib
import importlib
import signal
import threading
from collections.abc import Callable, Iterator
from multiprocessing import resource_tracker
from typing import Any

from prep.errors import chain_of

_SIGNALS = (signal.SIGINT, signal.SIGTERM)

# Of each deferred() that the main thread is in: what is done on signals outside of it, those that
# are blocked there, and those that have arrived since.
_outside: list[tuple[dict[signal.Signals, Any], set[int], list[int]]] = []


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Lets the block end before Ctrl-C (or SIGTERM) takes effect.

    A cluster that is interrupted while it starts or closes leaves processes behind, and tracebacks
    on the terminal. Processes that are started within never see Ctrl-C: at a terminal it reaches
    them too, and they are to end in good order when the cluster is closed, not each at once.

    A signal that a program around Python handles itself takes effect as that has it, at once.
    """
    # It is started along with the first process, and then lets SIGINT through again.
    resource_tracker.ensure_running()
    arrived: list[int] = []
    previous: dict[signal.Signals, Any] = {}
    main = threading.current_thread() is threading.main_thread()  # The only one that they disturb.
    if main:
        for number in _SIGNALS:
            # A handler that was not installed from Python is None, and could not be put back.
            if signal.getsignal(number) is not None:
                previous[number] = signal.signal(number, lambda number, _: arrived.append(number))
    # What a process blocks, the processes that it starts block as well.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    if main:
        _outside.append((previous, mask, arrived))
    try:
        yield
    finally:
        if main:
            _outside.pop()
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in previous.items():
            signal.signal(number, handler)
        if arrived:
            signal.raise_signal(arrived[0])


@contextlib.contextmanager
def heard() -> Iterator[None]:
    """Lets Ctrl-C (and SIGTERM) take effect at once again within :func:`deferred`.

    For waits in which there is nothing yet that would stay behind for good.
    """
    if threading.current_thread() is not threading.main_thread() or not _outside:
        yield
        return
    handlers, mask, _ = _outside[0]
    arrived = _outside[-1][-1]
    inside = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        blocked = signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        try:
            if arrived:
                signal.raise_signal(arrived.pop())
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    finally:
        for number, handler in inside.items():
            signal.signal(number, handler)


def pressed_again(error: BaseException) -> bool:
    """Whether this is Ctrl-C that came while an earlier one was dealt with."""
    presses = sum(isinstance(part, KeyboardInterrupt) for part in chain_of(error))
    return isinstance(error, KeyboardInterrupt) and presses > 1


def before_exit(function: Callable[[], None]) -> None:
    """Has a function called when the process is about to end; the last that came is called first.

    Unlike what ``atexit`` calls, it finds Python's thread pools at work, which Dask needs in order
    to let go of a cluster without complaint.
    """
    importlib.import_module("concurrent.futures.thread")  # Which is to be called after it.
    # Not documented, though there since Python 3.9. At worst, there are log lines at the end.
    register = getattr(threading, "_register_atexit", atexit.register)
    register(function)
