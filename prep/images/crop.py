"""Decoded pixels → the upright centre crop, by either of two methods.

``area`` and ``linear`` crop at whole pixels and resize with OpenCV; ``cubic`` and ``lanczos`` crop
at the exact centre and resize with Pillow.
"""

from __future__ import annotations

import math
from typing import Protocol

import cv2
import numpy as np
from PIL import Image

from prep.images.decoders.values import Decoded, Pixels
from prep.images.geometry import Area, CropBox, area_around, exact_crop, fit_crop
from prep.settings.choices import Interpolation

# For each Exif orientation, the steps that turn the stored picture upright: (transpose, then flip
# the rows, flip the columns). Exif 2.3, section 4.6.4, tag Orientation.
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
_PILLOW_KERNELS = {"cubic": Image.Resampling.BICUBIC, "lanczos": Image.Resampling.LANCZOS}
# The radius of each kernel, in pixels of the larger of source and result.
_RADIUS = {"cubic": 2, "lanczos": 3}
# Pixels that Pillow is given at once: it copies its input, four bytes per pixel.
_BAND = 1 << 16


class CentreCrop(Protocol):
    """Make centre crops one after the other. Not thread-safe."""

    @property
    def source_needed(self) -> int:
        """The side of a source that gives nearly as good a result as any larger one."""

    def area_needed(self, height: int, width: int) -> Area:
        """Return the part of an image that the result depends on, or more."""

    def __call__(self, decoded: Decoded) -> Pixels:
        """Return the upright centre crop, uint8 (size, size, 3), RGB, contiguous.

        It may lie in memory that the next call overwrites.
        """


def make_crop(size: int, interpolation: Interpolation) -> CentreCrop:
    """Return the crop to ``size`` × ``size`` pixels for this interpolation."""
    kind = ExactCrop if interpolation in _PILLOW_KERNELS else WholePixelCrop
    return kind(size, interpolation)


class WholePixelCrop:
    """Crop at whole pixels, within half a pixel of the centre, and resize with OpenCV."""

    def __init__(self, size: int, interpolation: Interpolation) -> None:
        self._size = size
        self._resizer = Resizer(size, interpolation)

    @property
    def source_needed(self) -> int:
        return self._resizer.source_needed

    def area_needed(self, height: int, width: int) -> Area:
        return area_around(exact_crop(height, width), 1, height, width)

    def __call__(self, decoded: Decoded) -> Pixels:
        transpose, *flips = _UPRIGHT[decoded.orientation]
        flip_rows, flip_columns = reversed(flips) if transpose else flips
        rows, columns = fit_crop(
            decoded.height,
            decoded.width,
            self._size,
            factor=decoded.factor,
            flip_rows=flip_rows,
            flip_columns=flip_columns,
        )
        top, left = rows.start - decoded.top, columns.start - decoded.left
        source = decoded.pixels[top : top + rows.length, left : left + columns.length]
        resized = self._resizer.resize(source, rows.resized, columns.resized)
        crop = resized[rows.trim :, columns.trim :][: self._size, : self._size]
        return np.ascontiguousarray(_upright(crop, decoded.orientation))


