"""Squares, small enough to be looked at by the hundred."""

from __future__ import annotations

from prep.images.decoded import Pixels
from prep.images.encode import make_encoder
from prep.images.resize import Resizer

#: Of their JPEGs.
QUALITY = 70


class Thumbnailer:
    """Makes thumbnails one after the other, in memory that it keeps. Not for two threads.

    Args:
        side: pixels that a thumbnail has on each side, at most.
    """

    def __init__(self, side: int) -> None:
        self._side = side
        self._resizer = Resizer(side, "area")
        self._encode = make_encoder("jpeg", QUALITY, None)

    def __call__(self, square: Pixels) -> bytes:
        """The bytes of a JPEG; of the same size where the square is small as it is.

        Args:
            square: uint8 (size, size, 3), RGB.
        """
        if square.shape[0] <= self._side:
            return self._encode(square)
        return self._encode(self._resizer.resize(square, self._side, self._side))
