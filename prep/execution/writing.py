"""Write shards on an executor: the task of one, and what becomes of a run whose shards fail."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from prep.errors import BadImageError, ShardError, StorageUnavailable
from prep.execution.executor import Executor, TaskEvent, Tasks
from prep.monitoring.counters import COUNTERS, shard_key
from prep.output.receipt import SplitTotals, merge_totals, total_receipts
from prep.planning.shards import ShardSpec
from prep.shards.opened import open_plan
from prep.shards.writer import RunRef, write_shard
from prep.storage.retry import is_transient, lasted
from prep.text import counted, duration, failure, some

# A shard's own tries take minutes where requests are not even refused.
_PATIENCE = 600.0  # seconds
_REMEDY = "; run the same command again"  # It is said of all shards together.


def write_serially(shards: Iterable[ShardSpec], run: RunRef) -> SplitTotals:
    """Write shards in this process, one after the other: the oracle of :func:`write_shards`."""
    return total_receipts(write_shard(shard, run) for shard in shards)


def write_counted(shard: ShardSpec, run: RunRef) -> SplitTotals:
    """Write one shard, counting as it goes, and return what its receipt adds up to.

    Only that leaves the worker; all else of a receipt is on disk.
    """
    plan = open_plan(run.output, run.digest, run.run).plan
    with COUNTERS.shard(shard, run.run, plan) as counter:
        return total_receipts([write_shard(shard, run, counter)])


def write_shards(
    shards: Sequence[ShardSpec],
    run: RunRef,
    executor: Executor,
    on_event: Callable[[TaskEvent[Any]], None] = lambda _: None,
    *,
    write: Callable[[ShardSpec, RunRef], SplitTotals] | None = None,
) -> SplitTotals:
    """Write shards on an executor, and return what they add up to.

    Args:
        shards: those that are not committed yet.
        on_event: called when a shard is committed or has failed, and about twice a second.
        write: writes one shard, on a worker; by default, as the executor does it.

    Raises:
        BadImageError: an image was refused, and the run is to stop at that.
        ShardError: shards failed. All others are committed.
        StorageUnavailable: for long all failed, for a storage does not answer. Others were not
            tried.
    """
    failed: dict[int, BaseException] = {}
    outage = Outage()

    def look(event: TaskEvent[SplitTotals]) -> None:
        on_event(event)
        if event.task is None:
            return
        if event.error is None:
            outage.committed()
            return
        if isinstance(event.error, BadImageError):
            raise event.error
        failed[event.task] = event.error
        outage.failed(event.error, executor.threads)

    function = functools.partial(_call, write or executor.write_shard, run)
    tasks = Tasks(function=function, items=shards, merge=merge_totals, run=run.run)
    totals = executor.run_tasks(tasks, look)
    if failed:
        raise ShardError(describe_failed({shards[task]: failed[task] for task in sorted(failed)}))
    return totals or {}


def _call(
    write: Callable[[ShardSpec, RunRef], SplitTotals], run: RunRef, shard: ShardSpec
) -> SplitTotals:
    return write(shard, run)


class Outage:
    """Ends a run if for long no shard is written.

    One shard may fail for what is its own, and a storage may be away for a while. It takes more
    failures than there are threads, each for a reason that may pass, none committed in between,
    and ten minutes from what the first of them failed of to the last.

    Args:
        clock: gives seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failed = 0
        self._since = 0.0

    def committed(self) -> None:
        """Reset the outage: a shard was written."""
        self._failed = 0

    def failed(self, error: BaseException, threads: int) -> None:
        """Count a failed shard; raise StorageUnavailable if that goes on for too long."""
        if not _may_pass(error):
            return
        if not self._failed:
            self._since = self._clock() - lasted(error)
        self._failed += 1
        away = self._clock() - self._since
        if self._failed > threads and away >= _PATIENCE:
            raise StorageUnavailable(
                f"for {duration(away)}, no shard could be written, and "
                f"{counted(self._failed, 'shard')} failed ({failure(error)}); committed shards "
                "are kept: when the storage answers, run the same command again"
            )


def _may_pass(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return is_transient(error)
    return isinstance(error, StorageUnavailable)


def describe_failed(failed: Mapping[ShardSpec, BaseException]) -> str:
    """Say how many shards failed, of what, and what to do."""
    by_error: dict[str, list[str]] = {}
    for shard, error in failed.items():
        by_error.setdefault(failure(error).removesuffix(_REMEDY), []).append(shard_key(shard))
    named = [f"{some(shards)} ({error})" for error, shards in by_error.items()]
    return (
        f"{counted(len(failed), 'shard')} failed: {some(named, '; ')}. "
        "All others are committed; run the same command again to write the missing ones"
    )
