"""How far a lossy encoding may move the mean of what it encodes, per channel, in levels.

JPEG has a strict bound. Quantisation changes Y, Cb and Cr; halving chroma and interpolating it
leaves its mean. To this come the roundings of each sample: of Y, Cb and Cr, in both transforms, and
of the colours. Values beyond 0 and 255, which are cut off, are left out at first: see
:func:`clipping_tolerance`.

WebP has measured bounds. libwebp averages chroma in linear light, which moves the mean where
saturated colours alternate from pixel to pixel: by 66 levels at worst in 4,000 synthetic patterns,
and by 19 at most without strong contrasts beside black or white. The means of 300 photos of
128 × 128 pixels moved by 3.7 levels or less, at any quality.
"""

from __future__ import annotations

import functools
import io
import math
from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image

from prep.images.decoders.values import Pixels
from prep.images.encoding.encode import jpeg_of
from prep.settings.choices import LOSSY, RGB, Encoding

# The share of an error in Cb and Cr that ends up in R, G and B; of Y, all of it (ITU-T T.871).
_CHROMA_SHARE = (1.402, 0.344136 + 0.714136, 1.772)
# The furthest that a colour can lie outside 0 to 255 for any Y, Cb and Cr from 0 to 255.
_OVERSHOOT = tuple(128 * share for share in _CHROMA_SHARE)
_TO_YCC = np.array(
    [(0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312)]
)
_ROUNDING = 2.0
_OF_WEBP = 4.0
# What alternating colours add in a WebP, and what they add by the share of pixels with contrast.
_OF_PATTERNS, _OF_CONTRASTS = 20.0, 110.0
_CONTRAST = 32  # levels within 3 × 3 pixels
_NEARLY = 16  # levels from 0 or 255 that count as extreme


@functools.lru_cache(maxsize=4096)
def mean_tolerance(encoding: Encoding, quality: int, height: int, width: int) -> RGB:
    """Return how far the mean of a decoded image may lie from the mean before encoding.

    Zero for encodings that are not lossy.
    """
    if encoding not in LOSSY:
        return 0.0, 0.0, 0.0
    if encoding == "webp":
        return _OF_WEBP, _OF_WEBP, _OF_WEBP
    luma_steps, chroma_steps = _steps(quality)
    luma = _quantisation(height, width, luma_steps)
    chroma = _quantisation(-(-height // 2), -(-width // 2), chroma_steps)
    r, g, b = (luma + share * chroma + _ROUNDING for share in _CHROMA_SHARE)
    return r, g, b


def clipping_tolerance(pixels: Pixels, encoding: Encoding, quality: int) -> RGB:
    """Return how much further the mean of decoded pixels may have moved.

    Next to nothing for a photo in JPEG. Where chroma varies from pixel to pixel, its mean over
    2 × 2 pixels gives colours far beyond the limits, and any sample that is 0 or 255 now may have
    been one. Y, Cb and Cr themselves are cut off as well: over a share of the pixels, the errors of
    quantisation add up to at most their root mean square times the root of the share
    (Cauchy–Schwarz).

    Args:
        pixels: uint8 (height, width, 3), or of one channel.
    """
    if encoding == "webp":
        more = _OF_PATTERNS + _OF_CONTRASTS * _contrasted(pixels)
        return more, more, more
    pixels = np.broadcast_to(pixels, (*pixels.shape[:2], 3))
    cut = (pixels == 0) | (pixels == 255)
    planes = np.abs(pixels @ _TO_YCC.T - (127.5, 0, 0)) > 126
    share = math.sqrt((cut | planes).any(axis=2).mean())
    luma, chroma = map(_root_mean_square, _steps(quality))
    r, g, b = (
        float(most * beyond) + share * (luma + part * chroma)
        for most, beyond, part in zip(_OVERSHOOT, cut.mean(axis=(0, 1)), _CHROMA_SHARE, strict=True)
    )
    return r, g, b


def _contrasted(pixels: Pixels) -> float:
    """Return the share of pixels beside both a contrast and nearly black or white samples."""
    beside = np.ones((3, 3), np.uint8)
    spread = cv2.subtract(cv2.dilate(pixels, beside), cv2.erode(pixels, beside))
    extreme = ((pixels <= _NEARLY) | (pixels >= 255 - _NEARLY)).any(axis=2)
    near_extreme = cv2.dilate(np.array(extreme, np.uint8), beside) > 0
    return float(((np.max(spread, axis=2) >= _CONTRAST) & near_extreme).mean())


def _quantisation(height: int, width: int, steps: Sequence[int]) -> float:
    """Return how far quantisation can move the mean of a plane.

    A block's mean is an eighth of its DC coefficient, which is off by at most half a step. Blocks
    that lie partly outside the picture have no such bound. There the error of all coefficients may
    fall on the visible samples alone (Cauchy–Schwarz), along rows and columns independently.
    """
    whole = (height // 8 * 8) * (width // 8 * 8)
    spread = math.prod(side // 8 * 8 + math.sqrt(8 * (side % 8)) for side in (height, width))
    rest = (spread - whole) * _root_mean_square(steps)
    return (whole * steps[0] / 16 + rest) / (height * width)


def _root_mean_square(steps: Sequence[int]) -> float:
    """Return the largest RMS error of a block's 64 samples, from half of each step (Parseval)."""
    return math.sqrt(sum(step * step for step in steps)) / 16


@functools.cache
def _steps(quality: int) -> tuple[Sequence[int], Sequence[int]]:
    """Return our encoder's quantisation steps, DC first: those of Y, and those of Cb and Cr.

    Pillow returns them in the order of the frequencies, whatever their order in the file.
    """
    encoded = jpeg_of(np.zeros((16, 16, 3), np.uint8), quality)
    with Image.open(io.BytesIO(encoded)) as image:
        tables: dict[int, list[int]] = image.quantization  # type: ignore[attr-defined]
    return tables[0], tables[1]
