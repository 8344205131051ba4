"""Find all hashes within a distance of each other, without comparing each with each.

Multi-index hashing: Norouzi, Punjani and Fleet (2012), "Fast Search in Hamming Space with
Multi-Index Hashing". Hashes are cut into four chunks of 16 bits. If two hashes differ in at most
``4 r + a`` bits, they differ in at most r bits in one of the first a + 1 chunks, or in at most
r - 1 in one of the others. So each hash is only compared with those whose chunks are that near.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from prep.images.likeness.hashing import MIRROR, Hashes

Positions = npt.NDArray[np.int64]

_CHUNKS, _CHUNK_BITS = 4, 16
# Hashes in a bucket, on average. With fewer, visiting a bucket costs more than its comparisons.
_IN_BUCKET = 16
_BLOCK = 1 << 17  # comparisons at once: 1 MiB
_COMPARISONS = 50_000_000_000  # at 1 to 3 ns
#: The number of bits in which hashes of images that look alike may differ.
RADIUS = 10
_RADII = (RADIUS, 8, 6, 4, 2, 0)


class Neighbours(NamedTuple):
    """Pairs of hashes that are near each other.

    Attributes:
        first, second: int64 (pairs,), positions of the hashes; ``first`` is smaller.
        distance: uint8 (pairs,), the number of bits in which they differ.
        mirrored: bool (pairs,), whether one had to be mirrored for that.
        radius: the largest distance that was looked for.
    """

    first: Positions
    second: Positions
    distance: npt.NDArray[np.uint8]
    mirrored: npt.NDArray[np.bool_]
    radius: int


def find_neighbours(hashes: Hashes, radius: int = RADIUS) -> Neighbours:
    """Find all pairs of hashes that differ in at most ``radius`` bits, mirrored or not.

    If there are too many such pairs, or it would take too many comparisons, the radius is reduced
    until there are not. That depends on the hashes alone.

    Args:
        hashes: uint64, no two of them equal.
    """
    most = 2 * len(hashes) + 500_000
    for smaller in (r for r in (radius, *_RADII) if r <= radius):
        found = _Search(hashes, smaller).pairs(most)
        if found is not None:
            return found
    nothing = np.zeros(0, np.int64)
    return Neighbours(nothing, nothing, nothing.astype(np.uint8), nothing.astype(bool), 0)


class _Search:
    """A search within one radius."""

    def __init__(self, hashes: Hashes, radius: int) -> None:
        self._radius = radius
        most_bits = max(len(hashes) // _IN_BUCKET, 1).bit_length() - 1
        self._bits = min(most_bits, _CHUNK_BITS)
        self._tables = [
            _Table(hashes, chunk, self._bits, chunk_radius)
            for chunk in range(_CHUNKS)
            if (chunk_radius := _chunk_radius(radius, chunk)) >= 0
        ]

    def pairs(self, most: int) -> Neighbours | None:
        """Return all pairs; None if there are more than ``most``, or they take too long."""
        if sum(table.comparisons() for table in self._tables) > _COMPARISONS:
            return None
        found = [np.zeros((4, 0), np.int64)]
        limit = _Limit(_CHUNKS * most)  # Each chunk may find a pair.
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for table in self._tables:
                search = partial(table.search, self._radius, limit)
                found += pool.map(search, table.parts())
        if limit.passed:
            return None
        return _distinct(np.concatenate(found, axis=1), self._radius, most)


class _Limit:
    """Counts what threads find together, so that all of them stop at a limit."""

    def __init__(self, most: int) -> None:
        self._left = most
        self._lock = threading.Lock()

    @property
    def passed(self) -> bool:
        return self._left < 0

    def add(self, number: int) -> None:
        with self._lock:
            self._left -= number


def _chunk_radius(radius: int, chunk: int) -> int:
    """Return in how many bits a chunk may differ; -1 if it need not be looked at."""
    least, rest = divmod(radius, _CHUNKS)
    return least if chunk <= rest else least - 1


class _Table:
    """Hashes in buckets by the first bits of one chunk."""

    def __init__(self, hashes: Hashes, chunk: int, bits: int, radius: int) -> None:
        self._shift = np.uint64(_CHUNK_BITS * (_CHUNKS - chunk) - bits)
        self._mask = np.uint64((1 << bits) - 1)
        keys = self._key(hashes)
        self._order = np.argsort(keys, kind="stable")
        self._hashes = hashes[self._order]
        self._counts = np.bincount(keys, minlength=1 << bits)
        self._starts = np.cumsum(self._counts) - self._counts
        flips = [
            sum(1 << bit for bit in of)
            for n in range(min(radius, bits) + 1)
            for of in itertools.combinations(range(bits), n)
        ]
        self._flips = np.array(flips, np.int64)
        self._mirrored_flips = self._flips ^ self._key(np.array([MIRROR], np.uint64))

    def _key(self, hashes: npt.NDArray[np.uint64]) -> Positions:
        return (hashes >> self._shift & self._mask).astype(np.int64)

    def comparisons(self) -> int:
        """Return how many comparisons a search makes."""
        buckets = np.arange(len(self._counts))
        counts = self._counts.astype(np.float64)
        flips = (*self._flips, *self._mirrored_flips)
        return int(sum(counts @ counts[buckets ^ flip] for flip in flips)) // 2

    def parts(self) -> list[Positions]:
        """Return the buckets that hold any hash, in parts that can be searched at once."""
        used = np.flatnonzero(self._counts)
        return np.array_split(used, max(len(used) // 256, 1))

    def search(self, radius: int, limit: _Limit, buckets: Positions) -> Positions:
        """Return the pairs of which one hash is in these buckets, and the other in no earlier one.

        Returns:
            int64 (4, pairs): first, second, distance, mirrored.
        """
        found = [np.zeros((4, 0), np.int64)]
        for bucket in buckets.tolist():
            for near in self._compare(bucket, radius):
                if limit.passed:
                    break
                found.append(near)
                limit.add(near.shape[1])
        pairs = np.concatenate(found, axis=1)
        pairs[:2] = self._order[pairs[:2]]
        pairs[:2].sort(axis=0)
        return pairs

    def _compare(self, bucket: int, radius: int) -> Iterator[Positions]:
        """Yield the near pairs of a bucket with hashes that come later, as :meth:`search`."""
        start, count = int(self._starts[bucket]), int(self._counts[bucket])
        direct, mirrored = self._flips ^ bucket, self._mirrored_flips ^ bucket
        direct, mirrored = direct[direct >= bucket], mirrored[mirrored >= bucket]
        columns = _ranges(self._starts, self._counts, np.concatenate([direct, mirrored]))
        if not len(columns):
            return
        plain = int(self._counts[direct].sum())
        others = self._hashes[columns]
        others[plain:] ^= np.uint64(MIRROR)
        at_once = max(_BLOCK // len(columns), 1)
        for row in range(start, start + count, at_once):
            rows = self._hashes[row : min(row + at_once, start + count)]
            distances = np.bitwise_count(rows[:, None] ^ others)
            near = np.flatnonzero(distances <= radius)  # 20 times as fast as in two dimensions
            if len(near):
                first, column = np.divmod(near, len(columns))
                first, second = first + row, columns[column]
                later = second > first
                pairs = np.stack([first, second, distances.ravel()[near], column >= plain])
                yield pairs[:, later]


def _ranges(starts: Positions, counts: Positions, buckets: Positions) -> Positions:
    """Return the positions of all hashes in some buckets."""
    sizes = counts[buckets]
    ends = np.cumsum(sizes)
    offsets = starts[buckets] - ends + sizes
    positions: Positions = np.repeat(offsets, sizes) + np.arange(ends[-1] if len(ends) else 0)
    return positions


def _distinct(pairs: Positions, radius: int, most: int) -> Neighbours | None:
    """Return each pair once, at its smaller distance; None if there are more than ``most``."""
    first, second, distance, mirrored = pairs
    order = np.lexsort((mirrored, distance, second, first))
    first, second = first[order], second[order]
    new = np.ones(len(order), bool)
    new[1:] = (np.diff(first) != 0) | (np.diff(second) != 0)
    if np.count_nonzero(new) > most:
        return None
    kept = order[new]
    return Neighbours(
        first[new],
        second[new],
        distance[kept].astype(np.uint8),
        mirrored[kept].astype(bool),
        radius,
    )
