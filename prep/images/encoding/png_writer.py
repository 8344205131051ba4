"""PNG files whose bytes depend on zlib's version alone.

OpenCV's PNG encoder uses the zlib that the operating system has, and Pillow's uses zlib-ng, which
chooses its algorithms by CPU. So this module writes the file itself. Python's zlib does the
compression, and its version is in the fingerprint of a plan.

Measured on 149 photos of 256 × 256 pixels: 2.8 ms and 117 kB per image. OpenCV takes 2.5 ms and
122 kB by default; libpng's adaptive filters at zlib level 6 take 13 ms and 111 kB.

Format: W3C PNG specification, third edition: chunks in sections 5 and 11.2, filters in section 9.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import numpy as np

from prep.images.decoders.png import SIGNATURE
from prep.images.decoders.values import Pixels

_AVERAGE = 3  # the filter type: a sample less the mean of its neighbours to the left and above
_LEVEL = 1
_BAND = 1 << 20  # samples that are filtered at once, which takes several times their memory
_COLOUR_TYPES = {1: 0, 3: 2}  # by samples per pixel: gray, RGB


def png_of(pixels: Pixels) -> bytes:
    """Encode pixels, uint8 (height, width, 1 or 3), gray or RGB, as PNG."""
    height, width, samples = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOUR_TYPES[samples], 0, 0, 0)
    return b"".join(
        (
            SIGNATURE,
            *_chunk(b"IHDR", header),
            *_chunk(b"IDAT", zlib.compress(_filtered(pixels).data, _LEVEL)),
            *_chunk(b"IEND", b""),
        )
    )


def _chunk(kind: bytes, data: bytes) -> Iterator[bytes]:
    """Yield the parts of a chunk."""
    yield struct.pack(">I", len(data)) + kind
    yield data
    yield struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))


def _filtered(pixels: Pixels) -> Pixels:
    """Return the scanlines, each filtered and with the type of its filter before it."""
    height, width, samples = pixels.shape
    rows = pixels.reshape(height, -1)
    lines = np.empty((height, 1 + width * samples), np.uint8)
    lines[:, 0] = _AVERAGE
    at_once = max(1, _BAND // (width * samples))
    for top in range(0, height, at_once):
        bottom = min(top + at_once, height)
        padded = np.zeros((1 + bottom - top, (width + 1) * samples), np.uint8)
        padded[1:, samples:] = rows[top:bottom]
        if top:
            padded[0, samples:] = rows[top - 1]
        left, above = padded[1:, :-samples], padded[:-1, samples:]
        # The mean of two samples, rounded down, without a ninth bit.
        mean = (left & above) + ((left ^ above) >> 1)
        np.subtract(padded[1:, samples:], mean, out=lines[top:bottom, 1:])
    return lines
