"""The Dask Bag: one partition writes one shard, and a reduction adds the receipts up.

The only module that builds a graph for a run.
"""

from __future__ import annotations

import contextlib
import queue
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dask.bag as db
from distributed import Client, Future, futures_of

from prep.errors import BadImageError, ShardError
from prep.interrupts import deferred
from prep.planning import ShardSpec
from prep.receipts import ShardReceipt, SplitTotals, Totals, merge_totals, total_receipts
from prep.shards import RunRef
from prep.shards import write_shard as write_shard_here
from prep.text import counted
from prep.worker import METRIC, WorkerSetup, shard_key, stop_shards, write_shard

_TICK = 0.5  # seconds between two looks at the counters; heartbeats come no more often
_MERGE_AT_ONCE = 16
_PATIENCE = 10.0  # seconds for a worker to leave the image that it is at


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveCounts:
    """How far a run has come.

    ``images`` counts refused images too. ``bytes_read`` and ``bytes_written`` are of the images
    alone, and include work that was lost with a worker.
    """

    shards: int = 0
    images: int = 0
    refused: int = 0
    bytes_read: int = 0
    bytes_written: int = 0


OnTick = Callable[[LiveCounts], None]
ByFuture = Mapping[Future[Any], ShardSpec]


def write_serially(shards: Iterable[ShardSpec], run: RunRef) -> SplitTotals:
    """The same without Dask, one shard after the other: what the other way is held against."""
    return total_receipts(write_shard_here(shard, run) for shard in shards)


def write_on_cluster(
    shards: Sequence[ShardSpec], run: RunRef, client: Client, on_tick: OnTick
) -> SplitTotals:
    """Writes shards on a cluster, and waits for them.

    Args:
        shards: those that are not committed yet; at least one.
        on_tick: is called about twice a second, and at the end.

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
    by_future = {future: shards[future.key[1]] for future in futures_of(receipts)}
    try:
        _wait(client, by_future, run, on_tick)
        merged: SplitTotals = total.result()
    except BaseException:
        release([*by_future, total])
        # The scheduler may be gone, and an impatient user may press Ctrl-C again.
        with contextlib.suppress(OSError, TimeoutError), deferred():
            client.run(stop_shards, run.run, _PATIENCE, on_error="ignore")
        raise
    on_tick(_final_counts(shards, merged))
    return merged


def _final_counts(shards: Sequence[ShardSpec], totals: SplitTotals) -> LiveCounts:
    """The counts at the end, which the last heartbeats may not have told of."""
    everything = sum(totals.values(), Totals())
    return LiveCounts(
        shards=len(shards),
        images=sum(shard.images for shard in shards),
        refused=len(everything.refused),
        bytes_read=everything.source_bytes,
        bytes_written=everything.bytes,
    )


def _bag(shards: Sequence[ShardSpec], run: RunRef) -> db.Bag:
    """A partition a shard, and a task a partition.

    ``from_sequence(shards).map(write_shard)`` is the same in two tasks, which Dask fuses and then
    shows under the name of the first.
    """
    name = f"write_shard-{run.run}"
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


def _wait(client: Client, shards: ByFuture, run: RunRef, on_tick: OnTick) -> None:
    """Waits until all shards are settled, and raises if some failed."""
    watch = _Watch(client, run.run)
    failed: dict[ShardSpec, BaseException] = {}
    for future in _settled(shards, lambda: on_tick(watch.look())):
        if future.status == "finished":
            watch.finish(shards[future])
            continue
        error = _failure(future)
        if isinstance(error, BadImageError):
            raise error
        failed[shards[future]] = error
    on_tick(watch.look())
    if failed:
        raise ShardError(_describe(failed))


def _settled(shards: ByFuture, tick: Callable[[], None]) -> Iterator[Future[Any]]:
    """Yields futures as they finish or fail, and calls ``tick`` at regular times meanwhile."""
    settled: queue.SimpleQueue[Future[Any]] = queue.SimpleQueue()
    for future in shards:
        future.add_done_callback(settled.put)
    left = len(shards)
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


class _Watch:
    """Puts together what is known of a run: finished futures, and the workers' counters.

    Finished shards are counted by the client, which misses none and counts none twice; the counters
    add the shards under way. Those of a worker that has gone are kept.
    """

    def __init__(self, client: Client, run: str) -> None:
        self._client = client
        self._run = run
        self._finished: set[str] = set()
        self._images = 0
        self._by_process: dict[str, dict[str, Any]] = {}

    def finish(self, shard: ShardSpec) -> None:
        self._finished.add(shard_key(shard))
        self._images += shard.images

    def look(self) -> LiveCounts:
        under_way: dict[str, int] = {}
        # Not Client.scheduler_info(): its own refresh, which asks for no workers, can come between.
        scheduler: Any = self._client.scheduler
        workers = {}
        with contextlib.suppress(OSError):  # It is gone? Then the futures will soon tell.
            workers = self._client.sync(scheduler.identity, n_workers=-1)["workers"]
        for worker in workers.values():
            metric = worker["metrics"].get(METRIC) or {}
            counts = metric.get("runs", {}).get(self._run)
            if counts is not None:
                self._by_process[metric["process"]] = counts
                under_way |= counts["active"]
        by_process = self._by_process.values()
        active = sum(n for shard, n in under_way.items() if shard not in self._finished)
        return LiveCounts(
            shards=len(self._finished),
            images=self._images + active,
            refused=sum(counts["refused"] for counts in by_process),
            bytes_read=sum(counts["read"] for counts in by_process),
            bytes_written=sum(counts["written"] for counts in by_process),
        )
