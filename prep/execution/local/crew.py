"""A few worker processes of this machine, each given one task at a time.

One that dies is replaced, and its task given to another one, as Dask does it. They import nothing
of the script that starts them, so it needs no guard.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing.connection import Pipe, wait
from typing import Any

import psutil

from prep.errors import ClusterError, WorkerDied
from prep.execution.executor import TaskEvent
from prep.execution.interrupts import deferred
from prep.execution.local.messages import END_WITHIN, Job, Look, Ready, Result, Setup
from prep.execution.local.resources import memory
from prep.storage.locate import granted
from prep.text import reason_of

_TICK = 0.5  # seconds
_MEMORY_TICK = 0.1  # seconds: an image may take gigabytes in one
# As in cluster.yaml: an image kills one process at most, so that all else must be somebody else.
_DEATHS_ALLOWED = 10
_FALSE_STARTS_ALLOWED = 3  # in a row; of processes that are killed meanwhile, for each place
_MEMORY_USED = 0.95  # of its share, beyond which a process is ended; as Dask's nanny does it
# Memory that each may take, however many they are: a quarter of it goes before the first image.
_LEAST_MEMORY = 512 << 20  # 512 MiB
_MOMENT = 1.0  # seconds before an impatient user is heard
# As Dask's nanny and cluster.yaml have it: one thread a process, and freed memory is kept.
_ENVIRONMENT = {
    **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"),
    "MALLOC_TRIM_THRESHOLD_": str(128 << 20),  # 128 MiB
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),  # 32 MiB
}


class Crew:
    """The processes; to be entered, which starts them.

    Args:
        size: how many.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._most = max(memory() / size * _MEMORY_USED, _LEAST_MEMORY)
        self._members: list[_Member] = []
        self._deaths: Counter[int] = Counter()
        self._false_starts = 0
        self._memory_due = 0.0

    def __enter__(self) -> Crew:
        try:
            for _ in range(self._size):
                self._members.append(_Member())
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def looks(self) -> list[Mapping[str, Any]]:
        """Return what the processes have told last of what they count."""
        return [member.metrics for member in self._members if member.metrics]

    def wait_until_ready(self) -> None:
        """Wait until one of the processes can be given work.

        Raises:
            ClusterError: they don't start.
        """
        while not any(member.ready for member in self._members):
            for _ in self._listen(_TICK, deque()):
                pass

    def carry_out(
        self, function: Callable[..., Any], items: Sequence[Any]
    ) -> Iterator[TaskEvent[Any]]:
        """Yield what becomes of each item, as it is done; and nothing twice a second.

        Raises:
            ClusterError: the processes don't start.
        """
        waiting = deque(range(len(items)))
        self._deaths.clear()
        due = time.monotonic() + _TICK
        while waiting or any(member.task is not None for member in self._members):
            for member in self._members:
                if waiting and member.ready and member.task is None:
                    member.give(Job(waiting[0], function, items[waiting[0]]))
                    waiting.popleft()
            yield from self._listen(_MEMORY_TICK, waiting)
            if time.monotonic() >= due:
                due = time.monotonic() + _TICK
                for member in self._members:
                    if member.task is not None:
                        member.ask()
                yield TaskEvent()

    def _listen(self, seconds: float, waiting: deque[int]) -> Iterator[TaskEvent[Any]]:
        """Yield what the processes tell of tasks, if they do so in time."""
        by_connection = {member.connection: n for n, member in enumerate(self._members)}
        for connection in wait(list(by_connection), seconds):
            number = by_connection[connection]  # type: ignore[index]
            member = self._members[number]
            try:
                message = member.connection.recv()
            except (EOFError, OSError):
                yield from self._replace(number, member, waiting)
                continue
            if isinstance(message, Result):
                member.task = None
                yield TaskEvent(task=message.task, result=message.result, error=message.error)
            else:
                member.take(message)
                if isinstance(message, Ready):
                    self._false_starts = 0
        self._limit_memory()

    def _replace(
        self, number: int, member: _Member, waiting: deque[int]
    ) -> Iterator[TaskEvent[Any]]:
        """Put another process in the place of one that has died, and its task back."""
        status = member.end()
        task = member.task
        if not member.ready:
            self._false_starts += 1
            self._require_starts(status)
        if task is not None:
            self._deaths[task] += 1
            if self._deaths[task] > _DEATHS_ALLOWED:
                told = f"{self._deaths[task]} worker processes died at the same task"
                yield TaskEvent(task=task, error=WorkerDied(f"{told} (exit status {status})"))
            else:
                waiting.appendleft(task)
        self._members[number] = _Member()

    def _require_starts(self, status: int) -> None:
        """Raise ClusterError if too many processes in a row have ended before they were ready."""
        if status < 0 and self._false_starts > _FALSE_STARTS_ALLOWED * self._size:
            raise ClusterError(
                f"worker processes are killed while they start ({signal.Signals(-status).name}); "
                "is there enough memory for them?"
            )
        if status >= 0 and self._false_starts > _FALSE_STARTS_ALLOWED:
            raise ClusterError(
                f"worker processes do not start (exit status {status}); what they say of it is "
                "above"
            )

    def _limit_memory(self) -> None:
        """End processes that take more memory than their share."""
        now = time.monotonic()
        if now < self._memory_due:
            return
        self._memory_due = now + _MEMORY_TICK
        for member in self._members:
            if member.memory() > self._most:
                member.process.kill()

    def close(self) -> None:
        """End the processes: each leaves the image that it is at, and has little time for it."""
        members, self._members = self._members, []
        until = time.monotonic() + END_WITHIN
        try:
            with deferred():
                for member in members:
                    member.let_go()
                _wait(members, min(until, time.monotonic() + _MOMENT))
            _wait(members, until)
        finally:
            with deferred():
                for member in members:
                    member.process.kill()
                    member.process.wait()


