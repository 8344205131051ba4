"""Crop between pixels: every kernel but ``area`` and ``linear``."""

from __future__ import annotations

import math
from functools import lru_cache, partial
from typing import NamedTuple, Protocol

import numpy as np

from prep.images.decoders.values import Decoded, Pixels
from prep.images.fitting.framing import Framing, Placement, placement_of, shrink, stored_placement
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
        self._cut = lru_cache(maxsize=4096)(partial(_cut_of, framing, kernel.radius))
        self.padded = kernel.padded

    def factor(self, height: int, width: int, orientation: int) -> int:
        """See :class:`prep.images.geometry.Needed`."""
        return shrink(self._framing, _OVERSAMPLING, height, width, orientation)

    def area(self, height: int, width: int, orientation: int) -> Area:
        """See :class:`prep.images.geometry.Needed`."""
        placement = stored_placement(self._framing, height, width, orientation)
        box = placement.box(height, width)
        return area_around(box, _margins(self._kernel.radius, box, placement), height, width)

    def __call__(self, decoded: Decoded) -> Pixels:
        """See :class:`prep.images.fitting.fitter.Fitter`."""
        pixels, orientation = decoded.pixels, decoded.orientation
        if orientation != 1:
            pixels = upright(pixels, orientation)
        rows, columns, _ = pixels.shape
        place = _Place(decoded.top, decoded.left, rows, columns, decoded.factor)
        cut = self._cut(decoded.height, decoded.width, orientation, place)
        top, left, bottom, right = cut.area
        if not cut.resized:
            return np.ascontiguousarray(pixels[top:bottom, left:right])
        box = cut.box
        if self.padded and (rgbx := rgbx_of(pixels)) is not None:
            source = pixels if bottom - top == rows else rgb_view(rgbx[top:bottom])
            box = cut.box_in_rows
        else:
            source = pixels[top:bottom, left:right]
        return self._kernel(source, box, cut.height, cut.width, columns_first=cut.columns_first)


class _Place(NamedTuple):
    """The position of decoded pixels in an image: see :class:`Decoded`, and their upright shape."""

    top: int
    left: int
    rows: int
    columns: int
    factor: int


class _Cut(NamedTuple):
    """The part of upright pixels that becomes the result.

    Attributes:
        area: the pixels that the result depends on.
        box: the part, in pixels of the area.
        box_in_rows: the part, in pixels of all of the area's rows.
        height, width: of the result.
        columns_first: the order of the passes.
        resized: False if each pixel of the area is one of the result.
    """

    area: Area
    box: Box
    box_in_rows: Box
    height: int
    width: int
    columns_first: bool
    resized: bool


def _cut_of(
    framing: Framing, radius: int, height: int, width: int, orientation: int, place: _Place
) -> _Cut:
    """Return the part of upright pixels that a framing takes.

    Args:
        radius: of the kernel.
        height, width, orientation: of the whole image, as it is stored.
    """
    rows, columns = upright_size(height, width, orientation)
    placement = placement_of(framing, rows, columns)
    size = placement.height, placement.width
    box = _upright_box(
        placement.stored(orientation).box(height, width, place.factor), place, orientation
    )
    if not placement.resized:
        top, left = math.floor(box.top), math.floor(box.left)
        area = Area(top, left, top + placement.height, left + placement.width)
        return _Cut(area, box, box, *size, columns_first=False, resized=False)
    area = area_around(box, _margins(radius, box, placement), place.rows, place.columns)
    in_rows = box._replace(top=box.top - area.top)
    box = in_rows._replace(left=box.left - area.left)
    columns_first = is_tall(rows, columns, *(placement.whole or size))
    return _Cut(area, box, in_rows, *size, columns_first, resized=True)


def _upright_box(stored: Box, place: _Place, orientation: int) -> Box:
    """Return the position of a part among the decoded pixels, once these are upright."""
    transpose, flip_rows, flip_columns = UPRIGHT[orientation]
    top, left, height, width = stored
    top, left = top - place.top, left - place.left
    if transpose:
        top, left, height, width = left, top, width, height
    return Box(
        place.rows - top - height if flip_rows else top,
        place.columns - left - width if flip_columns else left,
        height,
        width,
    )


def _margins(radius: int, box: Box, placement: Placement) -> tuple[int, int]:
    """Return how many pixels beside a box the kernel reads: above and below, left and right."""
    scales = box.height / placement.height, box.width / placement.width
    above, beside = (math.ceil(radius * max(scale, 1)) + 1 for scale in scales)
    return above, beside


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
