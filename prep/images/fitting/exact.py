"""Crop between pixels: every kernel but ``area`` and ``linear``."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np

from prep.images.decoders.values import Decoded, Pixels
from prep.images.fitting.framing import Framing, Placement, shrink, stored_placement
from prep.images.fitting.orientation import UPRIGHT, upright, upright_size
from prep.images.geometry import Area, Box, area_around
from prep.images.rgbx import rgb_view, rgbx_of

# The kernels hardly pass what a JPEG decoder leaves out where it leaves twice the size: on photos,
# this changes samples by half a level on average (``python -m bench.large_photos``). So a JPEG and
# a PNG of one picture give nearly the same result.
_OVERSAMPLING = 2


class Kernel(Protocol):
    """A resampling kernel that widens as it shrinks, so that nothing aliases.

    Attributes:
        radius: in pixels of the larger of source and result.
        padded: whether it is fastest with pixels of four bytes; see :mod:`prep.images.rgbx`.
    """

    radius: int
    padded: bool

    def __call__(
        self, pixels: Pixels, box: Box, height: int, width: int, *, columns_first: bool
    ) -> Pixels:
        """Resize a part of an image as Pillow's ``resize(…, box=…)`` does.

        Args:
            pixels: uint8 (h, w, 3), upright.
            box: the part. The kernel also reads pixels around it.
            height, width: of the result, in pixels.
            columns_first: the order of the two passes. Each rounds to 8 bits and clips, so that the
                order shows beside hard edges.

        Returns:
            uint8 (height, width, 3). It may lie in memory that the next call overwrites.
        """


class ExactFitter:
    """Take exactly the part of an image that is wanted, and resize it without aliasing.

    The result is that of Pillow's ``resize(…, box=…)`` of the whole upright image, to within one
    level. Images are turned upright before they are resized, so that the order of the passes does
    not depend on how they are stored.
    """

    def __init__(self, framing: Framing, kernel: Kernel) -> None:
        self._framing = framing
        self._kernel = kernel
        self.padded = kernel.padded

    def factor(self, height: int, width: int, orientation: int) -> int:
        """See :class:`prep.images.geometry.Needed`."""
        return shrink(self._framing, _OVERSAMPLING, height, width, orientation)

    def area(self, height: int, width: int, orientation: int) -> Area:
        """See :class:`prep.images.geometry.Needed`."""
        placement = stored_placement(self._framing, height, width, orientation)
        box = placement.box(height, width)
        return area_around(box, self._margins(box, placement), height, width)

    def __call__(self, decoded: Decoded) -> Pixels:
        """See :class:`prep.images.fitting.fitter.Fitter`."""
        orientation = decoded.orientation
        stored = stored_placement(self._framing, decoded.height, decoded.width, orientation)
        placement = stored.transposed() if UPRIGHT[orientation].transpose else stored
        box = self._box(decoded, stored)
        pixels = upright(decoded.pixels, orientation)
        if not placement.resized:
            top, left = math.floor(box.top), math.floor(box.left)
            copied = pixels[top : top + placement.height, left : left + placement.width]
            return np.ascontiguousarray(copied)
        area = area_around(box, self._margins(box, placement), *pixels.shape[:2])
        if self.padded and (rgbx := rgbx_of(pixels)) is not None:
            area = area._replace(left=0)  # Whole rows lie together.
            source = rgb_view(rgbx[area.top : area.bottom])
        else:
            source = pixels[area.top : area.bottom, area.left : area.right]
        part = box._replace(top=box.top - area.top, left=box.left - area.left)
        size = placement.height, placement.width
        rows, columns = upright_size(decoded.height, decoded.width, orientation)
        order = is_tall(rows, columns, *(placement.whole or size))
        return self._kernel(source, part, *size, columns_first=order)

    def _box(self, decoded: Decoded, stored: Placement) -> Box:
        """Return the position of the part among the decoded pixels, once these are upright."""
        transpose, flip_rows, flip_columns = UPRIGHT[decoded.orientation]
        top, left, height, width = stored.box(decoded.height, decoded.width, decoded.factor)
        top, left = top - decoded.top, left - decoded.left
        rows, columns, _ = decoded.pixels.shape
        if transpose:
            top, left, height, width, rows, columns = left, top, width, height, columns, rows
        return Box(
            rows - top - height if flip_rows else top,
            columns - left - width if flip_columns else left,
            height,
            width,
        )

    def _margins(self, box: Box, placement: Placement) -> tuple[int, int]:
        rows, columns = box.height / placement.height, box.width / placement.width
        return self._margin(rows), self._margin(columns)

    def _margin(self, scale: float) -> int:
        return math.ceil(self._kernel.radius * max(scale, 1)) + 1


def is_tall(rows: int, columns: int, height: int, width: int) -> bool:
    """Return whether Pillow, from version 13 on, resizes the columns of an image first.

    Earlier versions do so only where an image is a hundred times as high as wide. See
    https://github.com/python-pillow/Pillow/pull/9549.

    Args:
        rows, columns: of the whole image, upright.
        height, width: of the result, or of the whole result if that is cropped afterwards.

    >>> is_tall(375, 500, 256, 256), is_tall(500, 375, 256, 256)
    (False, True)
    """
    return rows > height and rows - height > 2 * (columns - width)
