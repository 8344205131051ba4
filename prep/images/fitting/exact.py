"""Crop between pixels, and resize with Pillow: ``cubic`` and ``lanczos``."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from prep.images.decoders.values import Decoded, Pixels
from prep.images.fitting.framing import Framing, Placement, shrink, stored_placement
from prep.images.fitting.orientation import UPRIGHT, upright
from prep.images.geometry import Area, Box, area_around
from prep.settings.choices import Interpolation

KERNELS = {"cubic": Image.Resampling.BICUBIC, "lanczos": Image.Resampling.LANCZOS}
# The radius of each kernel, in pixels of the larger of source and result.
_RADIUS = {"cubic": 2, "lanczos": 3}
# Pixels that Pillow is given at once: it copies its input, four bytes per pixel.
_BAND = 1 << 16
# The kernel hardly passes what a JPEG decoder leaves out where it leaves twice the size. So a JPEG
# and a PNG of one picture give nearly the same result: measured on photos of four times the size
# and more, 43 dB or better, and half a level per sample on average.
_OVERSAMPLING = 2


class ExactFitter:
    """Take exactly the part of an image that is wanted, and resize it without aliasing.

    The result is that of Pillow's ``resize(…, box=…)`` of the whole upright image. Rows are resized
    to their width first and columns to their height next, each rounded to 8 bits, as Pillow did for
    all images before version 13, which begins with the columns of tall ones
    (https://github.com/python-pillow/Pillow/pull/9549). Done here, the order does not depend on
    Pillow's version, and Pillow holds no more than a band of the image at any time.

    The bytes are the same on every CPU: Pillow's Resample.c is plain C without variants for SSE,
    AVX or Neon, and adds up 8-bit samples times 22-bit integer weights. (The fork Pillow-SIMD has
    such variants; it is another package.) The weights are rounded from double precision, whose last
    bit may differ between architectures: this moves a weight by 2⁻²² once in about a thousand
    million, which only changes a sample on the very edge between two levels.
    """

    def __init__(self, framing: Framing, interpolation: Interpolation) -> None:
        self._framing = framing
        self._kernel = KERNELS[interpolation]
        self._radius = _RADIUS[interpolation]

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
        source = pixels[area.top : area.bottom, area.left : area.right]
        narrow = self._resize_rows(source, box.left - area.left, box.width, placement.width)
        above = box.top - area.top
        of_narrow = (0, above, placement.width, above + box.height)
        size = placement.width, placement.height
        return np.asarray(narrow.resize(size, self._kernel, of_narrow))

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
        return math.ceil(self._radius * max(scale, 1)) + 1

    def _resize_rows(self, source: Pixels, left: float, width: float, size: int) -> Image.Image:
        """Resize ``width`` pixels of each row, from ``left`` on, to ``size`` pixels."""
        narrow = Image.new("RGB", (size, source.shape[0]))
        at_once = max(1, _BAND // source.shape[1])
        for row in range(0, source.shape[0], at_once):
            band = Image.fromarray(np.ascontiguousarray(source[row : row + at_once]))
            box = (left, 0, left + width, band.height)
            narrow.paste(band.resize((size, band.height), self._kernel, box), (0, row))
        return narrow
