"""Work in a few processes of this machine, without a cluster.

Dask takes longer to start than a small set takes. What is promised of an image, a worker or Ctrl-C
holds here, too; what is missing is the dashboard.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from prep.execution.executor import TaskEvent, Tasks, Workload
from prep.execution.local.crew import Crew
from prep.execution.local.resources import cores
from prep.execution.writing import write_counted
from prep.monitoring.runwatch import RunInfo
from prep.monitoring.watches import OwnWatch

T = TypeVar("T")
S = TypeVar("S")

# Starting a process costs about as much as preparing so many images.
_IMAGES_PER_PROCESS = 100


def processes_for(workload: Workload, workers: int | None) -> int:
    """Return how many processes to start.

    Args:
        workers: how many were asked for, if that is so.
    """
    most = workers or min(cores(), -(-workload.images // _IMAGES_PER_PROCESS))
    return max(1, min(most, workload.parts))


class LocalExecutor:
    """Runs tasks in the processes of a crew."""

    dashboard = ""
    write_shard = staticmethod(write_counted)

    def __init__(self, crew: Crew, threads: int) -> None:
        self._crew = crew
        self.threads = threads

    def require_fit(self, *, readable: Sequence[str] = (), writable: str | None = None) -> None:
        """Wait for a first process; they all are as this one is."""
        self._crew.wait_until_ready()

    def watch(self, info: RunInfo) -> OwnWatch:
        return OwnWatch(info, self._crew.looks)

    def run_tasks(self, tasks: Tasks[S, T], on_event: Callable[[TaskEvent[T]], None]) -> T | None:
        results: list[T] = []
        failed = False
        try:
            for event in self._crew.carry_out(tasks.function, tasks.items):
                on_event(event)
                failed = failed or event.error is not None
                if event.task is not None and not failed and tasks.merge is not None:
                    results.append(event.result)  # type: ignore[arg-type]
        except BaseException:  # An exception of on_event, too.
            self._crew.close()
            raise
        return None if failed or tasks.merge is None else tasks.merge(results)


@contextlib.contextmanager
def local_executor(workload: Workload, workers: int | None) -> Iterator[LocalExecutor]:
    """Start processes for the length of the block."""
    size = processes_for(workload, workers)
    with Crew(size) as crew:
        yield LocalExecutor(crew, size)
