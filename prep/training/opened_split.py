"""A split of a finished output, as readers open it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from prep.errors import SourceError, UsageError
from prep.output.journal import Journal
from prep.output.plan_file import no_plan, require_listed
from prep.output.receipt import ShardReceipt
from prep.planning.plan import RunPlan
from prep.storage.arguments import admit
from prep.storage.location import Location
from prep.text import quoted, shown


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedSplit:
    """A split of a finished output.

    Attributes:
        journal: of the output.
        plan: its plan, without the manifest.
        split: name of the split.
        receipts: of its shards, in order.
    """

    journal: Journal
    plan: RunPlan
    split: str
    receipts: tuple[ShardReceipt, ...]

    @property
    def files(self) -> tuple[Location, ...]:
        """The shards, in order."""
        return tuple(self.journal.layout.root / receipt.file for receipt in self.receipts)

    @property
    def shard_sizes(self) -> tuple[int, ...]:
        """Number of records of each shard."""
        return tuple(receipt.images for receipt in self.receipts)

    @property
    def images(self) -> int:
        """Number of records."""
        return sum(self.shard_sizes)


def open_output(
    output: str | os.PathLike[str], split: str, storage_options: Mapping[str, Any] | None = None
) -> tuple[Journal, RunPlan]:
    """Read the plan of an output that is to have a split.

    Args:
        output: an output folder, or its URL.
        split: name of the split.
        storage_options: options of the storage, for URLs; see :class:`prep.Config`.

    Raises:
        SourceError: there is no run there, or it has no such split.
        PrepError: its plan is damaged, or can't be read.
    """
    journal = Journal(admit("output", output, storage_options))
    plan = journal.stored_plan()
    if plan is None:
        raise no_plan(journal.layout)
    require_listed(journal.layout, plan)
    if split not in plan.splits:
        raise SourceError(f"split: no {quoted(split)}; splits found: {shown(list(plan.splits))}")
    return journal, plan


def open_split(
    output: str | os.PathLike[str], split: str, storage_options: Mapping[str, Any] | None = None
) -> OpenedSplit:
    """Find the shards of a split of an output; see :func:`open_output`.

    Raises:
        SourceError: there is no finished run there, or it has no such split.
        PrepError: its plan is damaged, or can't be read.
    """
    journal, plan = open_output(output, split, storage_options)
    shards = [shard for shard in plan.shards if shard.split == split]
    receipts = journal.receipts.committed(shards, plan.fingerprint.digest)
    if len(receipts) < len(shards):
        raise SourceError(
            f"output: {len(receipts)} of {len(shards)} shards of {quoted(split)} are committed; "
            "run the same command again to write the rest"
        )
    return OpenedSplit(journal=journal, plan=plan, split=split, receipts=tuple(receipts))


def one_hot_length(plan: RunPlan) -> int:
    """Return the length of the one-hot labels of an output, whatever its records have.

    Raises:
        UsageError: its labels are no classes.
    """
    form = plan.label_form
    if form.target == "value":
        raise UsageError("one_hot: expected labels that are classes, found values; leave it out")
    return form.shape[0] if form.shape else 1 + max(plan.labels.numbers.values(), default=0)
