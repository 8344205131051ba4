"""What is in image files: which are the same byte for byte, and which have changed."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from dask.system import CPU_COUNT

from prep import storage
from prep.catalog import Catalog, Ignored
from prep.checksums import UNKNOWN, Checksums, checksum_of_pieces, from_text
from prep.locations import locate
from prep.planning import RunPlan
from prep.receipts import ShardReceipt
from prep.retries import Retries

S = TypeVar("S")
T = TypeVar("T")

_THREADS_PER_CORE = 4  # Most of the time goes into waiting for a disk.
_PAUSES = (0.1, 0.5, 2.0)  # seconds before a file is tried again
_CHUNK = 64  # files that a thread takes at once


def checksum_files(root: str, paths: Sequence[bytes]) -> Checksums:
    """The checksum of each file; ``UNKNOWN`` where it can't be read.

    Args:
        root: the folder that ``paths`` are relative to.
    """
    folder = os.path.join(os.fsencode(str(locate(root))), b"")

    def checksum_of(path: bytes) -> int:
        def read() -> int:
            return checksum_of_pieces(storage.read_in_pieces(folder + path))

        try:
            return Retries().call(read, _PAUSES)
        except OSError:
            return UNKNOWN

    return np.fromiter(_in_threads(checksum_of, paths), np.uint64, len(paths))


def find_identical(sizes: npt.NDArray[np.int64], checksums: Checksums) -> list[list[int]]:
    """Rows of files with the same bytes, in groups of two and more, each in ascending order.

    >>> find_identical(np.array([3, 5, 3, 3]), np.array([7, 7, 7, 8], np.uint64))
    [[0, 2]]
    """
    known = np.flatnonzero(checksums != UNKNOWN)
    order = known[np.lexsort((known, sizes[known], checksums[known]))]
    differs = (np.diff(checksums[order]) != 0) | (np.diff(sizes[order]) != 0)
    starts = np.concatenate([[0], np.flatnonzero(differs) + 1])
    stops = np.append(starts[1:], len(order))
    large = stops - starts > 1  # Few, of what may be millions.
    return [
        order[start:stop].tolist()
        for start, stop in zip(starts[large].tolist(), stops[large].tolist(), strict=True)
    ]


def without_duplicates(catalog: Catalog) -> Catalog:
    """The same catalog with one image of each group of identical ones.

    The one in the smallest split stays: a test image that is among the training images too is one
    that says little, and is worth more than one of many to train on. Within a split, the first by
    path stays.
    """
    images = catalog.images
    split = images["split"].to_numpy()
    sizes = images["size"].to_numpy()
    paths = images["path"].to_pylist()
    checksums: Checksums = np.full(len(paths), UNKNOWN, np.uint64)
    alike = np.flatnonzero(_is_repeated(sizes))
    checksums[alike] = checksum_files(catalog.root, [paths[row] for row in alike.tolist()])
    images_in_split = np.bincount(split)
    dropped: list[int] = []
    for group in find_identical(sizes, checksums):
        group.sort(key=lambda row: (images_in_split[split[row]], split[row], paths[row]))
        dropped += group[1:]
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


class Duplicate(NamedTuple):
    """An image of which there are others with the same bytes: those of the same ``group``."""

    group: int
    path: str
    class_name: str
    split: str


def duplicates_in_run(plan: RunPlan, receipts: Iterable[ShardReceipt]) -> list[Duplicate]:
    """Images whose files had the same bytes when they were read, group by group."""
    paths = plan.manifest["path"]  # Few are looked up: all of them would take ten times the memory.
    sizes = plan.manifest["size"].to_numpy()
    checksums = _checksums_by_row(plan, receipts)
    class_ = plan.manifest["class"].to_numpy()
    starts = [shard.start for shard in plan.shards]
    return [
        Duplicate(
            group=number,
            path=os.fsdecode(paths[row].as_py()),
            class_name=plan.classes[class_[row]],
            split=plan.shards[bisect_right(starts, row) - 1].split,
        )
        for number, rows in enumerate(find_identical(sizes, checksums), 1)
        for row in rows
    ]


def count_duplicates(duplicates: Iterable[Duplicate]) -> dict[str, int]:
    """How many ``images`` are copies of one before, and how many groups lie ``across_splits``."""
    splits: defaultdict[int, list[str]] = defaultdict(list)
    for duplicate in duplicates:
        splits[duplicate.group].append(duplicate.split)
    return {
        "images": sum(len(found) - 1 for found in splits.values()),
        "across_splits": sum(len(set(found)) > 1 for found in splits.values()),
    }


def changed_since_written(plan: RunPlan, receipts: Iterable[ShardReceipt]) -> list[str]:
    """Paths of images whose files hold other bytes now than when they were read."""
    paths = plan.manifest["path"].to_pylist()
    then = _checksums_by_row(plan, receipts)
    rows = np.flatnonzero(then != UNKNOWN)
    now = checksum_files(plan.source, [paths[row] for row in rows.tolist()])
    changed = (now != then[rows]) & (now != UNKNOWN)
    return [os.fsdecode(paths[row]) for row in rows[changed].tolist()]


def _checksums_by_row(plan: RunPlan, receipts: Iterable[ShardReceipt]) -> Checksums:
    """What the receipts tell of each row of the manifest; ``UNKNOWN`` for other shards' rows."""
    first_row = {(shard.split, shard.index): shard.start for shard in plan.shards}
    checksums: Checksums = np.full(plan.images, UNKNOWN, np.uint64)
    for receipt in receipts:
        found = from_text(receipt.checksums)
        start = first_row[receipt.split, receipt.index]
        checksums[start : start + len(found)] = found
    return checksums


def _is_repeated(values: npt.NDArray[np.generic]) -> npt.NDArray[np.bool_]:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    repeated: npt.NDArray[np.bool_] = counts[inverse] > 1
    return repeated


def _in_threads(function: Callable[[S], T], items: Sequence[S]) -> Iterator[T]:
    chunks = [items[at : at + _CHUNK] for at in range(0, len(items), _CHUNK)]
    with ThreadPoolExecutor(CPU_COUNT * _THREADS_PER_CORE) as pool:
        for results in pool.map(lambda chunk: [function(item) for item in chunk], chunks):
            yield from results
