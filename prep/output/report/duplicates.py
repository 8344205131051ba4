"""Duplicates: images with the same bytes, in a source or in a run; and images that have changed."""

from __future__ import annotations

import itertools
import os
from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from prep.output.receipt import ShardReceipt, of_outcome
from prep.output.report.checksums import (
    UNKNOWN,
    Checksums,
    checksum_images,
    find_identical,
    from_text,
)
from prep.planning.plan import RunPlan
from prep.planning.shards import ShardSpec
from prep.sources.archives.members import contents_of_each
from prep.sources.base import Catalog, ImageEntry, Source
from prep.sources.folders.ignored import Ignored
from prep.sources.folders.names import training_splits
from prep.sources.labels import with_label
from prep.sources.manifest import entries_of
from prep.storage.location import FileChanged


def without_duplicates(
    catalog: Catalog, source: Source, settled: pa.ChunkedArray | None = None
) -> Catalog:
    """Return the catalog of a source with one image of each group of identical ones.

    The one in the smallest split stays: a test image that is among the training images too is one
    that says little, and is worth more than one of many to train on. Within a split, the first by
    path stays.

    Args:
        catalog: the images of a source.
        source: reads them.
        settled: names of images that an output holds, which stay in any case.
    """
    images = catalog.images
    stays = np.zeros(images.num_rows, bool)
    if settled is not None:
        stays = pc.is_in(images["path"], value_set=settled.combine_chunks()).to_numpy()
    split = images["split"].to_numpy()
    likeness = _likeness(images)
    paths = images["path"].to_pylist()
    checksums: Checksums = np.full(len(paths), UNKNOWN, np.uint64)
    alike = np.flatnonzero(_is_repeated(likeness))
    entries = [*entries_of(images.take(alike), catalog.classes)]
    checksums[alike] = checksum_images(source, entries)
    images_in_split = np.bincount(split)
    dropped: list[int] = []
    for group in find_identical(likeness, checksums):
        group.sort(
            key=lambda row: (not stays[row], images_in_split[split[row]], split[row], paths[row])
        )
        dropped += [row for row in group[1:] if not stays[row]]
    if not dropped:
        return catalog
    kept = np.ones(len(paths), bool)
    kept[dropped] = False
    note = Ignored(
        reason="duplicate of another image",
        count=len(dropped),
        example=os.fsdecode(paths[min(dropped)]),
    )
    return replace(catalog, images=images.filter(pa.array(kept)), ignored=(*catalog.ignored, note))


class Copy(NamedTuple):
    """An image of which there are others with the same bytes, and its row of the manifest."""

    row: int
    path: str
    class_name: str
    split: str


@dataclass(frozen=True, slots=True)
class Copies:
    """Images whose files hold the same bytes, in the order of the manifest."""

    images: tuple[Copy, ...]

    @property
    def leak(self) -> bool:
        """True if they lie in more than one split."""
        return len({image.split for image in self.images}) > 1

    @property
    def conflict(self) -> bool:
        """True if they lie in more than one class; those without a label lie in none."""
        return len(with_label({image.class_name for image in self.images})) > 1

    def unlike(self, name: Literal["split", "class_name"]) -> tuple[Copy, Copy]:
        """Return the first image, and the first of another split or class, or else the second."""
        labelled = name == "class_name" and self.conflict
        first, second, *_ = images = [i for i in self.images if i.class_name or not labelled]
        others = (image for image in images if getattr(image, name) != getattr(first, name))
        return first, next(others, second)


def copies_in_run(
    manifest: pa.Table,
    classes: Sequence[str],
    shards: Sequence[ShardSpec],
    receipts: Iterable[ShardReceipt],
) -> list[Copies]:
    """Return images whose files had the same bytes when they were read, in the manifest's order.

    Refused images are left out: they are in no split and in no class.

    Args:
        manifest: all its columns.
        classes: that the manifest numbers.
        shards: of the plan.
    """
    paths = manifest["path"]  # Few are looked up: all of them would take ten times the memory.
    receipts = tuple(receipts)
    checksums = checksums_by_row(len(paths), shards, receipts)
    checksums[_refused_rows(paths, shards, receipts)] = UNKNOWN
    class_ = manifest["class"].to_numpy()
    starts = [shard.start for shard in shards]
    found = [
        Copies(
            tuple(
                Copy(
                    row=row,
                    path=os.fsdecode(paths[row].as_py()),
                    class_name=classes[class_[row]],
                    split=shards[bisect_right(starts, row) - 1].split,
                )
                for row in rows
            )
        )
        for rows in find_identical(_likeness(manifest), checksums)
    ]
    return sorted(found, key=lambda copies: copies.images[0].row)


