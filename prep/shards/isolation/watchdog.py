"""Ends this process when one image takes too long.

A decoder that hangs may hold Python's global lock for ever, so that no code of ours runs any more.
The system's own timer doesn't need any: its signal ends the process, unless somebody handles it.
"""

from __future__ import annotations

import signal
import threading
import time

#: What the process dies of.
SIGNAL = signal.SIGALRM
_AT_ONCE = 0.001  # seconds; zero would switch the timer off


class Watchdog:
    """One timer for all threads of the process; does nothing until it is enabled.

    The timer is the kernel's monotonic one: setting the clock doesn't move it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._due: dict[int, float] = {}
        self._enabled = False

    def enable(self) -> None:
        """Allows it to end this process: only for one that is started anew when it ends.

        Where the signal is used for something else, it stays as it is.
        """
        self._enabled = signal.getsignal(SIGNAL) == signal.SIG_DFL

    def start(self, seconds: float) -> None:
        """This thread is to call :meth:`stop` within so many seconds."""
        if self._enabled:
            with self._lock:
                self._due[threading.get_ident()] = time.monotonic() + seconds
                self._arm()

    def stop(self) -> None:
        """This thread is done with what it was given time for."""
        if self._enabled:
            with self._lock:
                self._due.pop(threading.get_ident(), None)
                self._arm()

    def _arm(self) -> None:
        """Sets the timer for the thread whose time is over first."""
        left = min(self._due.values()) - time.monotonic() if self._due else 0.0
        signal.setitimer(signal.ITIMER_REAL, max(left, _AT_ONCE) if self._due else 0.0)


WATCHDOG = Watchdog()
