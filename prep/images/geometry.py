"""The position of the centre crop in an image, as plain arithmetic.

Resizing an image until its shorter side fits and then cropping the centre gives the same picture as
cropping the centre first and resizing only that. The latter costs less, and an image of
1 × 65000 pixels can't blow up.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple


class Axis(NamedTuple):
    """One axis of a crop at whole pixels, which is resized and then trimmed to the final size.

    Attributes:
        start, length: the pixels to take.
        resized: the number of pixels to resize them to.
        trim: the number of these to cut off at the beginning.
    """

    start: int
    length: int
    resized: int
    trim: int


@lru_cache(maxsize=4096)  # Photos come in few sizes.
def fit_crop(
    height: int,
    width: int,
    size: int,
    *,
    factor: int = 1,
    flip_rows: bool = False,
    flip_columns: bool = False,
) -> tuple[Axis, Axis]:
    """Return the rows and the columns that give the ``size`` × ``size`` centre crop of an image.

    If the margin is odd, the exact centre lies between two pixels. When shrinking, half a source
    pixel is less than half a pixel of the result, so the nearest whole pixel will do. When
    enlarging it would be more, so the crop is one source pixel longer, and the excess is trimmed
    after resizing. Either way, centre and aspect are exact to within half a pixel of the result.

    Args:
        height, width: of the whole image, in pixels.
        factor: by which the source has been shrunk already, to ⌈height / factor⌉ ×
            ⌈width / factor⌉ pixels.
        flip_rows, flip_columns: whether the result will be flipped along this axis. An odd margin
            is then split the other way round, so that the picture is the same as if it had been
            stored upright.
    """
    short = min(height, width)
    return (
        _axis(height, short, size, factor, flip_rows),
        _axis(width, short, size, factor, flip_columns),
    )


def _axis(length: int, short: int, size: int, factor: int, flipped: bool) -> Axis:
    side = (2 * short + factor) // (2 * factor)  # short / factor, rounded
    margin = length - side * factor  # on both sides together, in pixels at full size
    if margin % 2 == 0 or short >= size:
        # margin / 2 / factor, rounded; a half goes down, or up if flipped.
        lower, upper = -((factor - margin) // (2 * factor)), (margin + factor) // (2 * factor)
        return Axis(start=upper if flipped else lower, length=side, resized=size, trim=0)
    resized = size + (2 * size + short) // (2 * short)  # size · (short + 1) / short, rounded
    return Axis(margin // 2, short + 1, resized, trim=(resized - size + flipped) // 2)


class CropBox(NamedTuple):
    """A square crop of an image, in pixels and fractions of them."""

    top: float
    left: float
    side: float


def exact_crop(height: int, width: int, factor: int = 1) -> CropBox:
    """Return the centre crop of an image; it begins between two pixels if the margin is odd.

    Args:
        height, width, factor: as for :func:`fit_crop`.

    >>> exact_crop(375, 500)
    CropBox(top=0.0, left=62.5, side=375.0)
    """
    short = min(height, width)
    return CropBox((height - short) / 2 / factor, (width - short) / 2 / factor, short / factor)


class Area(NamedTuple):
    """A part of an image, in whole pixels; ``bottom`` and ``right`` are exclusive."""

    top: int
    left: int
    bottom: int
    right: int


#: A function of an image's height and width that returns the part of it that is needed.
AreaNeeded = Callable[[int, int], Area]


def whole_area(height: int, width: int) -> Area:
    """Return the area of the whole image."""
    return Area(0, 0, height, width)


def area_around(box: CropBox, margin: int, height: int, width: int) -> Area:
    """Return all pixels that a box touches and ``margin`` more per side, within the image."""
    top, left, side = box
    return Area(
        max(math.floor(top) - margin, 0),
        max(math.floor(left) - margin, 0),
        min(math.ceil(top + side) + margin, height),
        min(math.ceil(left + side) + margin, width),
    )


def shrink_factor(short: int, at_least: int) -> int:
    """Return the largest of 1, 2, 4 and 8 that leaves ``short`` pixels no less than ``at_least``.

    A JPEG decoder can shrink by these factors while it decodes, which is faster than decoding all
    of the detail.

    >>> [shrink_factor(n, 256) for n in (255, 511, 512, 1024, 9999)]
    [1, 1, 2, 4, 8]
    """
    return next((n for n in (8, 4, 2) if short >= at_least * n), 1)
