"""Hashes in buckets by the first bits of one of their chunks, and what is near them there."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from prep.images.likeness.hashing import MIRROR, Hashes, Positions

#: A hash is cut into so many chunks of so many bits.
CHUNKS, CHUNK_BITS = 4, 16
_BLOCK = 1 << 17  # comparisons at once: 1 MiB


class PairLimit:
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


class Degrees:
    """Counts for each hash how many others threads find near it."""

    def __init__(self, number: int) -> None:
        self.found = np.zeros(number, np.int64)
        self._lock = threading.Lock()

    def add(self, positions: Positions, numbers: Positions) -> None:
        with self._lock:
            np.add.at(self.found, positions, numbers)


class ChunkTable:
    """Hashes in buckets by the first bits of one chunk."""

    def __init__(self, hashes: Hashes, chunk: int, bits: int, radius: int) -> None:
        self._shift = np.uint64(CHUNK_BITS * (CHUNKS - chunk) - bits)
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
        return int(self._counts @ self._candidates()) // 2

    def candidates(self) -> Positions:
        """Return for each hash how many are in buckets that are near its own."""
        found = np.empty(len(self._order), np.int64)
        found[self._order] = np.repeat(self._candidates(), self._counts)
        return found

    def _candidates(self) -> Positions:
        """Return for each bucket how many hashes are in buckets near it."""
        buckets = np.arange(len(self._counts))
        flips = (*self._flips, *self._mirrored_flips)
        found: Positions = np.sum([self._counts[buckets ^ flip] for flip in flips], axis=0)
        return found

    def parts(self) -> list[Positions]:
        """Return the buckets that hold any hash, in parts that can be searched at once."""
        used = np.flatnonzero(self._counts)
        return np.array_split(used, max(len(used) // 256, 1))

    def search(self, radius: int, limit: PairLimit, buckets: Positions) -> Positions:
        """Return the pairs of which one hash is in these buckets, and the other in no earlier one.

        Returns:
            int64 (4, pairs): first, second, distance, mirrored.
        """
        found = [np.zeros((4, 0), np.int64)]
        for bucket in buckets.tolist():
            for near in self._near(bucket, radius):
                if limit.passed:
                    break
                found.append(near)
                limit.add(near.shape[1])
        pairs = np.concatenate(found, axis=1)
        pairs[:2] = self._order[pairs[:2]]
        pairs[:2].sort(axis=0)
        return pairs

    def count(self, radius: int, degrees: Degrees, buckets: Positions) -> None:
        """Count for each hash those near it of which one is in these buckets."""
        for bucket in buckets.tolist():
            for block in self._compare(bucket):
                near = block.distances <= radius
                of_rows, of_columns = (np.count_nonzero(near, axis=axis) for axis in (1, 0))
                rows = block.start + np.arange(len(of_rows))
                columns = np.flatnonzero(of_columns)
                degrees.add(self._order[rows], of_rows)
                degrees.add(self._order[block.columns[columns]], of_columns[columns])

    def _near(self, bucket: int, radius: int) -> Iterator[Positions]:
        """Yield the near pairs of a bucket with hashes that come later, as :meth:`search`."""
        for block in self._compare(bucket):
            near = np.flatnonzero(block.distances <= radius)  # 20 times as fast as in 2 dimensions
            if len(near):
                first, column = np.divmod(near, len(block.columns))
                first, second = first + block.start, block.columns[column]
                distance = block.distances.ravel()[near]
                pairs = np.stack([first, second, distance, column >= block.plain])
                yield pairs[:, second > first]

    def _compare(self, bucket: int) -> Iterator[DistanceBlock]:
        """Compare the hashes of a bucket with those in the same one and in later ones near it."""
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
            yield DistanceBlock(row, columns, plain, np.bitwise_count(rows[:, None] ^ others))


class DistanceBlock(NamedTuple):
    """Distances of hashes in a row of a table to some others.

    Attributes:
        start: place of the first of them in the table.
        columns: places of the others.
        plain: how many of these are compared as they are; the rest is mirrored.
        distances: uint8 (rows, columns).
    """

    start: int
    columns: Positions
    plain: int
    distances: npt.NDArray[np.uint8]


def _ranges(starts: Positions, counts: Positions, buckets: Positions) -> Positions:
    """Return the positions of all hashes in some buckets."""
    sizes = counts[buckets]
    ends = np.cumsum(sizes)
    offsets = starts[buckets] - ends + sizes
    positions: Positions = np.repeat(offsets, sizes) + np.arange(ends[-1] if len(ends) else 0)
    return positions
