"""The files that tell readers what is in the shards: all of them, made of plan and receipts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from prep.output.index.image_table import image_table
from prep.output.index.measures import measures_from_text
from prep.output.index.tfds_files import tfds_files
from prep.output.layout import OutputLayout
from prep.output.receipt import ShardReceipt
from prep.planning.plan import RunPlan
from prep.storage.location import Location


class DerivedFile(NamedTuple):
    """A file that an output is to have.

    Attributes:
        path: where.
        data: its contents.
    """

    path: Location
    data: bytes


def are_measured(receipts: Sequence[ShardReceipt]) -> bool:
    """Return whether receipts tell where all their records are.

    Those of an earlier version don't, and its outputs have none of these files until they are
    asked for.
    """
    return all(receipt.measures or not receipt.images for receipt in receipts) and any(
        receipt.measures for receipt in receipts
    )


def lacks_measures(plan: RunPlan, receipts: Sequence[ShardReceipt]) -> bool:
    """Return whether some receipts tell where their records are, and others are still to.

    Those are of shards that an earlier version wrote, and a run has died before it measured them.
    Nobody can find records in compressed shards.
    """
    measured = any(receipt.measures for receipt in receipts)
    return measured and not are_measured(receipts) and plan.compression is None


def has_indexes(plan: RunPlan) -> bool:
    """Return whether the shards of a plan have indexes: not those that no reader takes one for."""
    return plan.config.format == "tfrecord" and plan.compression is None


def derived_files(
    layout: OutputLayout, plan: RunPlan, receipts: Sequence[ShardReceipt]
) -> Iterator[DerivedFile]:
    """Yield the files of an output that are made of its plan and receipts.

    They come in the order in which they are published: ``dataset_info.json`` last, because it says
    that the others are there.

    Args:
        layout: of the output.
        plan: with its manifest.
        receipts: of all shards, in the order of the plan, each with its measures.
    """
    if has_indexes(plan):
        for shard, receipt in zip(plan.shards, receipts, strict=True):
            yield DerivedFile(layout.index_of(shard), index_text(receipt))
    yield DerivedFile(layout.images, image_table(plan, receipts))
    for name, data in tfds_files(plan, receipts).items():
        yield DerivedFile(layout.root / name, data)


def index_text(receipt: ShardReceipt) -> bytes:
    """Return the index of a shard: a line of offset and size for each record, framing included.

    As ``tfrecord2idx`` writes it, of the package `tfrecord`_ and of DALI.

    .. _tfrecord: https://github.com/vahidk/tfrecord
    """
    measures = measures_from_text(receipt.measures)
    pairs = zip(measures.offsets.tolist(), measures.lengths.tolist(), strict=True)
    return "".join(f"{offset} {size}\n" for offset, size in pairs).encode()
