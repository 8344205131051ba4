"""Tasks on a Dask cluster.

Many tasks are a chain of Bags, each given to the scheduler before the one at work runs out of
tasks: no core waits, and nobody ever holds more than a few of them, be it as graph, as futures or
as results.
"""

from __future__ import annotations

import contextlib
import queue
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar

import dask
from distributed import Client, Future, KilledWorker, futures_of

from prep.errors import ClusterError, WorkerDied
from prep.execution.attendance import Attendance, patience_for_workers
from prep.execution.bags import bag_of, reduced
from prep.execution.clusters.plugins import prepare_workers
from prep.execution.executor import TaskEvent, Tasks
from prep.execution.interrupts import deferred
from prep.execution.preflight.checks import require_fit
from prep.execution.workarounds import SCHEDULER_GONE, result_of
from prep.execution.worker import stop_shards, write_shard_task
from prep.monitoring.heartbeat import task_name
from prep.monitoring.link import RunLink, open_link
from prep.monitoring.runwatch import RunInfo
from prep.text import counted, failure

T = TypeVar("T")
S = TypeVar("S")

_TICK = 0.5  # seconds
# Seconds for a worker to leave the image that it is at: before an impatient user is heard, and in
# all. Where the cluster is closed, it gets some more.
_MOMENT, _PATIENCE = 1.0, 3.0
_ANSWERS_WITHIN = 5.0  # seconds for a scheduler beyond what its workers take

# Tasks in a Bag: enough that a graph costs each of them little; and so many for each thread of the
# cluster, for Dask only queues tasks, and hands them out as workers become free, where there are
# more than two for each.
_LEAST = 512
_PER_THREAD = 4
# Another Bag is begun when less than so many are left.
_AT_ONCE = 2


class DaskExecutor:
    """Runs tasks on the workers of a cluster.

    Args:
        client: a client of the cluster; it is left open.

    Attributes:
        threads: number of threads of the cluster, as known last.
    """

    write_shard = staticmethod(write_shard_task)

    def __init__(self, client: Client) -> None:
        self._client = client
        self.threads = 0

    @property
    def dashboard(self) -> str:
        return str(self._client.dashboard_link or "")

    def require_fit(self, *, readable: Sequence[str] = (), writable: str | None = None) -> None:
        require_fit(self._client, readable=readable, writable=writable)

    def watch(self, info: RunInfo) -> RunLink:
        return open_link(self._client, info)

    def run_tasks(self, tasks: Tasks[S, T], on_event: Callable[[TaskEvent[T]], None]) -> T | None:
        prepare_workers(self._client)
        loop = _Loop(self._client, tasks)
        try:
            for event in loop.events():
                self.threads = loop.threads
                on_event(event)
            return loop.total()
        except BaseException:
            loop.release()
            if tasks.run:
                _stop(self._client, tasks.run)
            raise


