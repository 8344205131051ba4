"""The Dask Bags of a run: a partition writes a shard, and a reduction adds up what they hold.

The only module that builds a graph for a run. A long run is a chain of Bags, each given to the
scheduler before the one at work runs out of shards: no core waits, and nobody ever holds more than
a few of them, be it as graph, as futures or as results.
"""

from __future__ import annotations

import contextlib
import queue
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any, Protocol

import dask.bag as db
from dask.highlevelgraph import HighLevelGraph
from distributed import Client, Future, KilledWorker, futures_of

from prep.errors import BadImageError, ClusterError, ShardError, WorkerDied
from prep.execution.clusters.plugins import prepare_workers
from prep.execution.interrupts import deferred
from prep.execution.outcomes import Outage, describe_failed
from prep.execution.workarounds import result_of
from prep.execution.worker import stop_shards, write_shard_task
from prep.monitoring.counters import shard_key
from prep.monitoring.counts import ShardState
from prep.monitoring.heartbeat import task_name
from prep.output.receipt import ShardReceipt, SplitTotals, merge_totals, total_receipts
from prep.planning.shards import ShardSpec
from prep.shards.writer import RunRef
from prep.shards.writer import write_shard as write_shard_here
from prep.text import counted, failure

_TICK = 0.5  # seconds
_MERGE_AT_ONCE = 16
# Seconds for a worker to leave the image that it is at: before an impatient user is heard, and in
# all. Where the cluster is closed, it gets some more.
_MOMENT, _PATIENCE = 1.0, 3.0
_ANSWERS_WITHIN = 5.0  # seconds for a scheduler beyond what its workers take

# Shards in a Bag: enough that a graph costs each of them little; and so many for each thread of the
# cluster, for Dask only queues tasks, and hands them out as workers become free, where there are
# more than two for each.
_LEAST = 512
_PER_THREAD = 4
# Another Bag is begun when less than so many are left.
_AT_ONCE = 2

Write = Callable[[ShardSpec, RunRef], ShardReceipt]


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
    shards: Sequence[ShardSpec],
    run: RunRef,
    client: Client,
    observer: Observer | None = None,
    *,
    write: Write = write_shard_task,
) -> SplitTotals:
    """Writes shards on a cluster, and waits for them.

    Args:
        shards: those that are not committed yet.
        observer: whom to tell how it goes on.
        write: what workers do for a shard.

    Raises:
        BadImageError: an image was refused, and the run is to stop at that.
        ShardError: shards failed. All others are committed.
        StorageUnavailable: for long all failed, for a storage does not answer. Others were not
            tried.
    """
    prepare_workers(client)
    work = _Work(shards, run, client, write)
    try:
        return work.carry_out(observer or Unobserved())
    except BaseException:
        release(work.futures)
        _stop(client, run.run)
        raise


def _stop(client: Client, run: str) -> None:
    """Has workers leave the shards of a run, and waits for them: less long if Ctrl-C comes again.

    Most are done in a moment. One that waits for a storage may not be for long.
    """
    if client.status == "running":  # Or else the scheduler is gone, and Dask would wait for it.
        with contextlib.suppress(OSError):  # It may go now, or hang.
            with deferred():
                _wait_for_workers(client, run, _MOMENT)
            _wait_for_workers(client, run, _PATIENCE - _MOMENT)


def _wait_for_workers(client: Client, run: str, seconds: float) -> None:
    """Raises TimeoutError where the scheduler does not answer either."""
    client.run(
        stop_shards,
        run,
        seconds,
        on_error="ignore",
        callback_timeout=seconds + _ANSWERS_WITHIN,
    )


