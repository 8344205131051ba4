"""A few worker processes of this machine, each given one task at a time.

One that dies is replaced, and its task given to another one, as Dask does it.
"""

from __future__ import annotations

import signal
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing.connection import wait
from typing import Any

from prep.errors import ClusterError, WorkerDied
from prep.execution.executor import TaskEvent
from prep.execution.interrupts import deferred
from prep.execution.local.member import MOMENT, CrewMember, take_started, wait_for_ends
from prep.execution.local.messages import END_WITHIN, Job, Ready, Result
from prep.execution.local.resources import memory

_TICK = 0.5  # seconds
_MEMORY_TICK = 0.1  # seconds: an image may take gigabytes in one
# As in cluster.yaml: an image kills one process at most, so that all else must be somebody else.
_DEATHS_ALLOWED = 10
_FALSE_STARTS_ALLOWED = 3  # in a row; of processes that are killed meanwhile, for each place
_MEMORY_USED = 0.95  # of its share, beyond which a process is ended; as Dask's nanny does it
# Memory that each may take, however many they are: a quarter of it goes before the first image.
_LEAST_MEMORY = 512 << 20  # 512 MiB


class Crew:
    """The processes; to be entered, which starts them.

    Args:
        size: how many.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._most = max(memory() / size * _MEMORY_USED, _LEAST_MEMORY)
        self._members: list[CrewMember] = []
        self._deaths: Counter[int] = Counter()
        self._false_starts = 0
        self._memory_due = 0.0

    def __enter__(self) -> Crew:
        try:
            for _ in range(self._size):
                member = take_started() or CrewMember()
                self._members.append(member)
                member.set_up()
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
        self, number: int, member: CrewMember, waiting: deque[int]
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
        self._members[number] = CrewMember()
        self._members[number].set_up()

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
                wait_for_ends(members, min(until, time.monotonic() + MOMENT))
            wait_for_ends(members, until)
        finally:
            with deferred():
                for member in members:
                    member.process.kill()
                    member.process.wait()
