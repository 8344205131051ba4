"""Which record stands at a place of an epoch.

A draw has ``numbers(epochs, places)``: two int64 arrays of shape (n,), of places from 0 up to but
without the size of an epoch, to the numbers of records there.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from prep.training.orders.permutation import fraction, key, permuted

Ints: TypeAlias = npt.NDArray[np.int64]

# What keys are made for, so that no two uses of a seed have the same random numbers.
_ALL, _MEMBERS, _WEIGHTED, _LAID, _BLOCKS, _WINDOW = range(6)


class Draw(Protocol):
    """A way to draw the records of all epochs."""

    def numbers(self, epochs: Ints, places: Ints) -> Ints:
        """Return the number of the record at each place of each epoch."""
        ...


@dataclass(frozen=True)
class InOrder:
    """Each record once an epoch, in the order of the shards."""

    def numbers(self, epochs: Ints, places: Ints) -> Ints:
        """Return the places themselves."""
        return places


@dataclass(frozen=True)
class Permuted:
    """Each record once an epoch, in a new order each epoch."""

    size: int
    seed: int

    def numbers(self, epochs: Ints, places: Ints) -> Ints:
        """Return the number of the record at each place of each epoch."""
        return permuted(places, self.size, key(self.seed, _ALL, epochs))


@dataclass(frozen=True, eq=False)
class Balanced:
    """Each class as often as any other, and each record of a class as often as any of its class.

    Over all epochs, the draws of a class go through its records in one new order after another.

    Attributes:
        size: positions of an epoch.
        members: the numbers of records, sorted by class.
        starts: where each class begins in ``members``, and their end; shape (classes + 1,).
    """

    size: int
    seed: int
    members: Ints
    starts: Ints

    @classmethod
    def of(cls, classes: Ints, seed: int) -> Balanced:
        """Return the draw for records whose classes are given."""
        counts = np.unique(classes, return_counts=True)[1]
        starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return cls(classes.size, seed, np.argsort(classes, kind="stable"), starts)

    def numbers(self, epochs: Ints, places: Ints) -> Ints:
        """Return the number of the record at each place of each epoch."""
        drawn = epochs * self.size + permuted(places, self.size, key(self.seed, _ALL, epochs))
        turns, classes = np.divmod(drawn, self.starts.size - 1)
        sizes = np.diff(self.starts)[classes]
        rounds, within = np.divmod(turns, sizes)
        member = permuted(within, sizes, key(self.seed, _MEMBERS, classes, rounds))
        result: Ints = self.members[self.starts[classes] + member]
        return result


@dataclass(frozen=True, eq=False)
class Weighted:
    """Each record as often as its weight says: a weight of twice the mean, twice an epoch.

    What is between two whole numbers is rounded at random, up or down, in each epoch ("systematic
    sampling" over records in a new order): Madow, https://doi.org/10.1214/aoms/1177729988

    Attributes:
        weights: shape (n,), not negative.
    """

    seed: int
    weights: npt.NDArray[np.float64]

    def numbers(self, epochs: Ints, places: Ints) -> Ints:
        """Return the number of the record at each place of each epoch."""
        size = self.weights.size
        places = permuted(places, size, key(self.seed, _ALL, epochs))
        result = np.empty_like(places)
        for epoch in np.unique(epochs):
            here = epochs == epoch
            records, ends = _records_laid(self, int(epoch))
            shift = fraction(key(self.seed, _WEIGHTED, epoch))
            found = np.searchsorted(ends, places[here] + shift, side="right")
            result[here] = records[found]
        return result


@functools.lru_cache(maxsize=4)
def _records_laid(draw: Weighted, epoch: int) -> tuple[Ints, npt.NDArray[np.float64]]:
    """Lay the records out on a line whose length is their number, each as long as its weight."""
    some = np.flatnonzero(draw.weights)
    order = permuted(np.arange(some.size), some.size, key(draw.seed, _LAID, epoch))
    records = some[order]
    ends = np.cumsum(draw.weights[records])
    ends *= draw.weights.size / ends[-1]
    ends[-1] = np.inf  # Nothing falls off the end by rounding.
    return records, ends


@dataclass(frozen=True, eq=False)
class Blocked:
    """Each record once an epoch; those that are read at about the same time lie in few blocks.

    An epoch is a line of blocks in a new order. It is cut into as many equal parts as there are
    lanes, and each lane into windows, in which records are permuted. Position g belongs to lane
    g modulo the number of lanes, so that hosts whose number divides it read different blocks.

    Attributes:
        starts: where each block begins, and the end of the last; shape (blocks + 1,).
        window: records that are permuted together, in each lane.
    """

    seed: int
    starts: Ints
    window: int
    lanes: int

    def numbers(self, epochs: Ints, places: Ints) -> Ints:
        """Return the number of the record at each place of each epoch."""
        size = int(self.starts[-1])
        lanes, within = places % self.lanes, places // self.lanes
        lengths = (size - lanes + self.lanes - 1) // self.lanes
        windows, offsets = np.divmod(within, self.window)
        sizes = np.minimum(self.window, lengths - windows * self.window)
        offsets = permuted(offsets, sizes, key(self.seed, _WINDOW, epochs, lanes, windows))
        # Where a lane begins: the longer ones come first.
        begins: Ints = lanes * (size // self.lanes) + np.minimum(lanes, size % self.lanes)
        line: Ints = begins + windows * self.window + offsets
        result = np.empty_like(line)
        for epoch in np.unique(epochs):
            here = epochs == epoch
            shifts, ends = _blocks_laid(self, int(epoch))
            result[here] = line[here] + shifts[np.searchsorted(ends, line[here], side="right")]
        return result


@functools.lru_cache(maxsize=4)
def _blocks_laid(draw: Blocked, epoch: int) -> tuple[Ints, Ints]:
    """Lay the blocks of an epoch out on a line: how each is shifted, and where each ends."""
    count = draw.starts.size - 1
    order = permuted(np.arange(count), count, key(draw.seed, _BLOCKS, epoch))
    ends = np.cumsum(np.diff(draw.starts)[order])
    begins: Any = np.concatenate([[0], ends[:-1]])
    return draw.starts[:-1][order] - begins, ends