class _Loop(Generic[S, T]):
    """Tasks that Dask has been given, and what those before them add up to."""

    def __init__(self, client: Client, tasks: Tasks[S, T]) -> None:
        self.threads = 0
        self._client = client
        self._tasks = tasks
        self._name = getattr(tasks.function, "__name__", "task")
        self._id = uuid.uuid4().hex
        self._given = 0
        self._bag_size = _LEAST
        self._futures: dict[Future[Any], int] = {}
        self._totals: list[Future[Any]] = []
        self._done: queue.SimpleQueue[Future[Any]] = queue.SimpleQueue()
        self._merged: list[T] = []
        self._failed = False
        self._lost: BaseException | None = None

    def events(self) -> Iterator[TaskEvent[T]]:
        """Yield tasks as they end, and about twice a second an event without one."""
        attendance = Attendance(self._client, patience_for_workers())
        next_tick = time.monotonic()
        self._give_enough()
        while self._futures or self._totals:
            if time.monotonic() >= next_tick:
                attendance.look()
                yield TaskEvent(missing=attendance.missing)
                next_tick = time.monotonic() + _TICK
            try:
                future = self._done.get(timeout=max(0.0, next_tick - time.monotonic()))
            except queue.Empty:
                continue
            try:
                if future in self._totals:
                    self._add(future)
                    continue
                event = self._event_of(future)
            except TimeoutError:
                # Its worker is gone, and Dask does it anew; or the answer takes long. Meanwhile,
                # somebody may want to know.
                future.add_done_callback(self._done.put)
                continue
            self._failed = self._failed or event.error is not None
            yield event
            del self._futures[future]
            if future.status != "cancelled":
                self._give_enough()
            future.release()
        for task in range(self._given, len(self._tasks.items)):
            self._failed = True
            yield TaskEvent(task=task, error=ClusterError(SCHEDULER_GONE))

    def total(self) -> T | None:
        """Return what all results add up to; None if results are not merged or tasks failed.

        Raises:
            ClusterError: results were lost.
        """
        if self._failed:
            return None
        if self._lost is not None:
            raise ClusterError(
                f"results of tasks were lost ({failure(self._lost)}); run the same command again: "
                "it continues from what is committed"
            )
        return self._merged[0] if self._merged else None

    def release(self) -> None:
        """Give up all tasks, so that those that have not begun never do.

        ``Client.cancel`` does not take it that tasks which nobody holds depend on what is
        cancelled.
        """
        for future in [*self._futures, *self._totals]:
            future.release()

    def _give_enough(self) -> None:
        """Give Dask another Bag as long as it has little to do."""
        count = len(self._tasks.items)
        while self._given < count and len(self._futures) < _AT_ONCE * self._bag_size:
            try:
                self.threads = sum(self._client.nthreads().values())
            except OSError:  # Futures will tell, if the scheduler is gone.
                break
            most = self._tasks.per_graph or len(self._tasks.items)
            self._bag_size = min(max(_LEAST, _PER_THREAD * self.threads), most)
            self._give(
                range(self._given, min(self._given + self._bag_size, len(self._tasks.items)))
            )

    def _give(self, numbers: range) -> None:
        tasks, first = self._tasks, numbers.start
        name = task_name(tasks.run, first) if tasks.run else f"{self._name}-{self._id}-{first}"
        bags = [bag_of(tasks.function, tasks.items[first : numbers.stop], name)]
        if tasks.merge is not None:
            bags.append(reduced(bags[0], tasks.merge))
        # All in one graph: each task runs once, and stays visible as a task of its own. Earlier
        # Bags come first; without a timeout of 0, Dask mixes those of the same minute.
        persisted, *totals = self._client.persist(bags, fifo_timeout="0s")
        futures = {future: numbers[future.key[1]] for future in futures_of(persisted)}
        self._futures |= futures
        self._totals += futures_of(totals)
        for future in [*futures, *futures_of(totals)]:
            future.add_done_callback(self._done.put)
        self._given = numbers.stop

    def _event_of(self, future: Future[Any]) -> TaskEvent[T]:
        """Return how a task has ended; raise TimeoutError if its result is not to be had yet."""
        task = self._futures[future]
        # One that was lost again has been there.
        if future.status not in ("finished", "lost"):
            return TaskEvent(task=task, error=_failure(future))
        if self._tasks.merge is not None:
            return TaskEvent(task=task)
        try:
            (result,) = result_of(future, _TICK)
        except ClusterError as error:
            return TaskEvent(task=task, error=error)
        return TaskEvent(task=task, result=result)

    def _add(self, future: Future[Any]) -> None:
        """Take in what the tasks of a Bag add up to; raise TimeoutError if it is not there yet."""
        assert self._tasks.merge is not None
        try:
            if future.status in ("finished", "lost"):
                self._merged = [self._tasks.merge([*self._merged, *result_of(future, _TICK)])]
            else:
                self._lost = _failure(future)
        except ClusterError as error:
            self._lost = error
        self._totals.remove(future)
        future.release()


def _failure(future: Future[Any]) -> BaseException:
    """Return why a task has no result."""
    if future.status == "cancelled":
        return ClusterError(SCHEDULER_GONE)
    error: BaseException = future.exception()
    if isinstance(error, KilledWorker):  # Dask's own words are a page of advice.
        return WorkerDied(f"{counted(error.allowed_failures + 1, 'worker')} died at the same task")
    return error


def _stop(client: Client, run: str) -> None:
    """Stop the shards of a run on all workers, and wait; less long if Ctrl-C comes again.

    Most are done in a moment. One that waits for a storage may not be for long.
    """
    if client.status == "running":  # Or else the scheduler is gone, and Dask would wait for it.
        with contextlib.suppress(OSError):  # It may go now, or hang.
            with deferred():
                _wait_for_workers(client, run, _MOMENT)
            _wait_for_workers(client, run, _PATIENCE - _MOMENT)


def _wait_for_workers(client: Client, run: str, seconds: float) -> None:
    """Stop a run on all workers; raise TimeoutError if the scheduler does not answer."""
    client.run(
        stop_shards,
        run,
        seconds,
        on_error="ignore",
        callback_timeout=seconds + _ANSWERS_WITHIN,
    )


def link_template() -> str | None:
    """Return the address of a dashboard as the user has set it for Dask."""
    template: str | None = dask.config.get("distributed.dashboard.link", default=None)
    return template
