"""Which part of an image becomes the square, as plain arithmetic.

The article resizes the whole image until its shorter side fits, then crops the centre. Cropping the
central square first and resizing only that gives the same picture, costs less, and can't blow up
on an image of 1 × 65000.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """Crop ``[top:top+height, left:left+width]``, resize that to ``resized_height`` ×
    ``resized_width``, and cut ``size`` × ``size`` out of it from (``trim_top``, ``trim_left``).
    """

    top: int
    left: int
    height: int
    width: int
    resized_height: int
    resized_width: int
    trim_top: int
    trim_left: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Axis:
    start: int
    length: int
    resized: int
    trim: int


@lru_cache(maxsize=4096)  # Photos come in few sizes.
def fit_square(
    height: int,
    width: int,
    size: int,
    *,
    factor: int = 1,
    flip_rows: bool = False,
    flip_columns: bool = False,
) -> Fit:
    """Fits the central square of a ``height`` × ``width`` image to ``size`` × ``size``.

    Where the margin is odd, the exact centre lies between two pixels. When shrinking, half a source
    pixel is less than half a pixel of the result, and the nearest whole one will do. When enlarging
    it would be more, so one source pixel more is taken, and the excess is cut off after resizing.
    Either way the centre is exact, and the aspect kept, to within half a pixel of the result.

    Args:
        factor: by which the pixels to crop from have been shrunk already: there are
            ⌈height / factor⌉ × ⌈width / factor⌉ of them.
        flip_rows: the result will be turned upside down, so an odd margin is split the other way
            round: the picture is then the same as if it had been stored upright.
        flip_columns: the same for left and right.
    """
    short = min(height, width)
    rows = _axis(height, short, size, factor, flip_rows)
    columns = _axis(width, short, size, factor, flip_columns)
    return Fit(
        top=rows.start,
        left=columns.start,
        height=rows.length,
        width=columns.length,
        resized_height=rows.resized,
        resized_width=columns.resized,
        trim_top=rows.trim,
        trim_left=columns.trim,
    )


def _axis(length: int, short: int, size: int, factor: int, flipped: bool) -> _Axis:
    side = (2 * short + factor) // (2 * factor)  # short / factor, rounded
    margin = length - side * factor  # on both sides together, in pixels at full size
    if margin % 2 == 0 or short >= size:
        # margin / 2 / factor, rounded; a half goes down, or up if flipped.
        lower, upper = -((factor - margin) // (2 * factor)), (margin + factor) // (2 * factor)
        return _Axis(start=upper if flipped else lower, length=side, resized=size, trim=0)
    resized = size + (2 * size + short) // (2 * short)  # size · (short + 1) / short, rounded
    return _Axis(
        start=margin // 2, length=short + 1, resized=resized, trim=(resized - size + flipped) // 2
    )


class Square(NamedTuple):
    """A square within an image, in pixels and fractions of them."""

    top: float
    left: float
    side: float


def exact_square(height: int, width: int, factor: int = 1) -> Square:
    """The central square of an image; where its margin is odd, it begins between two pixels.

    Args:
        factor: by which its pixels have been shrunk already, see :func:`fit_square`.

    >>> exact_square(375, 500)
    Square(top=0.0, left=62.5, side=375.0)
    """
    short = min(height, width)
    return Square((height - short) / 2 / factor, (width - short) / 2 / factor, short / factor)


class Area(NamedTuple):
    """A part of an image, in whole pixels: rows from ``top`` to ``bottom``, that one left out."""

    top: int
    left: int
    bottom: int
    right: int


#: Tells by an image's height and width which part of it is needed.
AreaNeeded = Callable[[int, int], Area]


def whole(height: int, width: int) -> Area:
    """All of an image."""
    return Area(0, 0, height, width)


def area_around(square: Square, margin: int, height: int, width: int) -> Area:
    """All pixels that a square touches, and ``margin`` more on each side, as far as there are."""
    top, left, side = square
    return Area(
        max(math.floor(top) - margin, 0),
        max(math.floor(left) - margin, 0),
        min(math.ceil(top + side) + margin, height),
        min(math.ceil(left + side) + margin, width),
    )


def shrink_factor(short: int, at_least: int) -> int:
    """The largest of 1, 2, 4 and 8 that divides ``short`` without falling below ``at_least``.

    A JPEG decoder can leave out that much detail while it decodes, which is faster than decoding
    all of it.

    >>> [shrink_factor(n, 256) for n in (255, 511, 512, 1024, 9999)]
    [1, 1, 2, 4, 8]
    """
    if short < 2 * at_least:
        return 1
    return next(n for n in (8, 4, 2) if short >= at_least * n)
