"""Work on a Dask cluster."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import dask
import dask.bag as db
from distributed import Client, Future, futures_of

from prep.execution.bags import Observer, release, write_on_cluster
from prep.execution.clusters.plugins import prepare_workers
from prep.execution.executor import Done
from prep.execution.futures import Attendance, as_settled, patience_for_workers
from prep.execution.preflight.checks import require_fit
from prep.monitoring.link import RunLink, open_link
from prep.monitoring.runwatch import RunInfo
from prep.output.receipt import SplitTotals
from prep.planning.shards import ShardSpec
from prep.shards.writer import RunRef

T = TypeVar("T")
S = TypeVar("S")

_MERGE_AT_ONCE = 16
# Of what is given for items, such as lists of 64 paths: a graph with 100,000 paths pickles to
# 5.5 MB, and Dask warns at 10. More go in several graphs.
_ITEMS_PER_GRAPH = 1500


class DaskExecutor:
    """Gives work to the workers of a cluster.

    Args:
        client: of the cluster; it is left open.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._attendance = Attendance(client, patience_for_workers())

    @property
    def dashboard(self) -> str:
        return str(self._client.dashboard_link or "")

    def require_fit(self, *, readable: Sequence[str] = (), writable: str | None = None) -> None:
        require_fit(self._client, readable=readable, writable=writable)

    def watch(self, info: RunInfo) -> RunLink:
        return open_link(self._client, info)

    def missing(self) -> float | None:
        self._attendance.look()
        return self._attendance.missing

    def write(self, shards: Sequence[ShardSpec], run: RunRef, observer: Observer) -> SplitTotals:
        return write_on_cluster(shards, run, self._client, observer)

    def map(self, function: Callable[[S], T], items: Sequence[S]) -> Iterator[Done[T]]:
        prepare_workers(self._client)
        name = f"{getattr(function, '__name__', 'task')}-{uuid.uuid4().hex}"
        keys = [f"{name}-{number}" for number in range(len(items))]
        futures = self._client.map(function, items, key=keys, pure=False)
        numbers = {future: number for number, future in enumerate(futures)}
        try:
            for settled in as_settled(self._client, futures):
                if settled.future is None:
                    yield Done(missing=settled.missing)
                    continue
                failed = settled.future.status == "error"
                yield Done(
                    task=numbers[settled.future],
                    result=settled.result,
                    error=settled.future.exception() if failed else None,
                )
        finally:
            release(futures)

    def reduce(
        self,
        function: Callable[[S], T],
        items: Sequence[S],
        merge: Callable[[Iterable[T]], T],
        seen: Callable[[Done[T]], None],
    ) -> T:
        prepare_workers(self._client)
        tasks: dict[Future[T], int] = {}
        totals: list[Future[T]] = []
        try:
            for first in range(0, len(items), _ITEMS_PER_GRAPH):
                chosen = items[first : first + _ITEMS_PER_GRAPH]
                bag = db.from_sequence(chosen, partition_size=1).map(function)
                total = bag.reduction(merge, merge, split_every=_MERGE_AT_ONCE)
                bag, total = self._client.persist([bag, total])
                tasks |= {future: first + n for n, future in enumerate(futures_of(bag))}
                totals += futures_of(total)
            for settled in as_settled(self._client, tasks, with_results=False):
                if settled.future is not None and settled.future.status == "error":
                    settled.future.result()  # Raises it; the others may take long to fail as well.
                task = None if settled.future is None else tasks[settled.future]
                seen(Done(task=task, missing=settled.missing))
            return merge(self._results(totals))
        except BaseException:
            release([*tasks, *totals])
            raise

    def _results(self, futures: Sequence[Future[T]]) -> Iterator[T]:
        for settled in as_settled(self._client, futures):
            if settled.future is not None:
                yield settled.result or settled.future.result()  # Raises what has made it fail.


def link_template() -> str | None:
    """Return the address of a dashboard as the user has set it for Dask."""
    template: str | None = dask.config.get("distributed.dashboard.link", default=None)
    return template
