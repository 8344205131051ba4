"""Decoded pixels → the upright central square, by either of two ways.

``area`` and ``linear`` crop at whole pixels and resize with OpenCV; ``cubic`` and ``lanczos`` crop
at the exact centre and resize with Pillow.

Resizing by whole pixels with OpenCV, at little cost.
"""

from __future__ import annotations

import math
from typing import Protocol

import cv2
import numpy as np
from PIL import Image

from prep.images.decoders.base import Decoded, Pixels
from prep.images.geometry import Area, Square, area_around, exact_square, fit_square
from prep.settings import Interpolation

# For each Exif orientation, what turns the stored picture upright: (transpose, then flip the rows,
# flip the columns). Exif 2.3, section 4.6.4, tag Orientation.
_UPRIGHT = {
    1: (False, False, False),
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}
_PILLOWS = {"cubic": Image.Resampling.BICUBIC, "lanczos": Image.Resampling.LANCZOS}
# How far from its centre each of them reaches, in pixels of the larger of source and result.
_REACH = {"cubic": 2, "lanczos": 3}
# Pixels that Pillow is handed at once: it copies what it is handed, four bytes a pixel.
_BAND = 1 << 16


class CentreCrop(Protocol):
    """Makes squares one after the other. Not for use by two threads."""

    @property
    def source_needed(self) -> int:
        """The side of a source from which the result is nearly as good as from a larger one."""

    def area_needed(self, height: int, width: int) -> Area:
        """The part of an image of this height and width that the result depends on, or more."""

    def __call__(self, decoded: Decoded) -> Pixels:
        """The upright central square, uint8 (size, size, 3), RGB, contiguous.

        It may lie in memory that the next call overwrites.
        """


def make_crop(size: int, interpolation: Interpolation) -> CentreCrop:
    """The way to squares of ``size`` × ``size`` by this interpolation."""
    if interpolation in _PILLOWS:
        return ExactCrop(size, interpolation)
    return WholePixelCrop(size, interpolation)


class WholePixelCrop:
    """Crops at whole pixels, within half a pixel of the centre, and resizes with OpenCV."""

    def __init__(self, size: int, interpolation: Interpolation) -> None:
        self._size = size
        self._resizer = Resizer(size, interpolation)

    @property
    def source_needed(self) -> int:
        return self._resizer.source_needed

    def area_needed(self, height: int, width: int) -> Area:
        return area_around(exact_square(height, width), 1, height, width)

    def __call__(self, decoded: Decoded) -> Pixels:
        transpose, flip_rows, flip_columns = _UPRIGHT[decoded.orientation]
        stored_flips = (flip_columns, flip_rows) if transpose else (flip_rows, flip_columns)
        fit = fit_square(
            decoded.height,
            decoded.width,
            self._size,
            factor=decoded.factor,
            flip_rows=stored_flips[0],
            flip_columns=stored_flips[1],
        )
        top, left = fit.top - decoded.top, fit.left - decoded.left
        crop = decoded.pixels[top : top + fit.height, left : left + fit.width]
        resized = self._resizer.resize(crop, fit.resized_height, fit.resized_width)
        square = resized[
            fit.trim_top : fit.trim_top + self._size, fit.trim_left : fit.trim_left + self._size
        ]
        if transpose:
            square = square.transpose(1, 0, 2)
        square = square[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1]
        return np.ascontiguousarray(square)


