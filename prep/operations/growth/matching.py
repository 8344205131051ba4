"""Hold the images of an output against its source as it is now."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from prep.planning.continued import Difference, OutdatedImage
from prep.planning.plan import RunPlan
from prep.sources.archives.members import contents_of_each
from prep.sources.columns import TARGET, numbers_of

_Rows = npt.NDArray[np.int64]
_Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Matching:
    """The images of a stored plan and of its source as it is now, matched by their names.

    Attributes:
        stored: the plan of the output, with its manifest.
        now: a plan of the source as it is now.
        at: for each image of ``stored``, its row of ``now``; -1 if it has none, or is in a split
            that is not asked for.
        added: the rows of ``now`` that ``stored`` does not have, in their order.
        gone, changed, relabelled, moved: masks of the images of ``stored``; an image counts once.
    """

    stored: RunPlan
    now: RunPlan
    at: _Rows
    added: _Rows
    gone: _Mask
    changed: _Mask
    relabelled: _Mask
    moved: _Mask

    @property
    def outdated(self) -> _Mask:
        """The images of ``stored`` whose records are not what the source says now."""
        return self.gone | self.changed | self.relabelled | self.moved

    @property
    def agrees(self) -> bool:
        """True if source and output have the same images."""
        return not len(self.added) and not self.outdated.any()

    def outdated_images(self, plan: RunPlan) -> tuple[OutdatedImage, ...]:
        """Return the images whose records are outdated, in the order of the manifest.

        Args:
            plan: of the grown output, which says what shards are called in it.
        """
        rows = np.flatnonzero(self.outdated)
        if not len(rows):
            return ()
        stored = self.stored
        names = {(shard.split, shard.index): shard.name for shard in plan.shards}
        starts = np.array([shard.start for shard in stored.shards])
        shards = np.searchsorted(starts, rows, side="right") - 1
        paths = stored.manifest["path"].take(rows).to_pylist()
        classes = stored.manifest["class"].take(rows).to_pylist()
        found = [stored.shards[number] for number in shards.tolist()]
        return tuple(
            OutdatedImage(
                path=os.fsdecode(path),
                class_name=stored.classes[class_],
                split=shard.split,
                shard=names[shard.split, shard.index],
                difference=self._difference(row),
            )
            for row, path, class_, shard in zip(rows.tolist(), paths, classes, found, strict=True)
        )

    def _difference(self, row: int) -> Difference:
        if self.gone[row]:
            return "gone"
        if self.changed[row]:
            return "changed"
        return "relabelled" if self.relabelled[row] else "moved"


def match(stored: RunPlan, now: RunPlan) -> Matching:
    """Match the images of an output with those of its source, by name.

    Splits of the output that ``now`` does not ask for are left as they are.

    Args:
        stored: with its manifest.
        now: the source as it is now.
    """
    old, new = stored.manifest, now.manifest
    at = _rows_in(old["path"], new["path"])
    found = at >= 0
    row = np.where(found, at, 0)
    same = _stamps_agree(old, new, row)
    classes = _positions(stored.classes, now.classes)[old["class"].to_numpy()]
    same_class = (classes == new["class"].to_numpy()[row]) & _targets_agree(old, new, row)
    same_split = (
        _positions([*stored.splits], [*now.splits])[_splits_of(stored)] == (_splits_of(now)[row])
    )
    wanted = now.config.splits
    asked = [wanted is None or split in wanted for split in stored.splits]
    of_asked = np.array(asked, bool)[_splits_of(stored)]
    there = of_asked & found
    return Matching(
        stored=stored,
        now=now,
        at=np.where(of_asked, at, -1),
        added=np.flatnonzero(_rows_in(new["path"], old["path"]) < 0),
        gone=of_asked & ~found,
        moved=there & ~same_split,
        changed=there & same_split & ~same,
        relabelled=there & same_split & same & ~same_class,
    )


def _rows_in(names: pa.ChunkedArray, others: pa.ChunkedArray) -> _Rows:
    """Return the row of each name among others; -1 for those that are not there."""
    found = pc.index_in(names, value_set=others.combine_chunks())
    rows: _Rows = found.fill_null(-1).to_numpy().astype(np.int64)
    return rows


def _positions(names: Sequence[str], others: Sequence[str]) -> _Rows:
    """Return the position of each name among others; -1 for those that are not there."""
    position = {name: number for number, name in enumerate(others)}
    return np.array([position.get(name, -1) for name in names], np.int64)


def _splits_of(plan: RunPlan) -> _Rows:
    """Return the split of each image of a plan, as a position in its splits."""
    counts = [*plan.splits.values()]
    return np.repeat(np.arange(len(counts)), counts)


def _targets_agree(old: pa.Table, new: pa.Table, at: _Rows) -> _Mask:
    """Return which images have the numbers in their labels that they had.

    Args:
        at: the row of ``new`` for each row of ``old``.
    """
    if TARGET not in old.column_names or TARGET not in new.column_names:
        return np.ones(len(at), bool)
    then, now = (numbers_of(table[TARGET]) for table in (old, new))
    if then.shape[1] != now.shape[1]:
        return np.zeros(len(at), bool)
    agree: _Mask = (then == now[at]).all(axis=1) if len(now) else np.zeros(len(at), bool)
    return agree


def _stamps_agree(old: pa.Table, new: pa.Table, at: _Rows) -> _Mask:
    """Return which images have the size and the time that they had.

    The mark of an image in an archive holds bits of the archive's size and time too, which change
    when members are added: of two marks, those of the contents are compared.

    Args:
        at: the row of ``new`` for each row of ``old``.
    """
    sizes = old["size"].to_numpy() == new["size"].to_numpy()[at]
    then, now = old["mtime"].to_numpy(), new["mtime"].to_numpy()[at]
    times = then == now
    if "offset" in old.column_names and "offset" in new.column_names:
        inside = (old["offset"].to_numpy() >= 0) & (new["offset"].to_numpy()[at] >= 0)
        contents = contents_of_each(then)
        times |= inside & (contents != 0) & (contents == contents_of_each(now))
    agree: _Mask = sizes & times
    return agree
