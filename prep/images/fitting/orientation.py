"""Exif orientations: how pictures are stored, and how to turn them upright."""

from __future__ import annotations

from typing import NamedTuple

from prep.images.decoders.values import Pixels


class Turn(NamedTuple):
    """The steps that turn a stored picture upright: transpose it, then flip rows and columns."""

    transpose: bool
    flip_rows: bool
    flip_columns: bool


#: The turn for each Exif orientation. Exif 2.3, section 4.6.4, tag Orientation.
UPRIGHT = {
    1: Turn(False, False, False),
    2: Turn(False, False, True),
    3: Turn(False, True, True),
    4: Turn(False, True, False),
    5: Turn(True, False, False),
    6: Turn(True, False, True),
    7: Turn(True, True, True),
    8: Turn(True, True, False),
}


def upright_size(height: int, width: int, orientation: int) -> tuple[int, int]:
    """Return the height and the width of a stored picture once it is upright.

    >>> upright_size(300, 400, 1), upright_size(300, 400, 6)
    ((300, 400), (400, 300))
    """
    return (width, height) if UPRIGHT[orientation].transpose else (height, width)


def upright(pixels: Pixels, orientation: int) -> Pixels:
    """Return an upright view of pixels with this Exif orientation."""
    transpose, flip_rows, flip_columns = UPRIGHT[orientation]
    if transpose:
        pixels = pixels.transpose(1, 0, 2)
    return pixels[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1]
