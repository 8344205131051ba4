"""Make the files that tell readers what is in the shards, for an output that lacks them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from prep.output.conflicts import require_room_for_readers
from prep.output.index.derived import has_indexes
from prep.output.index.publishing import publish_derived, wrong_files
from prep.output.index.scanning import note_measures
from prep.output.inventory import require_complete, require_whole_plan
from prep.output.journal import Journal
from prep.output.plan_file import no_plan, require_listed
from prep.output.receipt import ShardReceipt
from prep.planning.plan import RunPlan
from prep.storage.arguments import admit
from prep.text import Displayable, counted


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexReport(Displayable):
    """The files for readers that an output has.

    Attributes:
        output: the output folder.
        images: number of records.
        shards: number of shards.
        scanned: number of shards that were read to find out where their records are.
        files: those beside the folder ``index``, by name.
        indexed: whether each shard has an index in ``index``. Compressed shards and tar files have
            none.
        written: whether any of this was written; False if all was there.
    """

    output: str
    images: int
    shards: int
    scanned: int
    files: tuple[str, ...]
    indexed: bool
    written: bool

    def to_json(self) -> dict[str, Any]:
        """Convert to JSON values."""
        return {**asdict(self), "files": list(self.files)}

    def summary(self) -> str:
        """Return the report in one line.

        >>> report = IndexReport(
        ...     output="out", images=64, shards=2, scanned=0, files=("images.parquet",),
        ...     indexed=True, written=True,
        ... )
        >>> print(report.summary())
        out: images.parquet and the indexes of 2 shards with 64 images: written
        """
        made = ", ".join(self.files)
        if self.indexed:
            made += f" and the indexes of {counted(self.shards, 'shard')}"
        else:
            made += " (no indexes: compressed shards and tar files have none)"
        state = "written" if self.written else "there already"
        return f"{self.output}: {made} with {counted(self.images, 'image')}: {state}"

    def __repr__(self) -> str:
        return f"IndexReport({self.summary()})"


def index(
    output: str | os.PathLike[str], storage_options: Mapping[str, Any] | None = None
) -> IndexReport:
    """Write the files that tell readers what is in the shards, as far as they are absent or wrong.

    A run writes them at its end. This is for outputs of earlier versions, and for those that have
    lost them. Shards of earlier versions are passed through from record to record, to find out
    where these are, and their receipts then say so.

    Args:
        output: an output folder or its URL, complete.
        storage_options: options of the storage, for URLs; see :class:`prep.Config`.

    Raises:
        SourceError: the folder is not an output of this package, or not complete.
        RecordError: a shard of an earlier version is damaged, or compressed.
        OutputConflict: a run is at work in it, or it can't be written to.
        StorageUnavailable: it is in a storage that does not answer.
        PrepError: its plan or its manifest can't be read.
    """
    journal = Journal(admit("output", output, storage_options))
    plan = _whole_plan(journal)
    receipts = require_complete(journal, plan)
    if all(receipt.measures or not receipt.images for receipt in receipts) and not any(
        wrong_files(journal, plan, receipts)
    ):  # It may lie where nothing can be written.
        return _report(journal, plan, receipts, scanned=0, written=False)
    with journal.lock():
        plan = _whole_plan(journal)
        receipts = require_complete(journal, plan)
        require_room_for_readers(journal, plan, receipts)
        journal.remove_leftovers(plan)
        try:
            measured = note_measures(journal, plan, receipts)
            journal.require_lock(ask=True)
            publish_derived(journal, plan, measured)
        except OSError as error:
            raise journal.not_writable(error) from None
    pairs = zip(receipts, measured, strict=True)
    scanned = sum(before is not after for before, after in pairs)
    return _report(journal, plan, measured, scanned=scanned, written=True)


def _whole_plan(journal: Journal) -> RunPlan:
    """Return the plan of an output with its manifest."""
    journal.require_folders()
    stored = journal.stored_plan()
    if stored is None:
        raise no_plan(journal.layout)
    journal.require_folders(stored.splits)
    require_listed(journal.layout, stored)
    return require_whole_plan(journal, stored)


def _report(
    journal: Journal,
    plan: RunPlan,
    receipts: list[ShardReceipt],
    *,
    scanned: int,
    written: bool,
) -> IndexReport:
    files = sorted(path.name for path in journal.layout.derived if path.is_file())
    return IndexReport(
        output=journal.output,
        images=sum(receipt.images for receipt in receipts),
        shards=len(receipts),
        scanned=scanned,
        files=tuple(files),
        indexed=has_indexes(plan),
        written=written,
    )
