"""Find out how long records are from the shards themselves, where receipts do not tell."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

from prep.errors import RecordError, SourceError
from prep.output.index.measures import Measure, measures_to_text
from prep.output.journal import Journal
from prep.output.layout import OutputLayout
from prep.output.receipt import ShardReceipt
from prep.planning.plan import RunPlan
from prep.sources.archives.archive_bytes import Read, reading
from prep.sources.archives.tars.tar_headers import BLOCK
from prep.sources.archives.tars.tar_scan import scan
from prep.sources.records.record_frames import HEADER, TRAILER, RecordBytes
from prep.sources.webdataset.sample_members import key_and_part
from prep.storage.location import Location
from prep.text import reason_and_file


def with_measures(
    layout: OutputLayout, plan: RunPlan, receipts: Sequence[ShardReceipt]
) -> list[ShardReceipt]:
    """Return receipts that have measures, which are taken from the shards where they are absent.

    Only the frames of records are read. The size of source images stays unknown: it is 0.

    Raises:
        RecordError: a shard is damaged or compressed, or has other records than its receipt says.
        StorageUnavailable: a storage does not answer.
    """

    def measured(receipt: ShardReceipt) -> ShardReceipt:
        if receipt.measures or not receipt.images:
            return receipt
        lengths = _lengths(layout.root / receipt.file, plan)
        if len(lengths) != receipt.images:
            raise RecordError(
                f"{receipt.file}: expected {receipt.images:,} records, as in its receipt, found "
                f"{len(lengths):,}; repair it with `prep.verify`"
            )
        found = measures_to_text(Measure(length, 0, 0) for length in lengths)
        return replace(receipt, measures=found)

    return list(layout.root.each(measured, receipts))


def note_measures(
    journal: Journal, plan: RunPlan, receipts: Sequence[ShardReceipt]
) -> list[ShardReceipt]:
    """Commit receipts that tell where their records are, for those of an earlier version.

    The output must be locked.

    Returns:
        All receipts, as they are now.

    Raises:
        RecordError, StorageUnavailable: as for :func:`with_measures`.
        OSError: a receipt can't be written.
    """
    measured = with_measures(journal.layout, plan, receipts)
    pairs = zip(receipts, measured, strict=True)
    noted = [after for before, after in pairs if after is not before]
    for _ in journal.layout.root.each(journal.receipts.commit, noted):
        pass
    return measured


def _lengths(file: Location, plan: RunPlan) -> list[int]:
    """Return the bytes of each record of a shard, with its framing."""
    if plan.compression is not None:
        raise RecordError(
            f"{file}: expected a shard without compression, found {plan.compression}, in which "
            "no record can be found without unpacking all before it; prepare the images again "
            "without `compression`"
        )
    try:
        size = file.file_size()
        with reading(file, size, ahead=False) as read:
            find = _in_records if plan.config.format == "tfrecord" else _in_tar
            return list(find(read, size, str(file)))
    except OSError as error:
        file.require_answer(error)
        raise RecordError(f"{reason_and_file(error)}; repair it with `prep.verify`") from None
    except SourceError as error:
        told = str(error).removeprefix("source: ").rpartition("; ")[0]
        raise RecordError(f"{told}; repair it with `prep.verify`") from None


def _in_records(read: Read, size: int, shown: str) -> Iterator[int]:
    """Yield the bytes of each record of a TFRecord file."""
    for begin, end in RecordBytes(read, size, shown).frames():
        yield HEADER + end - begin + TRAILER


def _in_tar(read: Read, size: int, shown: str) -> Iterator[int]:
    """Yield the bytes of the members of each sample of a tar file."""
    members = scan(read, 0, size, shown)
    rows = zip(members.names, members.sizes, strict=True)
    for _, of_sample in itertools.groupby(rows, lambda row: key_and_part(row[0])[0]):
        yield sum(BLOCK + size + -size % BLOCK for _, size in of_sample)
