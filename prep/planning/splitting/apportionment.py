"""Exact shares of every class, in whole images."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

_Cells = npt.NDArray[np.bool_]


def apportion(sizes: Sequence[int], shares: Sequence[Fraction]) -> npt.NDArray[np.int64]:
    """Divide classes into parts of given shares, each to less than one image of its share.

    This is controlled rounding (Cox 1987): the rows of a table of fractions are rounded up or
    down so that each keeps its sum, and the columns keep theirs as nearly as whole images allow.

    Args:
        sizes: number of images of each class.
        shares: of the parts, which add up to 1.

    Returns:
        Shape (classes, parts): the number of images of a class in a part.

    >>> apportion([5, 5, 5], [Fraction(1, 10), Fraction(1, 10), Fraction(8, 10)]).tolist()
    [[1, 0, 4], [0, 1, 4], [1, 0, 4]]
    """
    one = math.lcm(*(share.denominator for share in shares))
    times = [int(share * one) for share in shares]
    whole = np.zeros((len(sizes), len(shares)), np.int64)
    up, open_ = np.zeros(whole.shape, bool), np.zeros(whole.shape, bool)
    due = [0] * len(shares)  # How much each part has lost by rounding; 1 image is ``one``.
    for number, size in enumerate(sizes):
        pairs = [divmod(size * time, one) for time in times]
        whole[number] = [pair[0] for pair in pairs]
        rests = [pair[1] for pair in pairs]
        due = [owed + rest for owed, rest in zip(due, rests, strict=True)]
        unsure = [part for part, rest in enumerate(rests) if rest]
        unsure.sort(key=lambda part: -due[part])
        for part in unsure[: sum(rests) // one]:
            up[number, part] = True
            due[part] -= one
        open_[number, unsure] = True
    _settle(due, one, up, open_)
    return whole + up


def _settle(due: list[int], one: int, up: _Cells, open_: _Cells) -> None:
    """Move single images between parts until none is a whole image short of its share."""
    while True:
        short, over = due.index(max(due)), due.index(min(due))
        path = _path(over, short, up, open_) if due[short] - due[over] > one else []
        if not path:
            return
        for number, giver, taker in path:
            up[number, giver], up[number, taker] = False, True
        due[short] -= one
        due[over] += one


def _path(start: int, end: int, up: _Cells, open_: _Cells) -> list[tuple[int, int, int]]:
    """Return steps (class, giver, taker) by which one part can give an image to another."""
    down = open_ & ~up
    came: dict[int, tuple[int, int, int]] = {}
    waiting = deque([start])
    while waiting:
        giver = waiting.popleft()
        for taker in range(up.shape[1]):
            movable = up[:, giver] & down[:, taker]
            if taker != start and taker not in came and movable.any():
                came[taker] = (int(movable.argmax()), giver, taker)
                waiting.append(taker)
    steps = []
    while end in came:
        steps.append(came[end])
        end = came[end][1]
    return steps if end == start else []
