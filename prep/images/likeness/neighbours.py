"""Find all hashes within a distance of each other, without comparing each with each.

Multi-index hashing: Norouzi, Punjani and Fleet (2012), "Fast Search in Hamming Space with
Multi-Index Hashing". Hashes are cut into four chunks of 16 bits. If two hashes differ in at most
``4 r + a`` bits, they differ in at most r bits in one of the first a + 1 chunks, or in at most
r - 1 in one of the others. So each hash is only compared with those whose chunks are that near.

Where very many hashes are near each other, their pairs are too many to list. Then such hashes are
gathered into clumps, see :mod:`prep.images.likeness.clumps`, of which some take part in the search.
"""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from prep.images.likeness.buckets import CHUNK_BITS, CHUNKS, ChunkTable, Degrees, PairLimit
from prep.images.likeness.clumps import find_clumps, links_within, representatives
from prep.images.likeness.hashing import Hashes, Positions

# Hashes in a bucket, on average. With fewer, visiting a bucket costs more than its comparisons.
_IN_BUCKET = 16
_COMPARISONS = 50_000_000_000  # at 1 to 3 ns
#: The number of bits in which hashes of images that look alike may differ.
RADIUS = 10
_RADII = (8, 6, 4, 2, 0)
# How many hashes may be near one that is not crowded, the first that leaves few enough pairs.
_CROWDS = (100, 50, 25, 12, 6)


class Neighbours(NamedTuple):
    """Pairs of hashes that are near each other.

    Attributes:
        first, second: int64 (pairs,), positions of the hashes; ``first`` is smaller.
        distance: uint8 (pairs,), the number of bits in which they differ.
        mirrored: bool (pairs,), whether one had to be mirrored for that.
        radius: the largest distance that was looked for.
        clump: int64 (hashes,), the number of the clump that a hash is in; -1 for none. Any two
            hashes of a clump are near each other; ``pairs`` has those with the first of them, and
            a few others.
        crowded: bool (hashes,), those that are near so many others that only some of these pairs
            are found. All pairs of others are.
    """

    first: Positions
    second: Positions
    distance: npt.NDArray[np.uint8]
    mirrored: npt.NDArray[np.bool_]
    radius: int
    clump: Positions
    crowded: npt.NDArray[np.bool_]


class _Near(NamedTuple):
    """Pairs as in :class:`Neighbours`, sorted, each of them once."""

    first: Positions
    second: Positions
    distance: npt.NDArray[np.uint8]
    mirrored: npt.NDArray[np.bool_]


def find_neighbours(hashes: Hashes, radius: int = RADIUS) -> Neighbours:
    """Find all pairs of hashes that differ in at most ``radius`` bits, mirrored or not.

    If there are too many such pairs, or it would take too many comparisons, not all pairs of hashes
    that are crowded are found. Among more than two million hashes, or if that does not suffice, the
    radius is reduced. Both depend on the hashes alone.

    Args:
        hashes: uint64, no two of them equal.
    """
    radius = _affordable(len(hashes), radius)
    most = 4 * len(hashes) + 500_000
    near = _Search(hashes, radius).pairs(most)
    if near is not None:
        nowhere = np.full(len(hashes), -1, np.int64)
        return Neighbours(*near, radius, nowhere, np.zeros(len(hashes), bool))
    crowding = _crowding(hashes, radius)
    order = np.argsort(-crowding, kind="stable")
    crowded = _are_crowded(crowding, most)
    clump = find_clumps(hashes, order[: np.count_nonzero(crowded)], radius)
    near, reached = _search_within(hashes, representatives(clump), radius, most)
    found = [links_within(hashes, clump), np.stack(near, dtype=np.int64)]
    if reached < radius:
        near, reached = _search_within(hashes, np.flatnonzero(~crowded), radius, most)
        found.append(np.stack(near, dtype=np.int64))
    return Neighbours(*_distinct(np.concatenate(found, axis=1)), reached, clump, crowded)


def _search_within(hashes: Hashes, chosen: Positions, radius: int, most: int) -> tuple[_Near, int]:
    """Return the pairs of those chosen, and the radius for which these are not too many."""
    for smaller in (radius, *(r for r in _RADII if r < radius)):
        near = _Search(hashes[chosen], smaller).pairs(most)
        if near is not None:
            return near._replace(first=chosen[near.first], second=chosen[near.second]), smaller
    return _distinct(np.zeros((4, 0), np.int64)), 0


