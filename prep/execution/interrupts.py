"""Ctrl-C and other signals that end a process: put off, turned into errors, or noticed early."""

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

# Of Ctrl-C; of a batch system that ends a job; of a terminal that is closed.
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# A terminal sends these to all processes that were started at it.
_TO_ALL = {signal.SIGINT, signal.SIGHUP}

_stopped_by: signal.Signals | None = None


class _Stopped(KeyboardInterrupt):
    """What a signal to stop raises in a command.

    Python notes each plain KeyboardInterrupt that leaves code made from text, such as that of a
    dataclass while its module loads. ``python -m`` then ends by SIGINT, whatever the exit code.
    """


# For each deferred() that the main thread is in: the handlers and the blocked signals outside of
# it, and the signals that have arrived since.
_outside: list[tuple[dict[signal.Signals, Any], set[int], list[int]]] = []


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Put off Ctrl-C, SIGTERM and SIGHUP until the end of the block.

    A cluster that is interrupted while it starts or closes would leave processes behind, and
    tracebacks on the terminal. Processes that are started in the block never see Ctrl-C or SIGHUP,
    which a terminal sends to them, too: they end when the cluster is closed.

    Signals that the program around Python handles itself are not put off.
    """
    from multiprocessing import resource_tracker  # It takes a while to load.

    # It would be started along with the first process, and then let SIGINT through again.
    resource_tracker.ensure_running()
    arrived: list[int] = []
    previous: dict[signal.Signals, Any] = {}
    main = threading.current_thread() is threading.main_thread()  # No other gets signals.
    if main:
        for number in _SIGNALS:
            # A handler that was not installed from Python is None, and could not be restored. A
            # signal that is ignored, as SIGHUP is under nohup, must not hide a later one.
            if signal.getsignal(number) not in (None, signal.SIG_IGN):
                previous[number] = signal.signal(number, lambda number, _: arrived.append(number))
    # Processes inherit the signals that are blocked.
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
    """Let signals take effect at once again, within :func:`deferred`.

    For waits in which there is nothing yet that could be left behind.
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
    """Turn SIGTERM and SIGHUP into KeyboardInterrupt in the block, as Ctrl-C does.

    A signal that is ignored, as SIGHUP is under ``nohup``, remains so.
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
    raise _Stopped


def _let_go_of_the_terminal() -> None:
    """Redirect what is printed from now on to the null device, if the terminal is gone.

    To write to it would be an error, in the middle of an orderly end.
    """
    for descriptor in range(3):
        try:
            termios.tcgetattr(descriptor)
        except termios.error as error:
            if error.args[0] == errno.EIO:  # It was a terminal.
                with open(os.devnull, "r+b", buffering=0) as nowhere:
                    os.dup2(nowhere.fileno(), descriptor)


def has_stopped() -> bool:
    """Return whether a signal to stop this process has arrived in :func:`stopping_in_order`."""
    return _stopped_by is not None


def stopped_by() -> signal.Signals:
    """Return the signal that has stopped this process; SIGINT if none was seen."""
    return _stopped_by or signal.SIGINT


@contextlib.contextmanager
def noticing(tell: Callable[[], None]) -> Iterator[None]:
    """Call ``tell`` in another thread as soon as a signal to stop arrives.

    That is at once, even if the signal is put off, or Python waits for something. If others handle
    signals, as in a thread or an event loop, it is never called.
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
    # Signals that the main thread blocks arrive here.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _TO_ALL)
    while arrived := os.read(reader, 64):
        if any(number in _SIGNALS for number in arrived):
            with contextlib.suppress(OSError):  # The terminal may be gone.
                tell()


def pressed_again(error: BaseException) -> bool:
    """Return whether this is a Ctrl-C that came while an earlier one was handled."""
    presses = sum(isinstance(part, KeyboardInterrupt) for part in chain_of(error))
    return isinstance(error, KeyboardInterrupt) and presses > 1


def before_exit(function: Callable[[], None]) -> None:
    """Call a function when the process is about to end, the last registered first.

    With ``atexit``, Python's thread pools would have ended before, and Dask needs them to close a
    cluster without log lines (https://github.com/dask/distributed/issues/6255).
    """
    importlib.import_module("concurrent.futures.thread")  # Registered first, it is called last.
    # Not documented, but there since Python 3.9.
    register = getattr(threading, "_register_atexit", atexit.register)
    register(function)
