"""Near-duplicates of a run: images that look alike, with other bytes, and leaks among them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from prep.images.likeness.alike import Flags, Links, Pair
from prep.images.likeness.hashing import UNKNOWN, Hashes, Positions
from prep.output.receipt import ShardReceipt
from prep.output.report import checksums
from prep.output.report.duplicates import Copy, checksums_by_row, splits_in_order
from prep.planning.left_out import LeftOut, LookAlikes, NamedImage
from prep.planning.plan import RunPlan
from prep.planning.shards import ShardSpec
from prep.sources.base import UNLABELLED

_MOST_PAIRS = 6  # of each kind


class NearRow(NamedTuple):
    """An image in a group of images that look alike.

    Attributes:
        group: number of the group, from 1.
        path, class_name, split: of the image.
        distance, mirrored: how near the nearest other image of the group is.
        leak, conflict: whether images of the group lie in several splits, or in several classes.
        dropped: whether it was left out.
    """

    group: int
    path: str
    class_name: str
    split: str
    distance: int
    mirrored: bool
    leak: bool
    conflict: bool
    dropped: bool = False


class NearPair(NamedTuple):
    """Two images that look alike, to be shown side by side."""

    images: tuple[Copy, Copy]
    distance: int
    mirrored: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NearCopies:
    """The near-duplicates of a run.

    Attributes:
        compared: number of images that were compared; not those of one colour, and refused ones.
        radius: the largest distance that counts; less than usual if there are too many images.
        crowded: number of images that look like so many that they were compared with some only.
        rows: the images, group by group.
        leaks: number of images of a split that look like one of another split that one trains on
            before it, as ``{"val": {"train": 13}}``.
        pairs: for each kind of pair (``leak``, ``conflict``, ``plain``), the nearest ones.
    """

    compared: int
    radius: int
    crowded: int
    rows: Sequence[NearRow]
    leaks: Mapping[str, Mapping[str, int]]
    pairs: Mapping[str, Sequence[NearPair]]

    def for_report(self) -> dict[str, Any]:
        """Return what :class:`prep.output.report.report.RunReport` says of them."""
        dropped = {row.group for row in self.rows if row.dropped}
        groups = {row.group: row for row in self.rows}
        left = [row for group, row in groups.items() if group not in dropped]
        return {
            "compared": self.compared,
            "distance": self.radius,
            "crowded": self.crowded,
            "images": len(self.rows),
            "groups": len(groups),
            "across_splits": sum(row.leak for row in left),
            "conflicts": sum(row.conflict for row in left),
            "leaks": {split: dict(of) for split, of in self.leaks.items()},
            "dropped": sum(row.dropped for row in self.rows),
            "examples": {
                kind: [image.path for image in pairs[0].images]
                for kind, pairs in self.pairs.items()
                if pairs and kind != "plain"
            },
        }


def near_copies_of(
    plan: RunPlan,
    manifest: pa.Table,
    receipts: Iterable[ShardReceipt],
    more: Hashes | None = None,
) -> NearCopies | None:
    """Return the images of a run that look alike, or that its plan leaves out for that.

    Args:
        plan: of the run.
        manifest, receipts, more: as for :func:`near_copies_in_run`.

    Returns:
        None if nobody asked for it, or if the plan was read from an output, which does not hold
        what was left out.
    """
    if plan.look_alikes is not None:
        return near_copies_left_out(plan.look_alikes)
    if plan.config.near_duplicates != "report":
        return None
    return near_copies_in_run(manifest, plan.classes, plan.shards, receipts, plan.splits, more)


def near_copies_in_run(
    manifest: pa.Table,
    classes: Sequence[str],
    shards: Sequence[ShardSpec],
    receipts: Iterable[ShardReceipt],
    images: Mapping[str, int],
    more: Hashes | None = None,
) -> NearCopies:
    """Return the images of a run that look alike.

    Refused images are left out.

    Args:
        manifest: all its columns.
        classes: that the manifest numbers.
        shards: of the plan.
        receipts: of the shards that are committed.
        images: planned, by split.
        more: uint64 (images,), hashes of images whose receipts have none.
    """
    receipts = tuple(receipts)
    hashes = hashes_by_row(manifest.num_rows, shards, receipts)
    if more is not None:
        hashes = np.where(hashes == UNKNOWN, more, hashes)
    contents = checksums_by_row(manifest.num_rows, shards, receipts)
    return _Finder(manifest, classes, images, hashes, _numbered(contents)).find()


def hashes_by_row(
    images: int, shards: Iterable[ShardSpec], receipts: Iterable[ShardReceipt]
) -> Hashes:
    """Return the hash of each row of the manifest; ``UNKNOWN`` without a receipt that has it."""
    first_row = {(shard.split, shard.index): shard.start for shard in shards}
    hashes: Hashes = np.full(images, UNKNOWN, np.uint64)
    for receipt in receipts:
        found = checksums.from_text(receipt.likenesses)
        start = first_row[receipt.split, receipt.index]
        hashes[start : start + len(found)] = found
    return hashes


def _numbered(contents: checksums.Checksums) -> Positions:
    """Return a number for each image that those with the same bytes share."""
    _, number = np.unique(contents, return_inverse=True)
    unknown = contents == checksums.UNKNOWN
    number[unknown] = len(contents) + np.flatnonzero(unknown)
    return number.astype(np.int64)


class _Finder:
    """Finds the near-duplicates among the images of a manifest."""

    def __init__(
        self,
        manifest: pa.Table,
        classes: Sequence[str],
        images: Mapping[str, int],
        hashes: Hashes,
        contents: Positions,
    ) -> None:
        self._paths = manifest["path"]
        self._classes = classes
        self._splits = tuple(images)
        self._class = manifest["class"].to_numpy()
        self._split = np.repeat(np.arange(len(images)), list(images.values()))
        self._images = images
        self._links = Links.of(hashes, contents)

    def find(self) -> NearCopies:
        links = self._links
        split, class_ = self._split[links.rows], self._labels(links.rows)
        leak, conflict = links.across(split), links.across(class_)
        group = links.groups()
        pair_group = self._group_of_pairs(group)
        in_leak, in_conflict = (
            np.isin(group, pair_group[across]) & (group >= 0) for across in (leak, conflict)
        )
        plain = ~np.isin(pair_group, pair_group[leak | conflict])
        return NearCopies(
            compared=len(links.rows),
            radius=links.pairs.radius,
            crowded=links.crowded,
            rows=[*self._rows(group, in_leak, in_conflict)],
            leaks=self._leaks(split),
            pairs={
                "leak": self._pairs(links.examples(leak, split, _MOST_PAIRS)),
                "conflict": self._pairs(links.examples(conflict, class_, _MOST_PAIRS)),
                "plain": self._pairs(links.examples(plain, None, _MOST_PAIRS)),
            },
        )

    def _labels(self, rows: Positions) -> npt.NDArray[np.int64]:
        """Return the class of each image, and -1 for those without a label."""
        labels: npt.NDArray[np.int64] = self._class[rows].astype(np.int64)
        if UNLABELLED in self._classes:
            labels[labels == self._classes.index(UNLABELLED)] = -1
        return labels

    def _group_of_pairs(self, group: Positions) -> Positions:
        """Return the group of each pair of hashes."""
        of_node = np.full(self._links.nodes, -1, np.int64)
        of_node[self._links.node] = group
        return of_node[self._links.pairs.first]

    def _rows(self, group: Positions, leak: Flags, conflict: Flags) -> Iterator[NearRow]:
        distance, mirrored = self._links.nearest()
        inside = np.flatnonzero(group >= 0)
        for at in inside[np.argsort(group[inside], kind="stable")].tolist():
            image = self._copy(int(self._links.rows[at]))
            yield NearRow(
                int(group[at]) + 1,
                image.path,
                image.class_name,
                image.split,
                distance=int(distance[at]),
                mirrored=bool(mirrored[at]),
                leak=bool(leak[at]),
                conflict=bool(conflict[at]),
            )

    def _leaks(self, split: Positions) -> dict[str, dict[str, int]]:
        """Count the images of each split that look like one of a split trained on before it."""
        order = splits_in_order(self._images)
        leaks: dict[str, dict[str, int]] = {}
        for place, before in enumerate(order):
            like = self._links.like_any(split == self._splits.index(before))
            for after in order[place + 1 :]:
                number = int(np.count_nonzero(like & (split == self._splits.index(after))))
                if number:
                    leaks.setdefault(after, {})[before] = number
        return leaks

    def _pairs(self, pairs: Iterable[Pair]) -> list[NearPair]:
        return [
            NearPair((self._copy(pair.first), self._copy(pair.second)), *pair[2:]) for pair in pairs
        ]

    def _copy(self, row: int) -> Copy:
        return Copy(
            row=row,
            path=os.fsdecode(self._paths[row].as_py()),
            class_name=self._classes[self._class[row]],
            split=self._splits[self._split[row]],
        )


def near_copies_left_out(found: LookAlikes) -> NearCopies:
    """Return the groups of images that look alike of which a plan has left out all but one."""
    groups: dict[NamedImage, list[LeftOut]] = {}
    for image in found.images:
        groups.setdefault(image.kept, []).append(image)
    rows = chain.from_iterable(
        _group_left_out(number, kept, groups[kept]) for number, kept in enumerate(sorted(groups), 1)
    )
    return NearCopies(
        compared=found.compared,
        radius=found.radius,
        crowded=found.crowded,
        rows=tuple(rows),
        leaks={},
        pairs={},
    )


def _group_left_out(number: int, kept: NamedImage, others: Sequence[LeftOut]) -> Iterator[NearRow]:
    members = [kept, *(other.image for other in others)]
    leak = len({image.split for image in members}) > 1
    conflict = len({image.class_name for image in members} - {UNLABELLED}) > 1
    nearest = min((other.distance, other.mirrored) for other in others)
    yield NearRow(number, *kept, *nearest, leak, conflict)
    for other in others:
        how = other.distance, other.mirrored
        yield NearRow(number, *other.image, *how, leak, conflict, dropped=True)
