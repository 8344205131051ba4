"""The mean of many squares at points of a grid, from exact integer sums.

What is noted of each square at little cost, from its pixels at the points of a grid.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from prep.images.decoders.base import Pixels
from prep.parsing import Fields

#: Points on each side of the grid, or as many as there are pixels.
GRID = 32
_CHANNELS = 3
_WIDEST = 8  # bytes of a sum
_MOST_IMAGES = 1 << 48

Sums = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanImage:
    """Sums over squares of one size, point by point.

    Attributes:
        images: number of squares; 0 where none were noted.
        side: points on each side of the grid.
        sums: of the samples of R, G and B at each point, row by row: in base64, each little-endian
            in as few bytes as the largest possible sum takes.

    >>> white = MeanImage.of(2, np.full((1, 1, 3), 510, np.uint64))
    >>> (white + white).pixels().tolist()
    [[[255, 255, 255]]]
    """

    images: int = 0
    side: int = 0
    sums: str = ""

    @classmethod
    def of(cls, images: int, sums: Sums) -> MeanImage:
        """From sums over so many images, (side, side, 3)."""
        if not images:
            return cls()
        columns = np.ascontiguousarray(sums, "<u8").reshape(-1, 1).view(np.uint8)
        packed = columns[:, : _width(images)].tobytes()
        return cls(images=images, side=len(sums), sums=base64.b64encode(packed).decode())

    def __add__(self, other: MeanImage) -> MeanImage:
        return MeanImage.sum([self, other])

    @classmethod
    def sum(cls, parts: Iterable[MeanImage]) -> MeanImage:
        """All of them added up; squares of a run have one size, and of others the largest count."""
        noted = [part for part in parts if part.images]
        if len(noted) < 2:
            return noted[0] if noted else cls()
        side = max(part.side for part in noted)
        total = np.zeros((side, side, _CHANNELS), np.uint64)
        images = 0
        for part in noted:
            if part.side == side:
                total += part.array()
                images += part.images
        return cls.of(images, total)

    def array(self) -> Sums:
        """The sums, uint64 (side, side, 3)."""
        packed = np.frombuffer(base64.b64decode(self.sums), np.uint8)
        columns = np.zeros((self.side**2 * _CHANNELS, _WIDEST), np.uint8)
        columns[:, : _width(self.images)] = packed.reshape(len(columns), -1)
        sums: Sums = columns.view("<u8").astype(np.uint64).reshape(self.side, self.side, _CHANNELS)
        return sums

    def pixels(self) -> npt.NDArray[np.uint8]:
        """The mean, rounded: uint8 (side, side, 3), RGB; of no images, nothing."""
        images = max(self.images, 1)
        pixels: npt.NDArray[np.uint8] = ((self.array() + images // 2) // images).astype(np.uint8)
        return pixels

    def for_report(self) -> dict[str, Any]:
        """Return it as a report shows it: R, G and B in a byte each, row by row, in base64."""
        rgb = base64.b64encode(self.pixels().tobytes()).decode()
        return {"images": self.images, "side": self.side, "rgb": rgb}

    @classmethod
    def from_json(cls, value: object) -> MeanImage:
        """Read what ``dataclasses.asdict`` gave, after its way through JSON.

        Raises:
            ValueError: it is something else, or no images add up to it.
        """
        fields = Fields(value, "a mean image")
        images = fields.whole("images", most=_MOST_IMAGES)
        side = fields.whole("side", least=min(images, 1), most=GRID if images else 0)
        found = cls(images=images, side=side, sums=fields.text("sums"))
        fields.end()
        require_bytes(found.sums, side**2 * _CHANNELS * _width(images))
        if images and int(found.array().max()) > 255 * images:
            raise ValueError(f"mean image: no {images:,} samples of 0 to 255 add up to its sums")
        return found


def stored_mean(value: object) -> dict[str, Any]:
    """Return what :meth:`MeanImage.for_report` gave; raise ValueError where it is not that."""
    fields = Fields(value, "a mean image")
    images, side = fields.whole("images", least=1), fields.whole("side", least=1, most=GRID)
    rgb = fields.text("rgb")
    fields.end()
    require_bytes(rgb, side**2 * _CHANNELS)
    return {"images": images, "side": side, "rgb": rgb}


def require_bytes(text: str, number: int) -> None:
    """Raise ValueError unless the text is base64 of so many bytes."""
    try:
        found = len(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        raise ValueError("mean image: expected base64, found something else") from None
    if found != number:
        raise ValueError(f"mean image: expected {number:,} bytes in base64, found {found:,}")


def _width(images: int) -> int:
    """How many bytes the largest possible sum of so many samples takes."""
    return -(-(255 * images).bit_length() // 8)


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
