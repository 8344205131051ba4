"""The interface of what does the work: workers of a Dask cluster, or processes of this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from prep.monitoring.link import RunLink
    from prep.monitoring.runwatch import RunInfo
    from prep.output.receipt import SplitTotals
    from prep.planning.shards import ShardSpec
    from prep.shards.writer import RunRef


T = TypeVar("T")
S = TypeVar("S")


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """The amount of work.

    Attributes:
        images: number of images to read.
        parts: number of tasks; more workers than that have nothing to do.
    """

    images: int
    parts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tasks(Generic[S, T]):
    """A function to call for each item, and what to do with the results.

    Attributes:
        function: called for one item, on a worker.
        items: one for each task.
        merge: adds results up, in any order and in several steps; None to have each result.
        run: id of the run whose shards they write, which workers leave if the tasks are given up.
        per_graph: most tasks that Dask is sent at once.
    """

    function: Callable[[S], T]
    items: Sequence[S]
    merge: Callable[[Iterable[T]], T] | None = None
    run: str = ""
    per_graph: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskEvent(Generic[T]):
    """A task has ended; or none has, and time has passed.

    Attributes:
        task: the number of its item; None if no task has ended.
        result: what it has returned, unless results are merged.
        error: what it has raised, or why it can't be done.
        missing: seconds for which there have been no workers; None while there are some.
    """

    task: int | None = None
    result: T | None = None
    error: BaseException | None = None
    missing: float | None = None


class Executor(Protocol):
    """Runs tasks on as many cores as it has."""

    @property
    def dashboard(self) -> str:
        """URL of Dask's dashboard; empty if there is none."""

    @property
    def threads(self) -> int:
        """Number of tasks that can run at the same time."""

    def require_fit(self, *, readable: Sequence[str] = (), writable: str | None = None) -> None:
        """Raise ClusterError unless there are workers that can do the work.

        Args:
            readable: files that all must be able to read.
            writable: a folder that all must be able to write to.
        """

    def watch(self, info: RunInfo) -> RunLink:
        """Begin to watch a run."""

    def write_shard(self, shard: ShardSpec, run: RunRef) -> SplitTotals:
        """Write one shard, on a worker, and return what its receipt adds up to."""

    def run_tasks(self, tasks: Tasks[S, T], on_event: Callable[[TaskEvent[T]], None]) -> T | None:
        """Run tasks until all have ended.

        Args:
            on_event: called when a task has ended, and about twice a second. If it raises an
                exception, the other tasks are given up.

        Returns:
            The merged result; None if results are not merged, or if tasks have failed.

        Raises:
            ClusterError: there were no workers for too long, or results were lost.
        """