def _are_crowded(crowding: Positions, most: int) -> npt.NDArray[np.bool_]:
    """Return which hashes are near so many that all others have no more than ``most`` pairs."""
    for crowd in _CROWDS:
        crowded: npt.NDArray[np.bool_] = crowding > crowd
        if crowding[~crowded].sum() <= 2 * most:
            break
    return crowded


def _crowding(hashes: Hashes, radius: int) -> Positions:
    """Return how crowded each hash is: about how many others are near it.

    Where it would take too long to count these, it is the number of those with similar chunks.
    """
    candidates = _Search(hashes, radius).candidates()
    enough = 2 * _if_spread_evenly(len(hashes), radius)
    most = len(hashes)
    while True:
        few = np.flatnonzero(candidates <= most)
        search = _Search(hashes[few], radius)
        if search.comparisons() <= enough:
            crowding = candidates + max(_CROWDS)
            crowding[few] = search.degrees()
            return crowding
        most //= 2


def _affordable(number: int, radius: int) -> int:
    """Return the largest radius within which this many hashes can be compared, evenly spread."""
    for smaller in (radius, *(r for r in _RADII if r < radius)):
        if _if_spread_evenly(number, smaller) <= _COMPARISONS:
            return smaller
    return 0


def _if_spread_evenly(number: int, radius: int) -> int:
    """Return how many comparisons a search makes if no hash is near more others than another."""
    bits = _bits(number)
    buckets = sum(
        math.comb(bits, flipped)
        for chunk in range(CHUNKS)
        for flipped in range(_chunk_radius(radius, chunk) + 1)
    )
    return number * buckets * (number >> bits)


def _bits(number: int) -> int:
    """Return by how many bits of a chunk to sort this many hashes into buckets."""
    return min(max(number // _IN_BUCKET, 1).bit_length() - 1, CHUNK_BITS)


class _Search:
    """A search within one radius."""

    def __init__(self, hashes: Hashes, radius: int) -> None:
        self._radius, self._number = radius, len(hashes)
        self._bits = _bits(len(hashes))
        self._tables = [
            ChunkTable(hashes, chunk, self._bits, chunk_radius)
            for chunk in range(CHUNKS)
            if (chunk_radius := _chunk_radius(radius, chunk)) >= 0
        ]

    def comparisons(self) -> int:
        """Return how many comparisons a search makes."""
        return sum(table.comparisons() for table in self._tables)

    def pairs(self, most: int) -> _Near | None:
        """Return all pairs; None if there are more than ``most``, or they take too long."""
        if self.comparisons() > _COMPARISONS:
            return None
        found = [np.zeros((4, 0), np.int64)]
        limit = PairLimit(CHUNKS * most)  # Each chunk may find a pair.
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for table in self._tables:
                search = partial(table.search, self._radius, limit)
                found += pool.map(search, table.parts())
        if limit.passed:
            return None
        near = _distinct(np.concatenate(found, axis=1))
        return near if len(near.first) <= most else None

    def degrees(self) -> Positions:
        """Return for each hash how many others one table finds near it, the one that finds most."""
        most = np.zeros(self._number, np.int64)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for table in self._tables:
                degrees = Degrees(self._number)
                for _ in pool.map(partial(table.count, self._radius, degrees), table.parts()):
                    pass
                np.maximum(most, degrees.found, out=most)
        return most

    def candidates(self) -> Positions:
        """Return for each hash with how many it is compared, in the table with fewest of them."""
        fewest: Positions = np.min([table.candidates() for table in self._tables], axis=0)
        return fewest


def _chunk_radius(radius: int, chunk: int) -> int:
    """Return in how many bits a chunk may differ; -1 if it need not be looked at."""
    least, rest = divmod(radius, CHUNKS)
    return least if chunk <= rest else least - 1


def _distinct(pairs: Positions) -> _Near:
    """Return each pair once, at its smaller distance."""
    first, second, distance, mirrored = pairs
    order = np.lexsort((mirrored, distance, second, first))
    first, second = first[order], second[order]
    new = np.ones(len(order), bool)
    new[1:] = (np.diff(first) != 0) | (np.diff(second) != 0)
    kept = order[new]
    return _Near(
        first[new], second[new], distance[kept].astype(np.uint8), mirrored[kept].astype(bool)
    )