def _wait(members: Sequence[_Member], until: float) -> None:
    for member in members:
        with contextlib.suppress(subprocess.TimeoutExpired):
            member.process.wait(max(0.0, until - time.monotonic()))


class _Member:
    """One process, which runs :mod:`prep.execution.local.__main__`.

    Attributes:
        ready: whether it has said that it is.
        task: the one that it is at.
        metrics: what it has told last of what it counts.

    Raises:
        ClusterError: the system starts no process.
    """

    def __init__(self) -> None:
        self.ready = False
        self.task: int | None = None
        self.metrics: Mapping[str, Any] = {}
        self._asked = False
        try:
            with deferred():  # The process is not to see Ctrl-C, from its beginning.
                self.connection, theirs = Pipe()
                with theirs:
                    self.process = _start(theirs.fileno())
        except OSError as error:
            raise ClusterError(
                f"a worker process can't be started: {reason_of(error)}; ask for fewer `workers`"
            ) from None
        self._watched = psutil.Process(self.process.pid)
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
        _wait([self], time.monotonic() + _MOMENT)
        self.process.kill()
        return self.process.wait()

    def _send(self, message: Any) -> None:
        with contextlib.suppress(OSError):  # It is dead, as will be heard.
            self.connection.send(message)


def _start(theirs: int) -> subprocess.Popen[bytes]:
    """Start a process that has this descriptor, and nothing of ours in place of closed streams."""
    # Or else a shard would be opened there, and get what a library prints.
    nowhere = sys.__stderr__ is None
    descriptor = fcntl.fcntl(theirs, fcntl.F_DUPFD_CLOEXEC, 3)
    try:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "prep.execution.local", str(descriptor)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if nowhere else 2,  # What a library prints is none of ours.
            stderr=subprocess.DEVNULL if nowhere else None,
            env={**_ENVIRONMENT, **os.environ, "PYTHONPATH": os.pathsep.join(_search_path())},
            pass_fds=[descriptor],
        )
    finally:
        os.close(descriptor)


def _search_path() -> list[str]:
    """Return where processes look for modules: where this one does, in Python's library first.

    The folder of a notebook may hold a ``random.py``, and come first only once Python's is loaded.
    """
    standard = [sysconfig.get_path("stdlib"), sysconfig.get_config_var("DESTSHARED")]
    here = ""
    with contextlib.suppress(OSError):  # The working directory may be gone.
        here = os.getcwd()
    # Python passes over what is not text, too.
    places = [place or here for place in sys.path if isinstance(place, str)]
    return sorted(filter(None, places), key=lambda place: place not in standard)
