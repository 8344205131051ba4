"""What is noted of each square at little cost, from its pixels at the points of a grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from prep.images.decoded import Pixels
from prep.mean_image import GRID, MeanImage

_AT_ONCE = 64


def grid_of(square: Pixels) -> Pixels:
    """The pixels at the points of a grid over a square, uint8 (side, side, 3).

    A mean of many squares is smooth: points tell as much of it as averages would, which take twenty
    times as long.
    """
    side = min(GRID, square.shape[0])
    points: Pixels = cv2.resize(square, (side, side), interpolation=cv2.INTER_NEAREST)  # type: ignore[assignment]
    return points


class Grids:
    """Adds up the grids of squares of one size, many at once: that is faster by the dozen.

    >>> grids = Grids()
    >>> for level in (10, 20):
    ...     grids.add(np.array([[[level, 0, 0]]], np.uint8))
    >>> grids.chroma(), grids.mean().pixels().tolist()
    ([1000, 2000], [[[15, 0, 0]]])
    """

    def __init__(self) -> None:
        self._waiting: list[Pixels] = []
        self._sums: npt.NDArray[np.int64] = np.zeros(1, np.int64)
        self._chroma: list[int] = []
        self._side = 0

    def add(self, grid: Pixels) -> None:
        """Take the grid of another square, which is not to be changed after that."""
        self._waiting.append(grid)
        if len(self._waiting) == _AT_ONCE:
            self._settle()

    def chroma(self) -> Sequence[int]:
        """Of each square in turn how far its colours are from gray, on average, in hundredths.

        That is by how much the largest of R, G and B is above the smallest.
        """
        self._settle()
        return self._chroma

    def mean(self) -> MeanImage:
        """The mean of all squares."""
        images = len(self.chroma())
        if not images:
            return MeanImage()
        return MeanImage.of(images, self._sums.astype(np.uint64).reshape(self._side, self._side, 3))

    def _settle(self) -> None:
        if not self._waiting:
            return
        block = np.concatenate(self._waiting)
        images = len(self._waiting)
        self._waiting = []
        self._side = block.shape[1]
        r, g, b = cv2.split(block)
        spread = cv2.subtract(cv2.max(cv2.max(r, g), b), cv2.min(cv2.min(r, g), b))
        points = spread.size // images
        self._chroma += (100 * _sums(spread.reshape(images, -1), 1) // points).tolist()
        self._sums = self._sums + _sums(block.reshape(images, -1), 0)


def _sums(samples: npt.NDArray[Any], axis: int) -> npt.NDArray[np.int64]:
    """Sums of a few rows or columns of samples."""
    sums = cv2.reduce(samples, axis, cv2.REDUCE_SUM, dtype=cv2.CV_32S)
    return sums.ravel().astype(np.int64)
