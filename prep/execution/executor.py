"""What work is given to, whoever does it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from prep.execution.bags import Observer
    from prep.monitoring.link import RunLink
    from prep.monitoring.runwatch import RunInfo
    from prep.output.receipt import SplitTotals
    from prep.planning.shards import ShardSpec
    from prep.shards.writer import RunRef


T = TypeVar("T")
S = TypeVar("S")


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """How much there is to do.

    Attributes:
        images: how many are to be read.
        parts: into how many tasks that is cut: more workers than that have nothing to do.
    """

    images: int
    parts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Done(Generic[T]):
    """A task that is done; or none, where it is only time to show that the wait goes on.

    Attributes:
        task: which one, counted as they were given.
        result: what it has given.
        error: why it has given nothing.
        missing: seconds for which there have been no workers; None while there are some.
    """

    task: int | None = None
    result: T | None = None
    error: BaseException | None = None
    missing: float | None = None


class Executor(Protocol):
    """Does what it is given, on as many cores as it has."""

    @property
    def dashboard(self) -> str:
        """The address of Dask's dashboard; empty where there is none."""

    def require_fit(self, *, readable: Sequence[str] = (), writable: str | None = None) -> None:
        """Make sure that there are workers, and that work would not fail for what they lack.

        Args:
            readable: files that all must be able to read.
            writable: a folder that all must be able to write to.

        Raises:
            ClusterError: there are none, or it would.
        """

    def watch(self, info: RunInfo) -> RunLink:
        """Begin to watch a run."""

    def missing(self) -> float | None:
        """Return for how many seconds there have been no workers; None while there are some.

        Raises:
            ClusterError: for too long.
        """

    def write(self, shards: Sequence[ShardSpec], run: RunRef, observer: Observer) -> SplitTotals:
        """Write shards, and return what they add up to.

        Raises:
            BadImageError: an image was refused, and the run is to stop at that.
            ShardError: shards failed. All others are committed.
            StorageUnavailable: for long all failed, for a storage does not answer.
        """

    def map(self, function: Callable[[S], T], items: Sequence[S]) -> Iterator[Done[T]]:
        """Yield what a function gives for each item as it is done; and, now and then, nothing."""

    def reduce(
        self,
        function: Callable[[S], T],
        items: Sequence[S],
        merge: Callable[[Iterable[T]], T],
        seen: Callable[[Done[T]], None],
    ) -> T:
        """Return what a function gives for all items, merged.

        Args:
            merge: adds up results, in any order and in several steps.
            seen: is told of each item that is done, and now and then of none.

        Raises:
            Exception: what the function has raised first.
        """
