"""Read an output again: each shard in a task of its own, and then what lies beside them."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from prep.errors import ClusterError, StorageUnavailable, WorkerDied
from prep.execution.executor import Executor, TaskEvent, Tasks
from prep.monitoring.counters import shard_key
from prep.monitoring.events import Events, WorkStarted
from prep.operations.running.work import count_tasks
from prep.output.findings import Finding, mismatch
from prep.output.inventory import Inventory
from prep.output.journal import Journal
from prep.output.receipt import ShardReceipt, total_receipts
from prep.planning.plan import RunPlan
from prep.planning.shards import ShardSpec
from prep.shards.check import ShardInspection, inspect_shard
from prep.shards.writer import RunRef
from prep.text import failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """The contents of an output, as they were found.

    Attributes:
        plan: with its manifest; None where one of the two can't be relied upon.
        shards: those that were read, in the order of the plan.
        beside: what is wrong with anything else.
        unrelated: files that are named like shards, and could not be taken for any of this output.
    """

    plan: RunPlan | None
    shards: tuple[ShardInspection, ...]
    beside: tuple[Finding, ...]
    unrelated: tuple[str, ...]

    @property
    def problems(self) -> tuple[Finding, ...]:
        """All findings."""
        return tuple(p for shard in self.shards for p in shard.problems) + self.beside

    @property
    def broken(self) -> list[ShardSpec]:
        """The shards that have findings."""
        return [inspection.shard for inspection in self.shards if inspection.problems]


def shards_to_read(journal: Journal, stored: RunPlan) -> tuple[ShardSpec, ...]:
    """Return all shards of a plan; of a run that did not come to its end, those it has committed.

    Raises:
        StorageUnavailable: the output's storage does not answer.
    """
    try:
        if journal.layout.report.exists():
            return stored.shards
    except OSError as error:
        journal.layout.root.require_answer(error)
        return stored.shards
    listed = journal.receipts.listed(stored.shards)
    before = stored.continues
    if before is None:
        return tuple(listed)
    receipts = journal.layout.root.each(
        lambda shard: journal.receipts.of_plan_before(shard, before), listed
    )
    return tuple(shard for shard, old in zip(listed, receipts, strict=True) if old is None)


def audit(
    journal: Journal,
    stored: RunPlan,
    shards: Sequence[ShardSpec],
    executor: Executor,
    events: Events,
    known: Sequence[ShardInspection] = (),
) -> Audit:
    """Read an output again.

    Args:
        shards: those to look at; see :func:`shards_to_read`.
        known: shards that need not be looked at again, and what was found in them.

    Raises:
        StorageUnavailable: nothing can be told, for the output's storage does not answer.
    """
    seen = {inspection.shard for inspection in known}
    unseen = [shard for shard in shards if shard not in seen]
    inspections = [*known, *_inspect_all(unseen, journal, stored, executor, events)]
    inspections.sort(key=lambda inspection: inspection.shard.start)
    try:
        whole = len(shards) == len(stored.shards)
        return _look_beside(Inventory(journal, stored), inspections, whole=whole)
    except OSError as error:
        journal.layout.root.require_answer(error)
        raise


def _look_beside(
    inventory: Inventory, inspections: Sequence[ShardInspection], *, whole: bool = True
) -> Audit:
    plan, beside = inventory.plan()
    # The next run clears away what a stopped one has left.
    beside += [*inventory.strays(leftovers=whole), *inventory.label_map()]
    receipts = _receipts_of(inspections) if whole else None
    if plan is not None and receipts is not None:
        beside += inventory.results(plan, total_receipts(receipts))
        beside += inventory.for_readers(plan, receipts)
    return Audit(
        plan=plan,
        shards=tuple(inspections),
        beside=tuple(beside),
        unrelated=tuple(inventory.unrelated()),
    )


def _receipts_of(inspections: Sequence[ShardInspection]) -> list[ShardReceipt] | None:
    """Return the receipts of all shards; None if some are not sound."""
    receipts = [inspection.receipt for inspection in inspections if inspection.receipt is not None]
    return receipts if len(receipts) == len(inspections) else None


def _inspect_all(
    shards: Sequence[ShardSpec],
    journal: Journal,
    stored: RunPlan,
    executor: Executor,
    events: Events,
) -> list[ShardInspection]:
    if not shards:
        return []
    run = RunRef(output=journal.output, digest=stored.fingerprint.digest, run=uuid.uuid4().hex)
    work = WorkStarted(
        title="verifying",
        planned=sum(shard.images for shard in shards),
        shards=len(shards),
        dashboard=executor.dashboard,
    )
    count = count_tasks(events, work, [shard.images for shard in shards])
    found: list[ShardInspection] = []

    def look(event: TaskEvent[ShardInspection]) -> None:
        if event.task is not None:
            found.append(event.result or _failed(event.error, shards[event.task]))
        count(event)

    function = functools.partial(inspect_shard, run=run)
    executor.run_tasks(Tasks(function=function, items=shards), look)
    return found


def _failed(error: BaseException | None, shard: ShardSpec) -> ShardInspection:
    """Return what to report of a shard whose inspection failed, as when it killed its workers.

    Raises:
        StorageUnavailable: nothing can be told, for the storage does not answer.
        ClusterError: nor can it, for the scheduler has gone.
    """
    died = isinstance(error, WorkerDied)
    if isinstance(error, StorageUnavailable | ClusterError) and not died:
        raise error
    problem = mismatch(
        where=shard_key(shard),
        expected="a shard that can be read",
        found=failure(error) if isinstance(error, BaseException) else str(error),
        remedy="rewrite",
    )
    return ShardInspection(shard=shard, problems=(problem,))
