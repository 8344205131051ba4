"""The Dask Bag: one partition writes one shard, and a reduction adds the receipts up.

The only module that builds a graph for a run.
"""

from __future__ import annotations

import contextlib
import queue
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import dask.bag as db
from distributed import Client, Future, futures_of

from prep.counters import shard_key
from prep.errors import BadImageError, ShardError
from prep.interrupts import deferred
from prep.planning import ShardSpec
from prep.receipts import ShardReceipt, SplitTotals, merge_totals, total_receipts
from prep.shards import RunRef
from prep.shards import write_shard as write_shard_here
from prep.text import counted
from prep.watching.counts import ShardState
from prep.watching.wire import TASK_PREFIX
from prep.worker import WorkerSetup, stop_shards, write_shard

_TICK = 0.5  # seconds
_MERGE_AT_ONCE = 16
_PATIENCE = 10.0  # seconds for a worker to leave the image that it is at


ByFuture = Mapping[Future[Any], int]


class Observer(Protocol):
    """Is told how the work goes on."""

    def tick(self) -> None:
        """Is called about twice a second. What it raises stops the work."""

    def settled(self, task: int, state: ShardState) -> None:
        """A task, counted as the shards were given, is ``committed`` or has ``failed``."""


class Unobserved:
    """Nobody wants to know."""

    def tick(self) -> None: ...
    def settled(self, task: int, state: ShardState) -> None: ...


def write_serially(shards: Iterable[ShardSpec], run: RunRef) -> SplitTotals:
    """The same without Dask, one shard after the other: what the other way is held against."""
    return total_receipts(write_shard_here(shard, run) for shard in shards)


def write_on_cluster(
    shards: Sequence[ShardSpec], run: RunRef, client: Client, observer: Observer | None = None
) -> SplitTotals:
    """Writes shards on a cluster, and waits for them.

    Args:
        shards: those that are not committed yet; at least one.
        observer: whom to tell how it goes on.

    Raises:
        BadImageError: an image was refused, and the run is to stop at that.
        ShardError: shards failed. All others are committed.
    """
    client.register_plugin(WorkerSetup())
    receipts = _bag(shards, run)
    totals = receipts.reduction(total_receipts, merge_totals, split_every=_MERGE_AT_ONCE)
    # Both in one graph: each shard is written once, and stays visible as a task of its own.
    receipts, totals = client.persist([receipts, totals])
    (total,) = futures_of(totals)
    by_future = {future: future.key[1] for future in futures_of(receipts)}
    try:
        _wait(shards, by_future, observer or Unobserved())
        merged: SplitTotals = total.result()
    except BaseException:
        release([*by_future, total])
        # The scheduler may be gone, and an impatient user may press Ctrl-C again.
        with contextlib.suppress(OSError, TimeoutError), deferred():
            client.run(stop_shards, run.run, _PATIENCE, on_error="ignore")
        raise
    return merged


def _bag(shards: Sequence[ShardSpec], run: RunRef) -> db.Bag:
    """A partition a shard, and a task a partition.

    ``from_sequence(shards).map(write_shard)`` is the same in two tasks, which Dask fuses and then
    shows under the name of the first.
    """
    name = f"{TASK_PREFIX}{run.run}"
    graph: dict[Any, Any] = {
        (name, i): (_write_partition, shard, run) for i, shard in enumerate(shards)
    }
    return db.Bag(graph, name, len(shards))


def _write_partition(shard: ShardSpec, run: RunRef) -> list[ShardReceipt]:
    return [write_shard(shard, run)]


def release(futures: Iterable[Future[Any]]) -> None:
    """Gives futures up, so that what has not begun never does.

    ``Client.cancel`` does not take it that tasks which nobody holds depend on what is cancelled.
    """
    for future in futures:
        future.release()


def _wait(shards: Sequence[ShardSpec], tasks: ByFuture, observer: Observer) -> None:
    """Waits until all shards are settled, and raises if some failed."""
    failed: dict[ShardSpec, BaseException] = {}
    for future in _settled(tasks, observer.tick):
        task = tasks[future]
        if future.status == "finished":
            observer.settled(task, "committed")
            continue
        observer.settled(task, "failed")
        error = _failure(future)
        if isinstance(error, BadImageError):
            raise error
        failed[shards[task]] = error
    if failed:
        raise ShardError(_describe(failed))


def _settled(tasks: ByFuture, tick: Callable[[], None]) -> Iterator[Future[Any]]:
    """Yields futures as they finish or fail, and calls ``tick`` at regular times meanwhile."""
    settled: queue.SimpleQueue[Future[Any]] = queue.SimpleQueue()
    for future in tasks:
        future.add_done_callback(settled.put)
    left = len(tasks)
    next_tick = time.monotonic()
    while left:
        if time.monotonic() >= next_tick:
            tick()
            next_tick = time.monotonic() + _TICK
        try:
            future = settled.get(timeout=max(0.0, next_tick - time.monotonic()))
        except queue.Empty:
            continue
        left -= 1
        yield future


def _failure(future: Future[Any]) -> BaseException:
    if future.status == "error":
        error: BaseException = future.exception()
        return error
    return RuntimeError(f"the task was {future.status}; is the scheduler still there?")


def _describe(failed: dict[ShardSpec, BaseException]) -> str:
    named = [
        f"{shard_key(shard)} ({type(error).__name__}: {error})" for shard, error in failed.items()
    ]
    more = f" and {len(named) - 5} more" if len(named) > 5 else ""
    return (
        f"{counted(len(failed), 'shard')} failed: {'; '.join(named[:5])}{more}. "
        "All others are committed; run the same command again to write those that are missing"
    )
