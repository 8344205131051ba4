"""Groups of images that look alike, from their hashes, and which to keep of each."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from prep.images.likeness.clumps import distances
from prep.images.likeness.hashing import UNKNOWN, Hashes, Positions
from prep.images.likeness.neighbours import Neighbours, find_neighbours

Numbers = npt.NDArray[np.integer[Any]]
Flags = npt.NDArray[np.bool_]

_NONE = np.iinfo(np.int64).max


class Pair(NamedTuple):
    """Two images that look alike.

    Attributes:
        first, second: their rows.
        distance: number of bits in which their hashes differ.
        mirrored: whether one had to be mirrored for that.
    """

    first: int
    second: int
    distance: int
    mirrored: bool


class Redundant(NamedTuple):
    """An image to leave out.

    Attributes:
        row: its row.
        kept: the row of the image that is kept instead.
        distance, mirrored: how near the two are; see :class:`Pair`.
    """

    row: int
    kept: int
    distance: int
    mirrored: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """Pairs of hashes of images that look alike; a pair of the same hash twice is one, too.

    Images with the same hash and other contents are such a pair. Images with the same contents are
    not: they are duplicates.

    Attributes:
        rows: int64, the images that were hashed.
        node: int64, for each of them the position of its hash among all different hashes.
        values: uint64 (nodes,), the different hashes.
        sole: int64 (nodes,), the contents of all images with this hash; -1 if these differ.
        contents: int64, for each of ``rows``.
        pairs: the links, with ``first`` and ``second`` from 0 to ``nodes`` - 1.
    """

    rows: Positions
    node: Positions
    values: Hashes
    sole: Positions
    contents: Positions
    pairs: Neighbours

    @classmethod
    def of(cls, hashes: Hashes, contents: Positions | None = None) -> Links:
        """Find the links between images.

        Args:
            hashes: uint64 (images,); those that are ``UNKNOWN`` are like no other.
            contents: int64 (images,), equal for images with the same bytes; if None, all differ.
        """
        rows = np.flatnonzero(hashes != UNKNOWN)
        values, node = np.unique(hashes[rows], return_inverse=True)
        of_rows = rows if contents is None else contents[rows]
        lowest, highest = _extremes(node, len(values), of_rows)
        several = np.flatnonzero(lowest != highest)
        found = find_neighbours(values)
        zeros = np.zeros(len(several), np.uint8)
        pairs = Neighbours(
            np.concatenate([several, found.first]),
            np.concatenate([several, found.second]),
            np.concatenate([zeros, found.distance]),
            np.concatenate([zeros.astype(bool), found.mirrored]),
            found.radius,
            found.clump,
            found.crowded,
        )
        return cls(
            rows=rows,
            node=node,
            values=values,
            sole=np.where(lowest == highest, lowest, -1),
            contents=of_rows,
            pairs=pairs,
        )

    @property
    def nodes(self) -> int:
        """The number of different hashes."""
        return len(self.values)

    @property
    def crowded(self) -> int:
        """The number of images that look like so many that they were compared with some only."""
        return int(np.count_nonzero(self.pairs.crowded[self.node]))

    def groups(self) -> Positions:
        """Return numbers of groups: one for all images that are linked, maybe by way of others.

        Returns:
            int64 (rows,): counted from 0 in the order of the first row of each; -1 for images that
            are like no other.
        """
        label = _components(self.nodes, self.pairs.first, self.pairs.second)
        linked = np.zeros(self.nodes, bool)
        linked[self.pairs.first] = linked[self.pairs.second] = True
        number = np.full(len(self.rows), -1, np.int64)
        inside = linked[self.node]
        _, first, inverse = np.unique(
            label[self.node[inside]], return_index=True, return_inverse=True
        )
        rank = np.empty(len(first), np.int64)
        rank[np.argsort(first)] = np.arange(len(first))
        number[inside] = rank[inverse]
        return number

    def nearest(self) -> tuple[Positions, Flags]:
        """Return for each of ``rows`` the distance to the nearest other image, and if mirrored.

        The distance is that of an image that looks alike; -1 if there is none.
        """
        pairs = self.pairs
        ends = np.concatenate([pairs.first, pairs.second])
        distance, mirrored = np.tile(pairs.distance, 2), np.tile(pairs.mirrored, 2)
        order = np.lexsort((mirrored, distance, ends))
        nodes, at = np.unique(ends[order], return_index=True)
        best = np.full(self.nodes, -1, np.int64)
        best[nodes] = distance[order[at]]
        is_mirrored = np.zeros(self.nodes, bool)
        is_mirrored[nodes] = mirrored[order[at]]
        return best[self.node], is_mirrored[self.node]

    def across(self, kinds: Numbers) -> Flags:
        """Return which pairs join images of different kinds.

        Args:
            kinds: for each of ``rows`` the number of its split or class; -1 for none.
        """
        lowest, highest = _extremes(self.node, self.nodes, kinds)
        first, second = self.pairs.first, self.pairs.second
        known = (highest[first] >= 0) & (highest[second] >= 0)
        least = np.minimum(lowest[first], lowest[second])
        most = np.maximum(highest[first], highest[second])
        across: Flags = known & (least != most)
        return across

    def like_any(self, chosen: Flags) -> Flags:
        """Return which of ``rows`` look like one of those chosen, with other contents."""
        here = np.zeros(self.nodes, bool)
        here[self.node[chosen]] = True
        first, second = self.pairs.first, self.pairs.second
        apart = first != second
        near = np.zeros(self.nodes, bool)
        near[first[apart & here[second]]] = True
        near[second[apart & here[first]]] = True
        near |= self._others_in_clump(here)
        lowest, highest = _extremes(self.node[chosen], self.nodes, self.contents[chosen])
        differs = (lowest != highest)[self.node] | (lowest[self.node] != self.contents)
        like: Flags = near[self.node] | (here[self.node] & differs)
        return like

    def _others_in_clump(self, chosen: Flags) -> Flags:
        """Return which nodes are in a clump with other nodes, of those chosen."""
        clump = self.pairs.clump
        inside = clump >= 0
        numbers = np.bincount(clump[inside & chosen], minlength=int(clump.max(initial=-1)) + 1)
        others = np.zeros(self.nodes, bool)
        others[inside] = numbers[clump[inside]] > chosen[inside]
        return others

    def examples(self, wanted: Flags, kinds: Numbers | None, most: int) -> list[Pair]:
        """Return pairs of images with other contents, the nearest first, one of each group.

        Args:
            wanted: which of ``pairs`` to choose from.
            kinds: as for :meth:`across`; the two images are then of different kinds.
            most: how many to return at most.
        """
        label = _components(self.nodes, self.pairs.first, self.pairs.second)
        chosen = np.flatnonzero(wanted)
        chosen = chosen[np.argsort(self.pairs.distance[chosen], kind="stable")]
        groups = label[self.pairs.first[chosen]]
        _, at = np.unique(groups, return_index=True)
        members = _Members(self.node)
        found = []
        for number in chosen[np.sort(at)][:most].tolist():
            ends = int(self.pairs.first[number]), int(self.pairs.second[number])
            first, second = self._apart(members.of(ends[0]), members.of(ends[1]), kinds)
            distance, mirrored = self.pairs.distance[number], self.pairs.mirrored[number]
            found.append(Pair(first, second, int(distance), bool(mirrored)))
        return found

    def _apart(self, first: Positions, second: Positions, kinds: Numbers | None) -> tuple[int, int]:
        """Return the rows of two images, one of each list, with other contents and kinds."""
        differs = self.contents[first][:, None] != self.contents[second]
        if kinds is not None:
            known = (kinds[first] >= 0)[:, None] & (kinds[second] >= 0)
            differs = differs & known & (kinds[first][:, None] != kinds[second])
        one, other = np.unravel_index(int(np.argmax(differs)), differs.shape)
        rows = sorted((int(self.rows[first[one]]), int(self.rows[second[other]])))
        return rows[0], rows[1]

    def redundant(self, rank: Positions, settled: Flags | None = None) -> list[Redundant]:
        """Choose the images to leave out so that no two that are left look alike.

        Images are taken in the order of their rank, and each is left out if it looks like one that
        was kept.

        Args:
            rank: for each of ``rows``, no two of them equal.
            settled: for each of ``rows`` whether it is kept in any case; these come first by rank.
        """
        stays = np.zeros(len(self.rows), bool) if settled is None else settled
        linked = self.groups() >= 0
        order = np.flatnonzero(linked)[np.argsort(rank[linked])]
        near = self._near()
        clump = self.pairs.clump.tolist()
        of_clump: dict[int, int] = {}  # The first node of each that was kept.
        kept: dict[int, int] = {}  # By node, its first row.
        gone: dict[int, tuple[int, int, bool]] = {}
        found = []
        for at in order.tolist():
            node, row = int(self.node[at]), int(self.rows[at])
            if stays[at]:
                kept.setdefault(node, row)
                of_clump.setdefault(clump[node], node)
                continue
            if node not in kept and node not in gone:
                stay = [(d, m, kept[other]) for other, d, m in near[node] if other in kept]
                if not stay and clump[node] >= 0 and clump[node] in of_clump:
                    other = of_clump[clump[node]]
                    stay = [(*self._apart_by(node, other), kept[other])]
                if not stay:
                    kept[node] = row
                    of_clump.setdefault(clump[node], node)
                    continue
                distance, mirrored, instead = min(stay)
                gone[node] = instead, distance, mirrored
            found.append(Redundant(row, *gone.get(node, (kept.get(node, row), 0, False))))
        return found

    def _apart_by(self, node: int, other: int) -> tuple[int, bool]:
        """Return in how many bits two nodes differ, and whether one was mirrored for that."""
        distance, mirrored = distances(self.values[node : node + 1], self.values[other])
        return int(distance[0]), bool(mirrored[0])

    def _near(self) -> dict[int, list[tuple[int, int, bool]]]:
        """Return the nodes near each node that has any, with distance and whether mirrored."""
        near: defaultdict[int, list[tuple[int, int, bool]]] = defaultdict(list)
        for first, second, distance, mirrored in zip(
            *(column.tolist() for column in self.pairs[:4]), strict=True
        ):
            if first != second:
                near[first].append((second, distance, mirrored))
                near[second].append((first, distance, mirrored))
        return near


class _Members:
    """The images of each node, the first ones if there are many."""

    _MOST = 1000

    def __init__(self, node: Positions) -> None:
        self._order = np.argsort(node, kind="stable")
        self._sorted = node[self._order]

    def of(self, node: int) -> Positions:
        """Return the positions of the images of a node."""
        start, stop = np.searchsorted(self._sorted, [node, node + 1])
        return self._order[start : min(stop, start + self._MOST)]


def _extremes(node: Positions, nodes: int, values: Numbers) -> tuple[Positions, Positions]:
    """Return the lowest and the highest value of each node, without those that are negative."""
    lowest, highest = np.full(nodes, _NONE), np.full(nodes, -1, np.int64)
    known = values >= 0
    np.minimum.at(lowest, node[known], values[known])
    np.maximum.at(highest, node[known], values[known])
    return lowest, highest


def _components(nodes: int, first: Positions, second: Positions) -> Positions:
    """Return for each node the lowest of the nodes that it is linked with, maybe by way of others.

    >>> _components(5, np.array([1, 3]), np.array([3, 4])).tolist()
    [0, 1, 2, 1, 1]
    """
    label = np.arange(nodes)
    while True:
        least = np.minimum(label[first], label[second])
        lower = label.copy()
        for ends in (label[first], label[second], first, second):
            np.minimum.at(lower, ends, least)
        lower = lower[lower]
        if np.array_equal(lower, label):
            return label
        label = lower
