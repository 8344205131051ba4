"""One axis of an image, cut at whole pixels, as plain arithmetic."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import NamedTuple

_HALF = Fraction(1, 2)


class Axis(NamedTuple):
    """One axis of a part at whole pixels, which is resized and then trimmed to the final size.

    Attributes:
        start, length: the pixels to take.
        resized: the number of pixels to resize them to.
        trim: the number of these to cut off at the beginning.
    """

    start: int
    length: int
    resized: int
    trim: int


def whole_axis(
    length: int, kept: Fraction, size: int, *, factor: int = 1, flipped: bool = False
) -> Axis:
    """Return the pixels along one axis that become ``size`` pixels of the result.

    The part that is wanted may begin between two pixels. When shrinking, half a source pixel is
    less than half a pixel of the result, so the nearest whole pixel will do. When enlarging it
    would be more, so all pixels that the part touches are taken, and the excess is trimmed after
    resizing. Either way, centre and aspect are exact to within half a pixel of the result.

    Args:
        length: of the whole image along this axis, in pixels.
        kept: of the part in its middle.
        factor: by which the source has been shrunk already, to ⌈length / factor⌉ pixels.
        flipped: whether the result will be flipped along this axis. An odd margin is then split
            the other way round, so that the picture is the same as if it had been stored upright.
    """
    side = max(1, math.floor(kept / factor + _HALF))
    margin = length - side * factor  # on both sides together, in pixels at full size
    if kept >= size or (kept.denominator == 1 and margin % 2 == 0):
        # margin / 2 / factor, rounded; a half goes down, or up if flipped.
        lower, upper = -((factor - margin) // (2 * factor)), (margin + factor) // (2 * factor)
        return Axis(start=upper if flipped else lower, length=side, resized=size, trim=0)
    start = math.floor((length - kept) / 2)
    taken = length - 2 * start
    resized = math.floor(size * taken / kept + _HALF)
    return Axis(start, taken, resized, trim=(resized - size + flipped) // 2)