class _Work:
    """The shards that Dask has been given, and what those before them add up to."""

    def __init__(
        self, shards: Sequence[ShardSpec], run: RunRef, client: Client, write: Write
    ) -> None:
        self._shards = shards
        self._run = run
        self._client = client
        self._write = write
        self._given = 0
        self._bag_size = _LEAST
        self._threads = 0
        self._outage = Outage()
        self._tasks: dict[Future[Any], int] = {}
        self._totals: dict[Future[Any], range] = {}
        self._settled: queue.SimpleQueue[Future[Any]] = queue.SimpleQueue()
        self._merged: SplitTotals = {}
        self._failed: dict[int, BaseException] = {}
        self._not_merged: dict[range, BaseException] = {}

    @property
    def futures(self) -> list[Future[Any]]:
        """All that Dask is still to keep."""
        return [*self._tasks, *self._totals]

    def carry_out(self, observer: Observer) -> SplitTotals:
        """Waits until all shards are settled, and raises if some failed."""
        next_tick = time.monotonic()
        self._give_enough()
        while self._tasks or self._totals:
            if time.monotonic() >= next_tick:
                observer.tick()
                next_tick = time.monotonic() + _TICK
            try:
                future = self._settled.get(timeout=max(0.0, next_tick - time.monotonic()))
            except queue.Empty:
                continue
            if future in self._totals:
                self._add(future)
                continue
            scheduler_is_gone = future.status == "cancelled"
            self._settle(future, observer)
            if not scheduler_is_gone:
                self._give_enough()
        self._require_all()
        return self._merged

    def _give_enough(self) -> None:
        """Gives Dask another Bag as long as it has little to do."""
        while len(self._tasks) < _AT_ONCE * self._bag_size:
            if self._given == len(self._shards):
                break
            try:
                self._threads = sum(self._client.nthreads().values())
            except OSError:  # Futures will tell, if the scheduler is gone.
                break
            self._bag_size = max(_LEAST, _PER_THREAD * self._threads)
            self._give(range(self._given, min(self._given + self._bag_size, len(self._shards))))

    def _give(self, tasks: range) -> None:
        written = _bag(self._shards[tasks.start : tasks.stop], tasks.start, self._run, self._write)
        total = written
        while total is written or total.npartitions > 1:
            total = _merged(total)
        # Both in one graph: each shard is written once, and stays visible as a task of its own.
        # Earlier Bags come first; without a timeout of 0, Dask mixes those of the same minute.
        written, total = self._client.persist([written, total], fifo_timeout="0s")
        self._tasks |= {future: tasks[future.key[1]] for future in futures_of(written)}
        self._totals |= dict.fromkeys(futures_of(total), tasks)
        for future in [*futures_of(written), *futures_of(total)]:
            future.add_done_callback(self._settled.put)
        self._given = tasks.stop

    def _settle(self, future: Future[Any], observer: Observer) -> None:
        """Lets go of a shard that is written, or is known not to be."""
        task = self._tasks[future]
        # One that was lost again has been there: its receipt is on disk.
        committed = future.status in ("finished", "lost")
        error = None if committed else _failure(future)
        observer.settled(task, "committed" if committed else "failed")
        if isinstance(error, BadImageError):
            raise error
        if error is not None:
            self._failed[task] = error
            self._outage.failed(error, self._threads)
        else:
            self._outage.committed()
        del self._tasks[future]
        future.release()

    def _add(self, future: Future[Any]) -> None:
        """Takes in what the shards of a Bag add up to."""
        try:
            if future.status in ("finished", "lost"):
                (total,) = result_of(future, _TICK)
                self._merged = merge_totals([self._merged, total])
            else:
                self._not_merged[self._totals[future]] = _failure(future)
        except ClusterError as error:
            self._not_merged[self._totals[future]] = error
        except TimeoutError:
            # Its worker is gone, and Dask adds up anew; or the answer takes long. Meanwhile,
            # somebody may want to know.
            future.add_done_callback(self._settled.put)
            return
        del self._totals[future]
        future.release()

    def _require_all(self) -> None:
        for task in range(self._given, len(self._shards)):
            self._failed[task] = RuntimeError(
                "it was never submitted; check that the scheduler still runs"
            )
        if self._failed:
            raise ShardError(
                describe_failed(
                    {self._shards[task]: self._failed[task] for task in sorted(self._failed)}
                )
            )
        for tasks, error in self._not_merged.items():
            first, last = (shard_key(self._shards[task]) for task in (tasks[0], tasks[-1]))
            raise ShardError(
                f"the results of shards {first} to {last} were lost ({failure(error)}). "
                "Run the same command again: it continues from what is committed"
            )


def _bag(shards: Sequence[ShardSpec], first: int, run: RunRef, write: Write) -> db.Bag:
    """A partition a shard, and a task a partition.

    ``from_sequence(shards).map(task)`` is the same in two tasks, which Dask fuses and then
    shows under the name of the first.

    Args:
        first: the number of the first of them.
    """
    name = task_name(run.run, first)
    graph: dict[Any, Any] = {
        (name, i): (_write_partition, write, shard, run) for i, shard in enumerate(shards)
    }
    return db.Bag(graph, name, len(shards))


def _merged(totals: db.Bag) -> db.Bag:
    """The same in fewer partitions.

    ``Bag.reduction`` has a task more for each partition, which is as much again for the scheduler.
    """
    name = f"merge_totals-{totals.npartitions}-{totals.name}"
    starts = range(0, totals.npartitions, _MERGE_AT_ONCE)
    keys = totals.__dask_keys__()
    graph: dict[Any, Any] = {
        (name, i): (_merge_partitions, keys[start : start + _MERGE_AT_ONCE])
        for i, start in enumerate(starts)
    }
    # A Bag is a collection, whatever Dask's own annotations say.
    layers = HighLevelGraph.from_collections(name, graph, [totals])  # type: ignore[list-item]
    return db.Bag(layers, name, len(starts))


def _write_partition(write: Write, shard: ShardSpec, run: RunRef) -> list[SplitTotals]:
    """Only what adds up leaves the worker; all else of a receipt is on disk."""
    return [total_receipts([write(shard, run)])]


def _merge_partitions(partitions: Sequence[Sequence[SplitTotals]]) -> list[SplitTotals]:
    return [merge_totals(chain.from_iterable(partitions))]


def release(futures: Iterable[Future[Any]]) -> None:
    """Gives futures up, so that what has not begun never does.

    ``Client.cancel`` does not take it that tasks which nobody holds depend on what is cancelled.
    """
    for future in futures:
        future.release()


def _failure(future: Future[Any]) -> BaseException:
    if future.status == "error":
        error: BaseException = future.exception()
        if isinstance(error, KilledWorker):  # Dask's own words are a page of advice.
            return WorkerDied(f"{counted(error.allowed_failures + 1, 'worker')} died at it")
        return error
    return RuntimeError(f"its task was {future.status}; check that the scheduler still runs")
