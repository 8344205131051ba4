"""Small pictures, to look at."""

from __future__ import annotations

import cv2
import simplejpeg

from prep.images.decoded import Pixels

_QUALITY = 85


def thumbnail(pixels: Pixels, side: int) -> bytes:
    """A JPEG no wider and no higher than ``side`` pixels; smaller pictures stay as they are.

    Args:
        pixels: uint8, (height, width, 3), RGB.
    """
    height, width, _ = pixels.shape
    scale = min(1.0, side / max(height, width))
    shape = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(pixels, shape, interpolation=cv2.INTER_AREA) if scale < 1 else pixels
    return simplejpeg.encode_jpeg(small.copy(order="C"), _QUALITY, "RGB", "444")  # type: ignore[no-any-return]