class ExactCrop:
    """Crops at the exact centre, between pixels if need be, and resizes without aliasing.

    The result is that of Pillow's ``resize(…, box=…)`` of the whole upright image. Rows are brought
    to their width first and columns to their height after it, each rounded to 8 bits, as Pillow did
    for all images before version 13, which begins with the columns of tall ones
    (https://github.com/python-pillow/Pillow/pull/9549). Done here, the order does not depend on
    its version, and no more than a band of the image is in Pillow's hands at any time.

    The bytes are the same on every CPU: Pillow's Resample.c is plain C, without variants for SSE,
    AVX or Neon, and adds up 8-bit samples times 22-bit integer weights. (The fork Pillow-SIMD has
    such variants; it is another package.) The weights are rounded from double precision, whose last
    bit may differ between architectures: that moves a weight by 2⁻²² once in about a thousand
    million, and with it no sample but one that lies on the very edge between two levels.
    """

    def __init__(self, size: int, interpolation: Interpolation) -> None:
        self._size = size
        self._kernel = _PILLOWS[interpolation]
        self._reach = _REACH[interpolation]

    @property
    def source_needed(self) -> int:
        """Twice the size: what a JPEG decoder leaves out then hardly gets through the kernel.

        So the same picture gives nearly the same square as a JPEG and as a PNG: measured on photos
        of four times the size and more, 43 dB or better, and half a level a sample on average.
        """
        return 2 * self._size

    def area_needed(self, height: int, width: int) -> Area:
        square = exact_square(height, width)
        return area_around(square, self._margin(square.side), height, width)

    def __call__(self, decoded: Decoded) -> Pixels:
        top, left, side = exact_square(decoded.height, decoded.width, decoded.factor)
        square = Square(top - decoded.top, left - decoded.left, side)
        pixels, (top, left, side) = _upright(decoded.pixels, square, decoded.orientation)
        height, width, _ = pixels.shape
        seen = area_around(Square(top, left, side), self._margin(side), height, width)
        crop = pixels[seen.top : seen.bottom, seen.left : seen.right]
        narrow = self._narrowed(crop, left - seen.left, side)
        box = (0, top - seen.top, self._size, top - seen.top + side)
        return np.asarray(narrow.resize((self._size, self._size), self._kernel, box))

    def _margin(self, side: float) -> int:
        return math.ceil(self._reach * max(side / self._size, 1)) + 1

    def _narrowed(self, crop: Pixels, left: float, side: float) -> Image.Image:
        """The part of ``crop`` from ``left`` on, brought to the width of the square."""
        height, width, _ = crop.shape
        narrow = Image.new("RGB", (self._size, height))
        at_once = max(1, _BAND // width)
        for row in range(0, height, at_once):
            band = Image.fromarray(np.ascontiguousarray(crop[row : row + at_once]))
            box = (left, 0, left + side, band.height)
            narrow.paste(band.resize((self._size, band.height), self._kernel, box), (0, row))
        return narrow


def _upright(pixels: Pixels, square: Square, orientation: int) -> tuple[Pixels, Square]:
    """A view of the pixels as they are to be seen, and where the square lies in it."""
    transpose, flip_rows, flip_columns = _UPRIGHT[orientation]
    top, left, side = square
    if transpose:
        pixels, top, left = pixels.transpose(1, 0, 2), left, top
    if flip_rows:
        pixels, top = pixels[::-1], pixels.shape[0] - top - side
    if flip_columns:
        pixels, left = pixels[:, ::-1], pixels.shape[1] - left - side
    return pixels, Square(top, left, side)


# Where supersampling takes over from OpenCV's INTER_AREA, as source pixels per result pixel.
# Below, INTER_AREA is visibly sharper (at 1.25, 43.6 dB against 41.4, the reference being Pillow's
# antialiased bicubic); from here up to 2 the two come within a decibel of each other.
_SUPERSAMPLE_FROM, _SUPERSAMPLE_TO = 1.3, 2.0


class Resizer:
    """Resizes to ``size`` × ``size`` or a little more; keeps its memory from call to call.

    Args:
        interpolation: ``area`` or ``linear``; for the others see :mod:`prep.images.crop`.
    """

    def __init__(self, size: int, interpolation: Interpolation) -> None:
        self._size = size
        self._interpolation = interpolation
        self._doubled: Pixels | None = None

    @property
    def source_needed(self) -> int:
        """The side of a source from which the result is as good as from a larger one.

        For ``area``, twice the size. What a JPEG decoder leaves out when it shrinks is then
        averaged over, which costs one or two decibels of about 40, and is several times faster for
        photos of a phone's size. ``linear`` aliases, and gains some decibels from a decoder that
        shrinks as far as it can.
        """
        return 2 * self._size if self._interpolation == "area" else self._size

    def resize(self, source: Pixels, height: int, width: int) -> Pixels:
        """Resizes uint8 (h, w, 3) to (``height``, ``width``, 3).

        The result may be ``source`` itself, if there is nothing to do.
        """
        if source.shape[:2] == (height, width):
            return source
        if self._interpolation == "linear":
            return _cv2_resize(source, height, width, cv2.INTER_LINEAR)
        ratio = min(source.shape[0] / height, source.shape[1] / width)
        if ratio < 1:
            return _cv2_resize(source, height, width, cv2.INTER_CUBIC)
        if _SUPERSAMPLE_FROM <= ratio < _SUPERSAMPLE_TO:
            return self._supersample(source)
        return _cv2_resize(source, height, width, cv2.INTER_AREA)

    def _supersample(self, source: Pixels) -> Pixels:
        """Linear to twice the size, then the exact average of each 2 × 2.

        That is an antialiasing filter made of OpenCV's two fastest paths: a third of the cost of
        INTER_AREA at a fractional ratio, with less of the frequencies that would alias.
        """
        if self._doubled is None:
            self._doubled = np.empty((2 * self._size, 2 * self._size, 3), np.uint8)
        cv2.resize(
            source,
            (2 * self._size, 2 * self._size),
            dst=self._doubled,
            interpolation=cv2.INTER_LINEAR,
        )
        return _cv2_resize(self._doubled, self._size, self._size, cv2.INTER_AREA)


def _cv2_resize(source: Pixels, height: int, width: int, kernel: int) -> Pixels:
    out: Pixels = cv2.resize(source, (width, height), interpolation=kernel)  # type: ignore[assignment]
    return out