class ExactCrop:
    """Crop at the exact centre, between pixels if need be, and resize without aliasing.

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

    def __init__(self, size: int, interpolation: Interpolation) -> None:
        self._size = size
        self._kernel = _PILLOW_KERNELS[interpolation]
        self._radius = _RADIUS[interpolation]

    @property
    def source_needed(self) -> int:
        """Twice the size: the kernel hardly passes what a JPEG decoder then leaves out.

        So a JPEG and a PNG of one picture give nearly the same crop: measured on photos of four
        times the size and more, 43 dB or better, and half a level per sample on average.
        """
        return 2 * self._size

    def area_needed(self, height: int, width: int) -> Area:
        box = exact_crop(height, width)
        return area_around(box, self._margin(box.side), height, width)

    def __call__(self, decoded: Decoded) -> Pixels:
        top, left, side = exact_crop(decoded.height, decoded.width, decoded.factor)
        top, left = top - decoded.top, left - decoded.left
        height, width, _ = decoded.pixels.shape
        transpose, flip_rows, flip_columns = _UPRIGHT[decoded.orientation]
        if transpose:
            top, left, height, width = left, top, width, height
        top = height - top - side if flip_rows else top
        left = width - left - side if flip_columns else left
        area = area_around(CropBox(top, left, side), self._margin(side), height, width)
        upright = _upright(decoded.pixels, decoded.orientation)
        source = upright[area.top : area.bottom, area.left : area.right]
        narrow = self._resize_rows(source, left - area.left, side)
        box = (0, top - area.top, self._size, top - area.top + side)
        return np.asarray(narrow.resize((self._size, self._size), self._kernel, box))

    def _margin(self, side: float) -> int:
        return math.ceil(self._radius * max(side / self._size, 1)) + 1

    def _resize_rows(self, source: Pixels, left: float, side: float) -> Image.Image:
        """Resize ``side`` pixels of each row, from ``left`` on, to the width of the result."""
        height, width, _ = source.shape
        narrow = Image.new("RGB", (self._size, height))
        at_once = max(1, _BAND // width)
        for row in range(0, height, at_once):
            band = Image.fromarray(np.ascontiguousarray(source[row : row + at_once]))
            box = (left, 0, left + side, band.height)
            narrow.paste(band.resize((self._size, band.height), self._kernel, box), (0, row))
        return narrow


def _upright(pixels: Pixels, orientation: int) -> Pixels:
    """Return an upright view of pixels with this Exif orientation."""
    transpose, flip_rows, flip_columns = _UPRIGHT[orientation]
    if transpose:
        pixels = pixels.transpose(1, 0, 2)
    return pixels[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1]


# Source pixels per result pixel from which, and up to which, supersampling replaces INTER_AREA.
# Below, INTER_AREA is visibly sharper (at 1.25, 43.6 dB against 41.4, the reference being Pillow's
# antialiased bicubic); in this range, the two are within a decibel of each other.
_SUPERSAMPLE_FROM, _SUPERSAMPLE_TO = 1.3, 2.0


class Resizer:
    """Resize with OpenCV to ``size`` × ``size`` pixels or a little more, in reused memory.

    Args:
        interpolation: ``area`` or ``linear``.
    """

    def __init__(self, size: int, interpolation: Interpolation) -> None:
        self._size = size
        self._interpolation = interpolation
        self._doubled: Pixels | None = None

    @property
    def source_needed(self) -> int:
        """The side of a source that gives as good a result as any larger one.

        For ``area``, twice the size. What a JPEG decoder leaves out when it shrinks is then
        averaged over, which costs one or two decibels of about 40, and is several times faster for
        photos of a phone's size. ``linear`` aliases, and gains some decibels from a decoder that
        shrinks as far as it can.
        """
        return 2 * self._size if self._interpolation == "area" else self._size

    def resize(self, source: Pixels, height: int, width: int) -> Pixels:
        """Resize uint8 (h, w, 3) to (``height``, ``width``, 3); return ``source`` if it fits."""
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
        """Resize linearly to twice the size, then average each 2 × 2 pixels exactly.

        This antialiasing filter is made of OpenCV's two fastest paths: a third of the cost of
        INTER_AREA at a fractional ratio, with less of the frequencies that would alias.
        """
        side = 2 * self._size
        if self._doubled is None:
            self._doubled = np.empty((side, side, 3), np.uint8)
        cv2.resize(source, (side, side), self._doubled, interpolation=cv2.INTER_LINEAR)
        return _cv2_resize(self._doubled, self._size, self._size, cv2.INTER_AREA)


def _cv2_resize(source: Pixels, height: int, width: int, kernel: int) -> Pixels:
    return cv2.resize(source, (width, height), interpolation=kernel)  # type: ignore[return-value]
