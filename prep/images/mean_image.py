"""The mean of many results at the points of a grid, from exact integer sums."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from prep.images.decoders.values import Pixels
from prep.images.rgbx import rgbx_of
from prep.parsing import Fields
from prep.settings.image_settings import ImageSettings

#: Points per side of the grid; fewer if results have fewer pixels.
GRID = 32
_CHANNELS = 3
_WIDEST = 8  # bytes of a sum
_MOST_IMAGES = 1 << 48
_AT_ONCE = 64

Sums = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanImage:
    """Sums over results, point by point.

    Attributes:
        images: number of results.
        side: points per side of the grid.
        sums: of the samples of R, G and B at each point, row by row, in base64. Each sum is
            little-endian, in as few bytes as the largest possible sum takes.

    >>> white = MeanImage.of(2, np.full((1, 1, 3), 510, np.uint64))
    >>> MeanImage.sum([white, white]).pixels().tolist()
    [[[255, 255, 255]]]
    """

    images: int = 0
    side: int = 0
    sums: str = ""

    @classmethod
    def of(cls, images: int, sums: Sums) -> MeanImage:
        """Pack the sums over so many images, uint64 (side, side, 3)."""
        if not images:
            return cls()
        columns = np.ascontiguousarray(sums, "<u8").reshape(-1, 1).view(np.uint8)
        packed = columns[:, : _width(images)].tobytes()
        return cls(images=images, side=len(sums), sums=base64.b64encode(packed).decode())

    @classmethod
    def sum(cls, parts: Iterable[MeanImage]) -> MeanImage:
        """Add up those with the largest grid. Within a run, all have the same size."""
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
        """Return the sums, uint64 (side, side, 3)."""
        packed = np.frombuffer(base64.b64decode(self.sums), np.uint8)
        columns = np.zeros((self.side**2 * _CHANNELS, _WIDEST), np.uint8)
        columns[:, : _width(self.images)] = packed.reshape(len(columns), -1)
        sums: Sums = columns.view("<u8").astype(np.uint64).reshape(self.side, self.side, _CHANNELS)
        return sums

    def pixels(self) -> npt.NDArray[np.uint8]:
        """Return the rounded mean, uint8 (side, side, 3), RGB; side is 0 without images."""
        images = max(self.images, 1)
        return ((self.array() + images // 2) // images).astype(np.uint8)

    def for_report(self) -> dict[str, Any]:
        """Return the JSON for a report: R, G and B in one byte each, row by row, in base64."""
        rgb = base64.b64encode(self.pixels().tobytes()).decode()
        return {"images": self.images, "side": self.side, "rgb": rgb}

    @classmethod
    def from_json(cls, value: object) -> MeanImage:
        """Read the JSON of ``dataclasses.asdict``.

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
    """Check the JSON of :meth:`MeanImage.for_report`; raise ValueError for anything else."""
    fields = Fields(value, "a mean image")
    images, side = fields.whole("images", least=1), fields.whole("side", least=1, most=GRID)
    rgb = fields.text("rgb")
    fields.end()
    require_bytes(rgb, side**2 * _CHANNELS)
    return {"images": images, "side": side, "rgb": rgb}


def require_bytes(text: str, number: int) -> None:
    """Raise ValueError unless the text is the base64 of so many bytes."""
    try:
        found = len(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        raise ValueError("mean image: expected base64, found something else") from None
    if found != number:
        raise ValueError(f"mean image: expected {number:,} bytes in base64, found {found:,}")


def _width(images: int) -> int:
    """Return the number of bytes of the largest possible sum of so many samples."""
    return -(-(255 * images).bit_length() // 8)


def grid_side(settings: ImageSettings) -> int:
    """Return the points per side of the grid for results with these settings.

    Results that differ in size all have the same grid: each is stretched to it.
    """
    return min(GRID, settings.height, settings.width) if settings.same_size else GRID


def grid_of(pixels: Pixels, side: int) -> Pixels:
    """Sample an image, RGB or gray, at the points of a grid, uint8 (side, side, 3).

    The mean of many images is smooth: samples show it as well as averages, which take twenty times
    as long.
    """
    rgbx = rgbx_of(pixels)
    if rgbx is not None:
        points = cv2.resize(rgbx, (side, side), interpolation=cv2.INTER_NEAREST)
        return cv2.cvtColor(points, cv2.COLOR_RGBA2RGB)  # type: ignore[return-value]
    grid = cv2.resize(pixels, (side, side), interpolation=cv2.INTER_NEAREST)
    if grid.ndim == 2:  # OpenCV drops the one channel.
        return cv2.cvtColor(grid, cv2.COLOR_GRAY2RGB)  # type: ignore[return-value]
    return grid  # type: ignore[return-value]


class Grids:
    """Add up the grids of results, a batch at a time, which is faster.

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
        """Take the grid of another result; it must not be changed afterwards."""
        self._waiting.append(grid)
        if len(self._waiting) == _AT_ONCE:
            self._add_up()

    def chroma(self) -> Sequence[int]:
        """Return the mean of max(R, G, B) - min(R, G, B) of each result, in hundredths."""
        self._add_up()
        return self._chroma

    def mean(self) -> MeanImage:
        """Return the mean of all results."""
        images = len(self.chroma())
        if not images:
            return MeanImage()
        return MeanImage.of(images, self._sums.astype(np.uint64).reshape(self._side, self._side, 3))

    def _add_up(self) -> None:
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
    """Sum a few rows or columns of samples along an axis."""
    sums = cv2.reduce(samples, axis, cv2.REDUCE_SUM, dtype=cv2.CV_32S)
    return sums.ravel().astype(np.int64)
