"""Which images of a plan have a record, and where in its shard that is, as the receipts tell."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from prep.output.index.measures import Measures, measures_from_text
from prep.output.receipt import ShardReceipt
from prep.planning.plan import RunPlan
from prep.planning.shards import ShardSpec

T = TypeVar("T", bound=np.generic)

#: What became of an image; an image has the number of its outcome.
OUTCOMES = ("written", "repaired", "damaged", "refused")
_REFUSED = OUTCOMES.index("refused")


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitRows:
    """The images of a split, in the order of the manifest, and the measures of their records.

    Attributes:
        first: the row of the first of them in the manifest.
        shards: int32 (images,), the index of the shard of each.
        outcomes: uint8 (images,), positions in ``OUTCOMES``.
        offsets: int64 (records,), where each record begins in its shard, before any compression.
        measures: of the records.
    """

    first: int
    shards: npt.NDArray[np.int32]
    outcomes: npt.NDArray[np.uint8]
    offsets: npt.NDArray[np.int64]
    measures: Measures

    @property
    def written(self) -> npt.NDArray[np.bool_]:
        """Which images have a record, (images,)."""
        written: npt.NDArray[np.bool_] = self.outcomes != _REFUSED
        return written


def rows_of_split(plan: RunPlan, split: str, receipts: Sequence[ShardReceipt]) -> SplitRows:
    """Return the images of a split and their records.

    Args:
        plan: with its manifest, unless no receipt has a note about an image.
        receipts: of all shards of the split, in order, each with its measures.
    """
    shards = [shard for shard in plan.shards if shard.split == split]
    numbers = [np.full(shard.images, shard.index, np.int32) for shard in shards]
    outcomes = [_outcomes(plan, *pair) for pair in zip(shards, receipts, strict=True)]
    measures = [measures_from_text(receipt.measures) for receipt in receipts]
    columns = zip(*measures, measures_from_text(""), strict=True)
    return SplitRows(
        first=shards[0].start if shards else 0,
        shards=_joined(numbers, np.int32),
        outcomes=_joined(outcomes, np.uint8),
        offsets=_joined([of_shard.offsets for of_shard in measures], np.int64),
        measures=Measures(*(_joined(each, np.int64) for each in columns)),
    )


def _outcomes(plan: RunPlan, shard: ShardSpec, receipt: ShardReceipt) -> npt.NDArray[np.uint8]:
    """Return the outcome of each image of a shard."""
    found = np.zeros(shard.images, np.uint8)
    if receipt.findings:
        paths = plan.manifest["path"].slice(shard.start, shard.images).to_pylist()
        places = {os.fsdecode(path): place for place, path in enumerate(paths)}
        for note in receipt.findings:
            found[places[note.path]] = OUTCOMES.index(note.outcome)
    return found


def _joined(parts: Sequence[npt.NDArray[T]], kind: type[T]) -> npt.NDArray[T]:
    return np.concatenate([*parts, np.empty(0, kind)])
