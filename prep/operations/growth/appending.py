"""Look at an output that is to grow, and replace its plan by the one of the grown output."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Literal

import pyarrow as pa

from prep.errors import OutputConflict, UsageError
from prep.operations.growth.adoption import (
    Adoption,
    adopt,
    pending_adoptions,
    replace_plan,
)
from prep.operations.growth.growing import Growth, grow, in_stored_order
from prep.output.journal import Journal
from prep.output.receipt import ShardReceipt
from prep.planning.continued import describe_outdated
from prep.planning.plan import RunPlan
from prep.planning.shards import ShardSpec
from prep.planning.splitting.settled import SettledSplits
from prep.text import counted, reason_of, some

#: What is to become of what an output holds: a run goes on with it; adds images that are new in
#: its source; does so, and writes shards again whose images are gone or have changed; or starts
#: afresh.
Aim = Literal["continue", "append", "compact", "overwrite"]
_LOGGER = logging.getLogger("prep")


def aim_of(*, overwrite: bool = False, append: bool = False, compact: bool = False) -> Aim:
    """Return what a run is to do with what its output holds.

    Raises:
        UsageError: it is asked both to keep and to replace it.
    """
    if overwrite and (append or compact):
        kept = "append" if append else "compact"
        raise UsageError(
            f"overwrite: got it together with {kept}, which keeps what overwrite replaces; give "
            "one of them"
        )
    if overwrite:
        return "overwrite"
    return "compact" if compact else "append" if append else "continue"


def settled_splits(journal: Journal, aim: Aim) -> SettledSplits | None:
    """Return the splits that images of an output keep; None if it has not grown and is not to.

    Raises:
        PrepError: its plan or its manifest can't be read.
    """
    if aim == "overwrite":
        return None
    stored = journal.stored_plan()
    if stored is None or (aim == "continue" and stored.continues is None):
        return None
    return SettledSplits.of_plan(whole_plan(journal, stored))


def plan_growth(journal: Journal, stored: RunPlan, now: RunPlan, *, compact: bool) -> Growth:
    """Plan what an output has to hold after images were added to its source.

    Args:
        stored: the plan that the output holds, with its manifest.
        now: a plan of the source as it is now.
        compact: whether to write shards again that hold images which are gone or have changed.

    Raises:
        OutputConflict: the source or a setting is another than that of the output.
        LabelError: a class has another number, or a new one can't have any.
        StorageUnavailable: a storage does not answer.
    """
    return grow(stored, now, _unwritten(journal, stored), compact=compact)


def as_it_grew(journal: Journal, stored: RunPlan, now: RunPlan) -> RunPlan:
    """Return a plan of a source with its images where an output that has grown has them.

    Where the source has other images than the output, the plan only tells what differs.

    Raises:
        OutputConflict: the manifest can't be read, which alone tells the order of the images.
        StorageUnavailable: a storage does not answer.
    """
    same = now.with_partition(stored.fingerprint.partition, stored.sizes)
    if same.fingerprint.digest == stored.fingerprint.digest:
        return same
    return in_stored_order(whole_plan(journal, stored), now)


def whole_plan(journal: Journal, stored: RunPlan) -> RunPlan:
    """Return a stored plan with its manifest.

    Raises:
        OutputConflict: it can't be read, or is not the plan's.
        StorageUnavailable: a storage does not answer.
    """
    try:
        whole = journal.whole_plan(stored)
    except (OSError, ValueError, IndexError, pa.ArrowException) as error:
        if isinstance(error, OSError):
            journal.layout.root.require_answer(error)
        told = reason_of(error)
    else:
        if whole.fingerprint.digest == stored.fingerprint.digest:
            return whole
        told = "it lists other images than the plan beside it"
    raise OutputConflict(
        f"output: can't use {journal.layout.manifest}: {told}; it alone tells which image is "
        "where in an output that grows: restore it, or pass `overwrite=True` to start afresh"
    )


def finish_adoption(journal: Journal) -> None:
    """Finish what a run that was killed has left to take over, before the plan is replaced again.

    Raises:
        OutputConflict: the output can't be written to.
        StorageUnavailable: a storage does not answer.
    """
    stored = journal.stored_plan()
    if stored is None or stored.continues is None:
        return
    adopt(journal, pending_adoptions(journal, stored, _uncommitted(journal, stored)))


def receipts_through(journal: Journal, stored: RunPlan, plan: RunPlan) -> list[ShardReceipt]:
    """Return the receipts that a plan will have of shards that the stored one has to take over.

    Those are left by a run that was killed; :func:`finish_adoption` comes first in the next run.

    Args:
        stored: the plan of the output, which maybe continues another one.
        plan: the plan that is to replace it.

    Raises:
        StorageUnavailable: a storage does not answer.
    """
    before, digest = plan.continues, plan.fingerprint.digest
    if before is None or stored.continues is None or stored.fingerprint.digest == digest:
        return []
    kept = {(shard.split, shard.index): shard for shard in plan.shards if before.keeps(shard)}
    adoptions = pending_adoptions(journal, stored, _uncommitted(journal, stored))
    return [
        receipt.moved_to(kept[receipt.split, receipt.index], digest)
        for receipt in (adoption.receipt for adoption in adoptions)
        if receipt is not None and (receipt.split, receipt.index) in kept
    ]


def take_over(
    journal: Journal, stored: RunPlan | None, plan: RunPlan, adoptions: Sequence[Adoption]
) -> None:
    """Publish a plan, and take over the shards that it continues.

    Args:
        stored: the plan that it replaces, with its manifest; None if it is published already.
        plan: the new plan.
        adoptions: the shards that are still to be taken over.
    """
    if stored is not None and stored.fingerprint.digest != plan.fingerprint.digest:
        replace_plan(journal, stored, plan)
    elif adoptions:
        journal.begin(plan)
    adopt(journal, adoptions)


def warn_of_growth(growth: Growth) -> None:
    """Log which records are outdated, which are replaced, and which libraries are others."""
    if outdated := growth.plan.outdated:
        _LOGGER.warning(
            "prep: the records of %s are kept as they were written, and the source differs: %s; "
            "pass `compact=True` to write their shards again",
            counted(len(outdated), "image"),
            describe_outdated(outdated),
        )
    if growth.replaced:
        _LOGGER.warning(
            "prep: %s written again: %s",
            counted(growth.rewritten, "shard"),
            describe_outdated(growth.replaced),
        )
    if growth.versions:
        _LOGGER.warning(
            "prep: new shards are written with other versions than those that are there: %s",
            some(growth.versions),
        )


def _unwritten(journal: Journal, stored: RunPlan) -> Iterable[ShardSpec]:
    """Return the shards of a stored plan that are neither committed nor to be taken over."""
    left = _uncommitted(journal, stored)
    adopted = {
        adoption.shard
        for adoption in pending_adoptions(journal, stored, left)
        if adoption.receipt is not None
    }
    return [shard for shard in left if shard not in adopted]


def _uncommitted(journal: Journal, stored: RunPlan) -> list[ShardSpec]:
    """Return the shards of a stored plan that have no receipt of it."""
    done = {(receipt.split, receipt.index) for receipt in journal.committed(stored)}
    return [shard for shard in stored.shards if (shard.split, shard.index) not in done]
