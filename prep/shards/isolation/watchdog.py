"""End this process if an image takes too long.

A decoder that hangs may hold Python's global lock, so that no Python code runs any more. A timer of
the system needs none: its signal ends the process, unless somebody handles it.
"""

from __future__ import annotations

import signal
import threading
import time

#: The signal that ends the process.
SIGNAL = signal.SIGALRM
_AT_ONCE = 0.001  # seconds; zero would switch the timer off


class Watchdog:
    """A timer for all threads of the process; does nothing until it is enabled.

    It is the kernel's monotonic one: setting the clock does not move it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._due: dict[int, float] = {}
        self._enabled = False

    def enable(self) -> None:
        """Allow the timer to end this process, which must be one that is restarted.

        Has no effect if the signal is used for something else.
        """
        self._enabled = signal.getsignal(SIGNAL) == signal.SIG_DFL

    def start(self, seconds: float) -> None:
        """Give this thread so many seconds to call :meth:`stop`."""
        if self._enabled:
            with self._lock:
                self._due[threading.get_ident()] = time.monotonic() + seconds
                if len(self._due) == 1:
                    signal.setitimer(signal.ITIMER_REAL, max(seconds, _AT_ONCE))
                else:
                    self._arm()

    def stop(self) -> None:
        """Cancel what :meth:`start` has begun in this thread."""
        if self._enabled:
            with self._lock:
                self._due.pop(threading.get_ident(), None)
                self._arm()

    def _arm(self) -> None:
        """Set the timer for the thread that is due first."""
        left = min(self._due.values()) - time.monotonic() if self._due else 0.0
        signal.setitimer(signal.ITIMER_REAL, max(left, _AT_ONCE) if self._due else 0.0)


WATCHDOG = Watchdog()
