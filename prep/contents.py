"""What is in image files: which are the same byte for byte, and which have changed.

CRC-32C and size together tell files apart well enough to find candidates (in one of a thousand sets
of a million files, a pair has both in common by chance); a cryptographic digest then confirms.
"""

from __future__ import annotations

import hashlib
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
from prep.planning import RunPlan
from prep.receipts import ShardReceipt
from prep.records import crc32c

S = TypeVar("S")
T = TypeVar("T")
Checksums = npt.NDArray[np.uint32]

_THREADS_PER_CORE = 4  # Most of the time goes into waiting for a disk.
_CHUNK = 64  # files that a thread takes at once
#: The checksum of what could not be read. No use is made of files that have it by chance.
UNKNOWN = 0


def checksum_files(root: str, paths: Sequence[bytes]) -> Checksums:
    """CRC-32C of each file; ``UNKNOWN`` where it can't be read.

    Args:
        root: the folder that ``paths`` are relative to.
    """

    def checksum(path: bytes) -> int:
        try:
            return crc32c(_read(root, path))
        except OSError:
            return UNKNOWN

    return np.fromiter(_in_threads(checksum, paths), np.uint32, len(paths))


def find_identical(
    root: str, paths: Sequence[bytes], sizes: npt.NDArray[np.int64], checksums: Checksums
) -> list[list[int]]:
    """Rows of files with the same bytes, in groups of two and more, each in ascending order.

    Args:
        sizes: in bytes; of files that are still as they were when ``checksums`` were taken.
    """
    keys = sizes.astype(np.uint64) << np.uint64(32) | checksums
    candidates = np.flatnonzero(_is_repeated(keys) & (checksums != UNKNOWN)).tolist()
    by_digest: defaultdict[bytes, list[int]] = defaultdict(list)

    def digest(row: int) -> bytes:
        try:
            return hashlib.sha256(_read(root, paths[row])).digest()
        except OSError:
            return b""

    for row, found in zip(candidates, _in_threads(digest, candidates), strict=True):
        by_digest[found].append(row)
    return [rows for found, rows in by_digest.items() if found and len(rows) > 1]


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
    checksums = np.zeros(len(paths), np.uint32)
    alike = np.flatnonzero(_is_repeated(sizes))
    checksums[alike] = checksum_files(catalog.root, [paths[row] for row in alike.tolist()])
    images_in_split = np.bincount(split)
    dropped: list[int] = []
    for group in find_identical(catalog.root, paths, sizes, checksums):
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
    paths = plan.manifest["path"].to_pylist()
    sizes = plan.manifest["size"].to_numpy()
    checksums = _checksums_by_row(plan, receipts)
    class_ = plan.manifest["class"].to_numpy()
    starts = [shard.start for shard in plan.shards]
    return [
        Duplicate(
            group=number,
            path=os.fsdecode(paths[row]),
            class_name=plan.classes[class_[row]],
            split=plan.shards[bisect_right(starts, row) - 1].split,
        )
        for number, rows in enumerate(find_identical(plan.source, paths, sizes, checksums), 1)
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
    return [os.fsdecode(paths[row]) for row in rows[now != then[rows]].tolist()]


def _checksums_by_row(plan: RunPlan, receipts: Iterable[ShardReceipt]) -> Checksums:
    """What the receipts tell of each row of the manifest; ``UNKNOWN`` for other shards' rows."""
    first_row = {(shard.split, shard.index): shard.start for shard in plan.shards}
    checksums: Checksums = np.full(plan.images, UNKNOWN, np.uint32)
    for receipt in receipts:
        found = np.frombuffer(bytes.fromhex(receipt.checksums), ">u4")
        start = first_row[receipt.split, receipt.index]
        checksums[start : start + len(found)] = found
    return checksums


def _is_repeated(values: npt.NDArray[np.generic]) -> npt.NDArray[np.bool_]:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    repeated: npt.NDArray[np.bool_] = counts[inverse] > 1
    return repeated


def _read(root: str, path: bytes) -> bytes:
    return storage.read_file(os.path.join(os.fsencode(root), path))


def _in_threads(function: Callable[[S], T], items: Sequence[S]) -> Iterator[T]:
    chunks = [items[at : at + _CHUNK] for at in range(0, len(items), _CHUNK)]
    with ThreadPoolExecutor(CPU_COUNT * _THREADS_PER_CORE) as pool:
        for results in pool.map(lambda chunk: [function(item) for item in chunk], chunks):
            yield from results
