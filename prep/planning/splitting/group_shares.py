"""Shares of every class as near as whole groups allow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from prep.planning.splitting.scores import Scores

_Numbers = npt.NDArray[np.int64]
#: A group: its classes, and how many images of each it has.
_Contents = list[tuple[int, int]]
# With more units, small ones are left to even out what large ones leave, and hardly any would move.
_MOST_MOVED = 20_000
_MOST_ROUNDS = 10


def divide_units(
    units: _Numbers,
    classes: _Numbers,
    scores: Scores,
    shares: Sequence[Fraction],
    settled: _Numbers,
) -> _Numbers:
    """Return the part of each image, the same for all images of a unit.

    The largest units are dealt first, equal ones by score, each to the part whose shares of the
    classes it brings nearest to those wanted: the chi-square distance is the least. So units of
    any size are spread over the parts, and small ones even out what large ones leave. Then single
    units move as long as that brings the parts nearer, which matters where they are few.

    Args:
        units: the unit of each image: its group, or itself.
        classes: the class of each image.
        scores: of each image, the same within a unit.
        shares: of the parts, which add up to 1.
        settled: the part of each image that has one already, and else -1.

    Returns:
        The part of each unit that is settled is the one of most of its images.
    """
    _, first, unit = np.unique(units, return_index=True, return_inverse=True)
    sizes = np.bincount(unit)
    dealer = _Dealer(np.bincount(classes), shares)
    part_of = _settled_parts(unit, settled, len(shares))
    order = np.lexsort((first, scores[first], -sizes, part_of < 0))  # The settled ones first.
    dealt = order[part_of[order] < 0].tolist()
    contents = dict(zip(order.tolist(), _contents(unit, classes, order), strict=True))
    for number in order[part_of[order] >= 0].tolist():
        dealer.give(int(part_of[number]), contents[number])
    for number in dealt:
        part_of[number] = part = dealer.best(contents[number])
        dealer.give(part, contents[number])
    if len(dealt) <= _MOST_MOVED:
        _improve(part_of, dealt, contents, dealer)
    _fill_empty(part_of, dealt, contents, dealer)
    return part_of[unit]


def _settled_parts(unit: _Numbers, settled: _Numbers, parts: int) -> _Numbers:
    """Return the part that most of the settled images of each unit are in; -1 without any."""
    rows = np.flatnonzero(settled >= 0)
    counts = np.zeros((int(unit.max()) + 1, parts), np.int64)
    np.add.at(counts, (unit[rows], settled[rows]), 1)
    return np.where(counts.any(axis=1), counts.argmax(axis=1), -1)


def _contents(unit: _Numbers, classes: _Numbers, order: _Numbers) -> Iterator[_Contents]:
    """Yield the classes of each unit, with the number of its images in each."""
    kinds = int(classes.max()) + 1
    pairs, counts = np.unique(unit * kinds + classes, return_counts=True)
    bounds = np.searchsorted(pairs // kinds, np.arange(len(order) + 1))
    cells = [*zip((pairs % kinds).tolist(), counts.tolist(), strict=True)]
    for number in order.tolist():
        yield cells[bounds[number] : bounds[number + 1]]


class _Dealer:
    """Parts that are filled with units, and how far each is from its shares of the classes.

    Args:
        sizes: number of images of each class.
        shares: of the parts.
    """

    def __init__(self, sizes: _Numbers, shares: Sequence[Fraction]) -> None:
        self._wanted: list[list[float]] = [(sizes * float(share)).tolist() for share in shares]
        self._given = [[0] * len(sizes) for _ in shares]
        self.parts = range(len(shares))

    def give(self, part: int, contents: _Contents, times: int = 1) -> None:
        """Put a unit into a part, or with -1 ``times``, take it out."""
        given = self._given[part]
        for class_, images in contents:
            given[class_] += times * images

    def best(self, contents: _Contents) -> int:
        """Return the part that a unit brings nearest to what is wanted."""
        return min(self.parts, key=lambda part: self.cost(part, contents))

    def cost(self, part: int, contents: _Contents) -> float:
        """Return how much farther from what is wanted a part would be with a unit."""
        given, wanted = self._given[part], self._wanted[part]
        cost = 0.0
        for class_, images in contents:
            wanted_of = wanted[class_]
            cost += images * (2 * (given[class_] - wanted_of) + images) / wanted_of
        return cost


def _improve(
    part_of: _Numbers, dealt: Sequence[int], contents: dict[int, _Contents], dealer: _Dealer
) -> None:
    """Move units, the largest first, to the part that is best with all others as they are."""
    for _ in range(_MOST_ROUNDS):
        before = part_of.copy()
        for number in dealt:
            dealer.give(int(part_of[number]), contents[number], -1)
            part_of[number] = part = dealer.best(contents[number])
            dealer.give(part, contents[number])
        if (part_of == before).all():
            return


def _fill_empty(
    part_of: _Numbers, dealt: Sequence[int], contents: dict[int, _Contents], dealer: _Dealer
) -> None:
    """Give each empty part the unit that costs least, of a part that has several."""
    for part in dealer.parts:
        if (part_of == part).any():
            continue
        spare = np.bincount(part_of, minlength=part + 1) > 1
        movable = [number for number in dealt if spare[part_of[number]]]
        if movable:
            chosen = min(movable, key=lambda number: dealer.cost(part, contents[number]))
            dealer.give(int(part_of[chosen]), contents[chosen], -1)
            dealer.give(part, contents[chosen])
            part_of[chosen] = part
