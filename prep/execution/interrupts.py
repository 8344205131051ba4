"""The end of a process, or Ctrl-C, where it must not strike in the middle of something."""

from __future__ import annotations

import atexit
import contextlib
import errno
import importlib
import os
import signal
import termios
import threading
from collections.abc import Callable, Iterator
from typing import Any

from prep.errors import chain_of

# Ctrl-C; what batch systems end a job with; what a terminal that is closed sends.
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# A terminal sends these to all processes that were started at it.
_TO_ALL = {signal.SIGINT, signal.SIGHUP}

_stopped_by: signal.Signals | None = None

# Of each deferred() that the main thread is in: what is done on signals outside of it, those that
# are blocked there, and those that have arrived since.
_outside: list[tuple[dict[signal.Signals, Any], set[int], list[int]]] = []


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Lets the block end before Ctrl-C (or SIGTERM, or SIGHUP) takes effect.

    A cluster that is interrupted while it starts or closes leaves processes behind, and tracebacks
    on the terminal. Processes that are started within never see Ctrl-C or SIGHUP: from a terminal
    these reach them too, and they are to end in good order when the cluster is closed, not each at
    once.

    A signal that a program around Python handles itself takes effect as that has it, at once.
    """
    from multiprocessing import resource_tracker  # It takes a while to load.

    # It is started along with the first process, and then lets SIGINT through again.
    resource_tracker.ensure_running()
    arrived: list[int] = []
    previous: dict[signal.Signals, Any] = {}
    main = threading.current_thread() is threading.main_thread()  # The only one that they disturb.
    if main:
        for number in _SIGNALS:
            # A handler that was not installed from Python is None, and could not be put back. What
            # is ignored, as SIGHUP is under nohup, must not stand in for what comes after it.
            if signal.getsignal(number) not in (None, signal.SIG_IGN):
                previous[number] = signal.signal(number, lambda number, _: arrived.append(number))
    # What a process blocks, the processes that it starts block as well.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _TO_ALL)
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
    """Lets Ctrl-C (and SIGTERM and SIGHUP) take effect at once again within :func:`deferred`.

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


@contextlib.contextmanager
def stopping_in_order() -> Iterator[None]:
    """Have SIGTERM and SIGHUP stop the block as Ctrl-C does: with a KeyboardInterrupt.

    A signal that is ignored stays so, as SIGHUP is under ``nohup``.
    """
    before: dict[signal.Signals, Any] = {}
    for number in _SIGNALS:
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            before[number] = signal.signal(number, _stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(number: int, _frame: object) -> None:
    global _stopped_by
    _stopped_by = _stopped_by or signal.Signals(number)
    if number == signal.SIGHUP:
        _let_go_of_the_terminal()
    raise KeyboardInterrupt


def _let_go_of_the_terminal() -> None:
    """Have what is printed from now on go nowhere, where the terminal is gone.

    To write to it would be an error, and end in disorder what is to end in order.
    """
    for descriptor in range(3):
        try:
            termios.tcgetattr(descriptor)
        except termios.error as error:
            if error.args[0] == errno.EIO:  # It was a terminal.
                with open(os.devnull, "r+b", buffering=0) as nowhere:
                    os.dup2(nowhere.fileno(), descriptor)


def stopped_by() -> signal.Signals:
    """Which signal has stopped this process, as far as :func:`stopping_in_order` knows."""
    return _stopped_by or signal.SIGINT


@contextlib.contextmanager
def noticing(tell: Callable[[], None]) -> Iterator[None]:
    """Call ``tell``, in a thread of its own, as soon as a signal to stop arrives.

    That is at once, even where the signal itself is put off, or Python waits for something. Where
    signals are somebody else's, as in a thread or an event loop, it is never called.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    thread = threading.Thread(target=_tell_of_signals, args=(reader, tell), daemon=True)
    thread.start()
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    if before != -1:
        signal.set_wakeup_fd(before)
    try:
        yield
    finally:
        if before == -1:
            signal.set_wakeup_fd(-1)
        os.close(writer)  # Which ends the thread.
        thread.join()
        os.close(reader)


def _tell_of_signals(reader: int, tell: Callable[[], None]) -> None:
    # While the main thread puts signals off, they arrive here.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _TO_ALL)
    while arrived := os.read(reader, 64):
        if any(number in _SIGNALS for number in arrived):
            with contextlib.suppress(OSError):  # The terminal may be gone.
                tell()


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