def summarise_copies(found: Sequence[Copies], images: Mapping[str, int]) -> dict[str, Any]:
    """Return what :class:`prep.output.report.report.RunReport` says of duplicates.

    Args:
        images: planned, by split.
    """
    leaking = [copies for copies in found if copies.leak]
    conflicting = [copies for copies in found if copies.conflict]
    examples = {
        "leak": [image.path for copies in leaking[:1] for image in copies.unlike("split")],
        "conflict": [
            image.path for copies in conflicting[:1] for image in copies.unlike("class_name")
        ],
    }
    return {
        "images": sum(len(copies.images) - 1 for copies in found),
        "across_splits": len(leaking),
        "leaks": _count_leaks(leaking, images),
        "conflicts": len(conflicting),
        "examples": {kind: paths for kind, paths in examples.items() if paths},
    }


def _count_leaks(leaking: Iterable[Copies], images: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """Count the images of each split that are also in a split that one trains on before it."""
    order = splits_in_order(images)
    leaks: dict[str, dict[str, int]] = {}
    for copies in leaking:
        there = Counter(image.split for image in copies.images)
        for before, split in itertools.combinations([s for s in order if s in there], 2):
            of = leaks.setdefault(split, {})
            of[before] = of.get(before, 0) + there[split]
    return leaks


def splits_in_order(images: Mapping[str, int]) -> list[str]:
    """Return splits in the order in which they leak: those trained on, and larger ones, first.

    Args:
        images: planned, by split.

    >>> splits_in_order({"test": 10, "train": 5, "val": 20})
    ['train', 'val', 'test']
    """
    training = training_splits(images)
    return sorted(images, key=lambda split: (split not in training, -images[split]))


def changed_since_written(
    plan: RunPlan, source: Source, receipts: Iterable[ShardReceipt]
) -> list[str]:
    """Return the names of images whose files hold other bytes now than when they were read."""
    then = checksums_by_row(plan.images, plan.shards, receipts)
    rows = np.flatnonzero(then != UNKNOWN)
    entries = [*entries_of(plan.manifest.take(rows), plan.classes)]
    now = checksum_images(source, entries)
    changed = (now != then[rows]) & (now != UNKNOWN)
    for n in np.flatnonzero(now == UNKNOWN).tolist():
        changed[n] = _has_changed(source, entries[n])
    return [entries[n].name for n in np.flatnonzero(changed).tolist()]


def _has_changed(source: Source, entry: ImageEntry) -> bool:
    """Return whether an image can't be read because it is not what was listed."""
    try:
        deque(source.read_in_pieces(entry), maxlen=0)
    except FileChanged:
        return True
    except OSError:
        return False
    return False


def checksums_by_row(
    images: int, shards: Iterable[ShardSpec], receipts: Iterable[ShardReceipt]
) -> Checksums:
    """Return the checksum of each row of the manifest; ``UNKNOWN`` without a receipt of it."""
    first_row = _first_rows(shards)
    checksums: Checksums = np.full(images, UNKNOWN, np.uint64)
    for receipt in receipts:
        found = from_text(receipt.checksums)
        start = first_row[receipt.split, receipt.index]
        checksums[start : start + len(found)] = found
    return checksums


def _refused_rows(
    paths: pa.ChunkedArray, shards: Iterable[ShardSpec], receipts: Iterable[ShardReceipt]
) -> list[int]:
    first_row = _first_rows(shards)
    rows: list[int] = []
    for receipt in receipts:
        refused = {os.fsencode(f.path) for f in of_outcome(receipt.findings, "refused")}
        if refused:
            start = first_row[receipt.split, receipt.index]
            there = paths.slice(start, receipt.images + len(refused)).to_pylist()
            rows += [start + row for row, path in enumerate(there) if path in refused]
    return rows


def _first_rows(shards: Iterable[ShardSpec]) -> dict[tuple[str, int], int]:
    return {(shard.split, shard.index): shard.start for shard in shards}


def _likeness(images: pa.Table) -> npt.NDArray[np.int64]:
    """Return a number for each image that others with the same bytes share.

    It is had without reading them: the size of the file, or the CRC-32 of deflated members, whose
    own size is not in a manifest. Nothing tells if a member is like a file, and nothing is known of
    rows.
    """
    sizes: npt.NDArray[np.int64] = images["size"].to_numpy()
    if "how" not in images.column_names:
        return sizes
    hows = images["how"].cast(pa.binary())
    if pc.any(pc.equal(hows, b"row")).as_py():
        return np.zeros_like(sizes)
    is_deflated = pc.equal(hows, b"deflate")
    if pc.all(is_deflated).as_py():
        return contents_of_each(images["mtime"].to_numpy())
    return np.zeros_like(sizes) if pc.any(is_deflated).as_py() else sizes


def _is_repeated(values: npt.NDArray[np.generic]) -> npt.NDArray[np.bool_]:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    repeated: npt.NDArray[np.bool_] = counts[inverse] > 1
    return repeated
