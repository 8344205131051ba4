"""Parts of images, and what a result needs of an image, as plain arithmetic."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import NamedTuple, Protocol


class Box(NamedTuple):
    """A part of an image, in pixels and fractions of them."""

    top: float
    left: float
    height: float
    width: float


class Area(NamedTuple):
    """A part of an image, in whole pixels; ``bottom`` and ``right`` are exclusive."""

    top: int
    left: int
    bottom: int
    right: int


class Needed(Protocol):
    """What a result needs of an image whose size and Exif orientation are known.

    ``height`` and ``width`` are those of the whole image as it is stored, in pixels.
    """

    def factor(self, height: int, width: int, orientation: int) -> int:
        """Return 1, 2, 4 or 8: by how much a JPEG decoder may shrink the image."""

    def area(self, height: int, width: int, orientation: int) -> Area:
        """Return the part of the image, as stored, that the result depends on, or more."""


class Everything:
    """The whole image, with all of its pixels."""

    def factor(self, height: int, width: int, orientation: int) -> int:
        """Return 1, because no pixel may be left out."""
        return 1

    def area(self, height: int, width: int, orientation: int) -> Area:
        """Return the area of the whole image."""
        return whole_area(height, width)


def whole_area(height: int, width: int) -> Area:
    """Return the area of the whole image."""
    return Area(0, 0, height, width)


def area_around(box: Box, margins: tuple[int, int], height: int, width: int) -> Area:
    """Return all pixels that a box touches, and more on each side, within the image.

    Args:
        margins: how many more above and below, and how many left and right.
        height, width: of the image, in pixels.

    >>> area_around(Box(0.0, 62.5, 375.0, 375.0), (1, 1), 375, 500)
    Area(top=0, left=61, bottom=375, right=439)
    """
    rows, columns = margins
    return Area(
        max(math.floor(box.top) - rows, 0),
        max(math.floor(box.left) - columns, 0),
        min(math.ceil(box.top + box.height) + rows, height),
        min(math.ceil(box.left + box.width) + columns, width),
    )


def shrink_factor(pixels: Fraction | int, at_least: int) -> int:
    """Return the largest of 1, 2, 4 and 8 that leaves ``pixels`` no less than ``at_least``.

    A JPEG decoder can shrink by these factors while it decodes, which is faster than decoding all
    of the detail.

    >>> [shrink_factor(n, 256) for n in (255, 511, 512, 1024, 9999)]
    [1, 1, 2, 4, 8]
    """
    return next((n for n in (8, 4, 2) if pixels >= at_least * n), 1)
