"""Work in a few processes of this machine, without a cluster.

Dask takes longer to start than a small set takes. What is promised of an image, a worker or Ctrl-C
holds here, too; what is missing is the dashboard.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from prep.errors import BadImageError, ShardError
from prep.execution.executor import Done, Workload
from prep.execution.local.crew import Crew
from prep.execution.local.resources import cores
from prep.execution.local.tasks import write_counted
from prep.execution.outcomes import Outage, describe_failed
from prep.monitoring.registry import OwnWatch
from prep.monitoring.runwatch import RunInfo
from prep.output.receipt import SplitTotals, merge_totals
from prep.planning.shards import ShardSpec
from prep.shards.writer import RunRef

if TYPE_CHECKING:
    from prep.execution.bags import Observer


T = TypeVar("T")
S = TypeVar("S")

# What a process costs before it is of use is about what it takes to prepare so many images.
_IMAGES_PER_PROCESS = 100


def processes_for(workload: Workload, workers: int | None) -> int:
    """How many processes to start.

    Args:
        workers: how many were asked for, if that is so.
    """
    most = workers or min(cores(), -(-workload.images // _IMAGES_PER_PROCESS))
    return max(1, min(most, workload.parts))


class LocalExecutor:
    """Gives work to the processes of a crew."""

    dashboard = ""

    def __init__(self, crew: Crew, size: int) -> None:
        self._crew = crew
        self._size = size

    def require_fit(self, *, readable: Sequence[str] = (), writable: str | None = None) -> None:
        """Wait for a first process; they all are as this one is."""
        self._crew.wait_until_ready()

    def watch(self, info: RunInfo) -> OwnWatch:
        return OwnWatch(info, self._crew.looks)

    def missing(self) -> None:
        """There are always some."""

    def write(self, shards: Sequence[ShardSpec], run: RunRef, observer: Observer) -> SplitTotals:
        written: list[SplitTotals] = []
        failed: dict[int, BaseException] = {}
        outage = Outage()
        for done in self.map(functools.partial(write_counted, run=run), shards):
            if done.task is None:
                observer.tick()
                continue
            observer.settled(done.task, "failed" if done.error else "committed")
            if isinstance(done.error, BadImageError):
                raise done.error
            if done.error is not None:
                failed[done.task] = done.error
                outage.failed(done.error, self._size)
            else:
                outage.committed()
                written.append(done.result or {})
        if failed:
            raise ShardError(
                describe_failed({shards[task]: failed[task] for task in sorted(failed)})
            )
        return merge_totals(written)

    def map(self, function: Callable[[S], T], items: Sequence[S]) -> Iterator[Done[T]]:
        try:
            yield from self._crew.carry_out(function, items)
        except BaseException:  # Whoever has had enough, too.
            self._crew.close()
            raise

    def reduce(
        self,
        function: Callable[[S], T],
        items: Sequence[S],
        merge: Callable[[Iterable[T]], T],
        seen: Callable[[Done[T]], None],
    ) -> T:
        results: list[T] = []
        for done in self.map(function, items):
            if done.error is not None:
                raise done.error
            if done.task is not None:
                results.append(done.result)  # type: ignore[arg-type]
            seen(done)
        return merge(results)


@contextlib.contextmanager
def local_executor(workload: Workload, workers: int | None) -> Iterator[LocalExecutor]:
    """Start processes for the length of the block."""
    size = processes_for(workload, workers)
    with Crew(size) as crew:
        yield LocalExecutor(crew, size)
