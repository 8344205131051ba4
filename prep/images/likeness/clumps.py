"""Clumps: sets of very many hashes of which any two are near each other.

Pairs within a clump need not be listed. A clump is a ball around some word: if two hashes are
within half a distance of that word, they are within the distance of each other.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from prep.images.likeness.hashing import BITS, MIRROR, Hashes, Positions

_FEWEST = 4  # hashes that are worth a clump
_REPRESENTATIVES = 4  # hashes of each clump that are compared with those outside
_AVERAGED = 4096  # hashes that decide where the middle of a clump is
_COMPARISONS = 5_000_000_000


def find_clumps(hashes: Hashes, crowded: Positions, radius: int) -> Positions:
    """Gather hashes into clumps.

    Args:
        hashes: uint64, no two of them equal.
        crowded: positions of those to gather, those with the most others near them first.
        radius: the largest distance of any two hashes of a clump, mirrored or not.

    Returns:
        int64 (hashes,): the number of the clump of each; -1 for none.
    """
    clump = np.full(len(hashes), -1, np.int64)
    left, number, budget = crowded, 0, _COMPARISONS
    while len(left) and budget > 0:
        values = hashes[left]
        budget -= 2 * len(left)
        distance, _ = distances(values, _middle(values, radius))
        inside = distance <= radius // 2
        if np.count_nonzero(inside) >= _FEWEST:
            clump[left[inside]] = number
            number += 1
            inside[0] = True  # The first one is done, inside or not.
            left = left[~inside]
        else:
            left = left[1:]
    return clump


def representatives(clump: Positions) -> Positions:
    """Return the positions of the hashes to compare with all others.

    These are all that are in no clump, and some of each clump, the first one included.
    """
    order = np.argsort(clump, kind="stable")
    inside = order[np.searchsorted(clump[order], 0) :]
    _, starts, sizes = np.unique(clump[inside], return_index=True, return_counts=True)
    rank = np.arange(len(inside)) - np.repeat(starts, sizes)
    step = np.repeat(-(-sizes // _REPRESENTATIVES), sizes)
    return np.sort(np.concatenate([np.flatnonzero(clump < 0), inside[rank % step == 0]]))


def links_within(hashes: Hashes, clump: Positions) -> Positions:
    """Return the pairs of the first hash of each clump with each other of it.

    Returns:
        int64 (4, pairs): first, second, distance, mirrored.
    """
    inside = np.flatnonzero(clump >= 0)
    _, first, number = np.unique(clump[inside], return_index=True, return_inverse=True)
    hub = inside[first][number]
    others = hub != inside
    distance, mirrored = distances(hashes[inside], hashes[hub])
    return np.stack([hub, inside, distance, mirrored]).astype(np.int64)[:, others]


def distances(
    hashes: Hashes, others: Hashes | np.uint64
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """Return in how many bits hashes differ, and whether one had to be mirrored for that."""
    direct = np.bitwise_count(hashes ^ others)
    turned = np.bitwise_count(hashes ^ others ^ np.uint64(MIRROR))
    return np.minimum(direct, turned), turned < direct


def _middle(hashes: Hashes, radius: int) -> np.uint64:
    """Return the word of which each bit is that of most hashes near the first one."""
    distance, mirrored = distances(hashes, hashes[0])
    near = np.flatnonzero(distance <= radius)[:_AVERAGED]
    upright = np.where(mirrored[near], hashes[near] ^ np.uint64(MIRROR), hashes[near])
    bits = np.unpackbits(upright.astype(">u8").view(np.uint8).reshape(-1, BITS // 8), axis=1)
    most = bits.sum(axis=0, dtype=np.int64) * 2 > len(near)
    return np.uint64(int.from_bytes(np.packbits(most).tobytes()))
