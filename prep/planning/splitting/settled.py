"""The splits that images of an output have already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from prep.planning.plan import RunPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class SettledSplits:
    """Images that keep their split, whatever ``split`` would say of them.

    Attributes:
        names: of the images, large binary.
        numbers: the split of each; positions in ``splits``.
        splits: the names of the splits.
    """

    names: pa.ChunkedArray
    numbers: npt.NDArray[np.int64]
    splits: tuple[str, ...]

    @classmethod
    def of_plan(cls, plan: RunPlan) -> SettledSplits:
        """Return the splits of all images of a plan that has its manifest."""
        counts = [*plan.splits.values()]
        numbers = np.repeat(np.arange(len(counts)), counts)
        return cls(names=plan.manifest["path"], numbers=numbers, splits=tuple(plan.splits))

    def among(self, names: pa.ChunkedArray, splits: Sequence[str]) -> npt.NDArray[np.int64]:
        """Return of each image the first position of its split in ``splits``; -1 if not settled."""
        at = {name: splits.index(name) if name in splits else -1 for name in self.splits}
        known = np.array([*(at[name] for name in self.splits), -1], np.int64)
        found = pc.index_in(names, value_set=self.names.combine_chunks())
        rows = found.fill_null(-1).to_numpy()
        return np.where(rows < 0, -1, known[self.numbers[rows]] if len(self.numbers) else -1)
