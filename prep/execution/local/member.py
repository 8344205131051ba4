"""One worker process of a crew, as the crew sees it; also one that is started ahead of its crew.

It imports nothing of the script that starts it, so that needs no guard.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing.connection import Pipe
from typing import Any

import psutil

from prep.errors import ClusterError
from prep.execution.interrupts import deferred
from prep.execution.local.messages import Job, Look, Ready, Setup
from prep.execution.local.own_process import ENVIRONMENT, search_path
from prep.storage.locate import granted
from prep.text import reason_of

MOMENT = 1.0  #: seconds before an impatient user is heard


class CrewMember:
    """One process, which runs :mod:`prep.execution.local.__main__`.

    Args:
        modules: what it is to load, beside what each task needs.

    Attributes:
        ready: whether it has said that it is.
        task: the one that it is at.
        metrics: what it has told last of what it counts.

    Raises:
        ClusterError: the system starts no process.
    """

    def __init__(self, *modules: str) -> None:
        self.ready = False
        self.task: int | None = None
        self.metrics: Mapping[str, Any] = {}
        self._asked = False
        try:
            with deferred():  # The process is not to see Ctrl-C, from its beginning.
                self.connection, theirs = Pipe()
                with theirs:
                    self.process = _start(theirs.fileno(), *modules)
        except OSError as error:
            raise ClusterError(
                f"a worker process can't be started: {reason_of(error)}; ask for fewer `workers`"
            ) from None
        self._watched = psutil.Process(self.process.pid)

    def set_up(self) -> None:
        """Grant it access to storages; it then says that it is ready."""
        self._send(Setup(granted()))

    def give(self, job: Job) -> None:
        self.task = job.task
        self._send(job)

    def ask(self) -> None:
        """Ask for what it counts, unless it has still to answer."""
        if not self._asked:
            self._asked = True
            self._send(Look())

    def take(self, message: Any) -> None:
        if isinstance(message, Ready):
            self.ready = True
        elif isinstance(message, Look):
            self._asked = False
            self.metrics = message.metrics

    def memory(self) -> int:
        """Return how many bytes it has in memory."""
        with contextlib.suppress(psutil.Error):
            return int(self._watched.memory_info().rss)
        return 0

    def let_go(self) -> None:
        """Tell the process to end, even where one forked meanwhile holds the connection."""
        with (
            contextlib.suppress(OSError),
            socket.socket(fileno=os.dup(self.connection.fileno())) as ours,
        ):
            ours.shutdown(socket.SHUT_RDWR)
        self.connection.close()

    def end(self) -> int:
        """Let go of it when it has closed its connection, and return its exit status."""
        self.connection.close()
        wait_for_ends([self], time.monotonic() + MOMENT)
        self.process.kill()
        return self.process.wait()

    def _send(self, message: Any) -> None:
        with contextlib.suppress(OSError):  # It is dead, as will be heard.
            self.connection.send(message)


def wait_for_ends(members: Sequence[CrewMember], until: float) -> None:
    """Wait until processes have ended, or it is that time by ``time.monotonic``."""
    for member in members:
        with contextlib.suppress(subprocess.TimeoutExpired):
            member.process.wait(max(0.0, until - time.monotonic()))


# Processes that were started ahead, for the next crew.
_ahead: deque[CrewMember] = deque()


@contextlib.contextmanager
def started_ahead(*modules: str) -> Iterator[None]:
    """Start a process that the first crew of the block takes over, and end it if none does.

    It loads what it needs while this process plans the work. Where it can't be started, the crew
    tries again, and says why.

    Args:
        modules: more that it is to load.
    """
    try:
        with contextlib.suppress(ClusterError), deferred():  # Or else nobody may know of it.
            _ahead.append(CrewMember(*modules))
        yield
    finally:
        end_started()


def take_started() -> CrewMember | None:
    """Return a process that was started ahead, if there is one, which is the caller's now."""
    with contextlib.suppress(IndexError):
        return _ahead.popleft()
    return None


def end_started() -> None:
    """End what was started ahead, and not taken over."""
    with deferred():
        while (member := take_started()) is not None:
            member.connection.close()
            member.process.kill()
            member.process.wait()


def _start(theirs: int, *modules: str) -> subprocess.Popen[bytes]:
    """Start a process that has this descriptor, and nothing of ours in place of closed streams."""
    # Or else a shard would be opened there, and get what a library prints.
    nowhere = sys.__stderr__ is None
    descriptor = fcntl.fcntl(theirs, fcntl.F_DUPFD_CLOEXEC, 3)
    try:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "prep.execution.local", str(descriptor), *modules],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if nowhere else 2,  # What a library prints is none of ours.
            stderr=subprocess.DEVNULL if nowhere else None,
            env={**ENVIRONMENT, **os.environ, "PYTHONPATH": search_path()},
            pass_fds=[descriptor],
        )
    finally:
        os.close(descriptor)
