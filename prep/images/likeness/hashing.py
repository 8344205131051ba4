"""Hash pixels so that images that look alike have hashes that differ in few bits.

The perceptual hash of Zauner (2010), "Implementation and Benchmarking of Perceptual Image Hash
Functions", with two changes: the bits are the signs of the coefficients, not their comparison with
the median, and they are the 64 lowest frequencies of both axes together. So the hash of the mirror
image follows from that of the image: mirroring turns the signs of all odd horizontal frequencies.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from prep.images.decoders.values import Pixels
from prep.images.rgbx import as_rgb

#: Hashes of many images.
Hashes = npt.NDArray[np.uint64]
#: Where some of them are.
Positions = npt.NDArray[np.int64]

BITS = 64
#: Hexadecimal digits of a hash.
DIGITS = 16
#: The hash of an image of one colour, and of one that was not hashed: neither is like any other.
UNKNOWN = 0
_SIDE = 32  # pixels on each side that an image is averaged to

_FREQUENCIES = sorted(
    ((v, u) for v in range(_SIDE) for u in range(_SIDE) if v + u), key=lambda f: (sum(f), max(f), f)
)[:BITS]
_ROWS, _COLUMNS = np.array(_FREQUENCIES).T
_HIGHEST = int(max(_ROWS.max(), _COLUMNS.max()))
# The cosines of the DCT as whole numbers. Their products with pixels, and the sums of these, are
# whole numbers below 2 ** 53: exact as float64, in whatever order they are added.
_POSITIONS = 2 * np.arange(_SIDE) + 1
_COSINES = np.rint(
    1024 * np.cos(np.pi * _POSITIONS * np.arange(_HIGHEST + 1)[:, None] / (2 * _SIDE))
)


def hash_pixels(pixels: Pixels) -> int:
    """Return the hash of an image, uint8 (h, w), (h, w, 1) or (h, w, 3), RGB.

    The result is from 0 to 2 ** 64 - 1, ``UNKNOWN`` for an image of one colour.

    >>> hash_pixels(np.zeros((8, 8, 3), np.uint8))
    0
    """
    colour = pixels.ndim == 3 and pixels.shape[2] == 3
    gray = cv2.cvtColor(as_rgb(pixels), cv2.COLOR_RGB2GRAY) if colour else pixels
    small = cv2.resize(gray, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float64)
    coefficients = _COSINES @ small @ _COSINES.T
    return int.from_bytes(np.packbits(coefficients[_ROWS, _COLUMNS] > 0).tobytes())


#: The bits in which the hash of an image differs from that of its mirror image.
MIRROR = int.from_bytes(np.packbits(_COLUMNS % 2 == 1).tobytes())
