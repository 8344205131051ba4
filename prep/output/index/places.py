"""Where each record of a split is: what a reader needs to open one without reading the others.

``images.parquet`` tells it, if it is of these shards. If not, the receipts do, and where those are
of an earlier version, the shards themselves: they are passed through from record to record.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from prep.errors import SourceError
from prep.output.index.scanning import with_measures
from prep.output.index.stored_table import SplitRecords, read_split
from prep.output.index.written_rows import rows_of_split
from prep.output.journal import Journal
from prep.planning.plan import RunPlan
from prep.planning.shards import ShardSpec
from prep.sources import manifest
from prep.sources.columns import TARGET, numbers_of
from prep.text import quoted, reason_of, shown


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitPlaces:
    """The places of the records of a split, in the order of its shards.

    Attributes:
        files: the shards, relative to the output.
        sizes: int64 (shards,), bytes of each file.
        shards: int32 (records,), positions in ``files``.
        offsets: int64 (records,), where each record begins in its file, with its framing. In a
            compressed file, where it begins in what that unpacks to.
        lengths: int64 (records,), bytes of each record, with its framing.
        classes: int32 (records,), positions in the plan's ``classes``.
        rows: int64 (records,), rows of the manifest.
    """

    files: tuple[str, ...]
    sizes: npt.NDArray[np.int64]
    shards: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]
    classes: npt.NDArray[np.int32]
    rows: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.lengths)


def places_of(journal: Journal, plan: RunPlan, split: str) -> SplitPlaces:
    """Return where the records of a split are.

    Args:
        journal: the output.
        plan: of the output; its manifest is read if it is needed.
        split: the name of the split.

    Raises:
        SourceError: there is no such split, or not all of its shards are there.
        RecordError: its shards have to be passed through, and one is damaged or compressed.
        StorageUnavailable: a storage does not answer.
    """
    if split not in plan.splits:
        raise SourceError(f"split: no {quoted(split)}; splits found: {shown(list(plan.splits))}")
    shards = [shard for shard in plan.shards if shard.split == split]
    sizes = _sizes(journal, shards)
    found = read_split(journal.layout.images, plan, shards, sizes)
    if found is None:
        found = _from_receipts(journal, plan, split, shards)
    ends = np.cumsum(found.lengths)
    counts = np.bincount(found.shards, minlength=len(shards))
    before = np.concatenate([[0], ends])[np.cumsum(counts) - counts]
    return SplitPlaces(
        files=tuple(f"{split}/{shard.name}" for shard in shards),
        sizes=np.array(sizes, np.int64),
        shards=found.shards,
        offsets=ends - found.lengths - before[found.shards],
        lengths=found.lengths,
        classes=found.classes,
        rows=(shards[0].start if shards else 0) + np.flatnonzero(found.written),
    )


def record_names(journal: Journal, plan: RunPlan, places: SplitPlaces) -> list[bytes]:
    """Return the name of the source image of each record, relative to the source.

    Raises:
        SourceError: the manifest can't be read.
        StorageUnavailable: a storage does not answer.
    """
    names: list[bytes] = _column_of_records(journal, plan, places, "path").to_pylist()
    return names


def record_targets(journal: Journal, plan: RunPlan, places: SplitPlaces) -> npt.NDArray[np.float32]:
    """Return the numbers in the label of each record, float32 (records, numbers of a label).

    Raises:
        SourceError: the manifest can't be read.
        StorageUnavailable: a storage does not answer.
    """
    return numbers_of(_column_of_records(journal, plan, places, TARGET))


def _column_of_records(
    journal: Journal, plan: RunPlan, places: SplitPlaces, name: str
) -> pa.ChunkedArray:
    """Return what the manifest says of each record; raise SourceError if it can't be read."""
    try:
        column = manifest.read(journal.manifest.file_of(plan), [name])[name]
        return column.take(pa.array(places.rows))
    except (OSError, ValueError, IndexError, pa.ArrowException) as error:
        raise _unreadable(journal, error) from None


def _from_receipts(
    journal: Journal, plan: RunPlan, split: str, shards: Sequence[ShardSpec]
) -> SplitRecords:
    """Return the records of a split as the receipts tell them, or the shards themselves."""
    receipts = journal.receipts.committed(shards, plan.fingerprint.digest)
    if len(receipts) < len(shards):
        raise _incomplete(split, len(receipts), len(shards))
    receipts = with_measures(journal.layout, plan, receipts)
    try:
        whole = journal.whole_plan(plan)
    except (OSError, ValueError, IndexError, pa.ArrowException) as error:
        raise _unreadable(journal, error) from None
    rows = rows_of_split(whole, split, receipts)
    classes = whole.manifest["class"].slice(rows.first, len(rows.outcomes)).to_numpy()
    return SplitRecords(
        written=rows.written,
        shards=rows.shards[rows.written],
        lengths=rows.measures.lengths,
        classes=classes[rows.written],
    )


def _sizes(journal: Journal, shards: Sequence[ShardSpec]) -> list[int]:
    """Return the bytes of the files of the shards of a split; raise SourceError for absent ones."""
    found: list[int] = []
    layout = journal.layout
    listed = (layout.root / shards[0].split).sizes() if shards else None
    for shard in shards:
        file = layout.shard(shard)
        try:
            found += [file.file_size()] if listed is None else [listed[file.name]]
        except (OSError, KeyError) as error:
            if isinstance(error, OSError):
                file.require_answer(error)
    if len(found) < len(shards):
        raise _incomplete(shards[0].split, len(found), len(shards))
    return found


def _incomplete(split: str, found: int, expected: int) -> SourceError:
    return SourceError(
        f"output: {found} of {expected} shards of {quoted(split)} are committed; run the same "
        "command again to write the rest"
    )


def _unreadable(journal: Journal, error: Exception) -> SourceError:
    if isinstance(error, OSError):
        journal.layout.root.require_answer(error)
    return SourceError(
        f"output: can't use {journal.layout.manifest}: {reason_of(error)}; `prep.verify` says "
        "what is wrong, and can repair it"
    )
