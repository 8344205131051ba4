"""Pixels → the bytes of ``image_raw``; thumbnails."""

from __future__ import annotations

import io
from collections.abc import Callable

import cv2
import numpy as np
import simplejpeg
from PIL import Image

from prep.images.decoders.values import Pixels
from prep.images.encoding.png_writer import png_of
from prep.images.fitting.resizer import Resizer
from prep.images.rgbx import as_rgb, rgbx_of
from prep.settings.choices import RGB, Encoding

#: JPEG quality of thumbnails.
QUALITY = 70

Encoder = Callable[[Pixels], bytes]

# From 0 (fast) to 6 (small). Measured on 149 photos of 256 × 256 pixels at quality 90: 3.3 ms and
# 18.0 kB with 2, 6.5 ms and 17.9 kB with 4, which is the default.
_WEBP_METHOD = 2


def make_encoder(encoding: Encoding, quality: int, mean: RGB | None) -> Encoder:
    """Return the function that encodes pixels, uint8 (height, width, 3), RGB, or of one channel.

    ``png`` is lossless. ``webp`` takes RGB alone, for its files have no gray. ``raw`` is the
    samples in row-major order; ``float32`` is the same as little-endian float32, less ``mean`` (per
    channel, 0 to 255; of gray, the first).
    """
    encoders: dict[Encoding, Encoder] = {
        "jpeg": lambda pixels: jpeg_of(pixels, quality),
        "webp": lambda pixels: webp_of(pixels, quality),
        "png": lambda pixels: png_of(as_rgb(pixels)),
        "raw": lambda pixels: as_rgb(pixels).tobytes(),
        "float32": lambda pixels: (
            as_rgb(pixels).astype("<f4") - offset[: pixels.shape[2]]
        ).tobytes(),
    }
    offset = np.array(mean or (0, 0, 0), "<f4")
    return encoders[encoding]


def jpeg_of(pixels: Pixels, quality: int) -> bytes:
    """Encode pixels, uint8 (height, width, 1 or 3), as JPEG with chroma at half the resolution."""
    if (rgbx := rgbx_of(pixels)) is not None:
        return _encode_jpeg(rgbx, quality, "RGBX", "420")
    colours, chroma = ("RGB", "420") if pixels.shape[2] == 3 else ("GRAY", "Gray")
    return _encode_jpeg(as_rgb(pixels), quality, colours, chroma)


def _encode_jpeg(pixels: Pixels, quality: int, colours: str, chroma: str) -> bytes:
    data: bytes = simplejpeg.encode_jpeg(pixels, quality, colours, chroma, fastdct=False)
    return data


def webp_of(pixels: Pixels, quality: int) -> bytes:
    """Encode pixels, uint8 (height, width, 3), RGB, as lossy WebP."""
    file = io.BytesIO()
    Image.fromarray(as_rgb(pixels)).save(file, "WEBP", quality=quality, method=_WEBP_METHOD)
    return file.getvalue()


def encode_png(pixels: Pixels) -> bytes:
    """Encode pixels, uint8 (height, width, 3), RGB, or (height, width), grayscale, as PNG."""
    return bytes(cv2.imencode(".png", pixels[..., ::-1] if pixels.ndim == 3 else pixels)[1])


class Thumbnailer:
    """Make thumbnails one after the other, in reused memory. Not thread-safe.

    Args:
        side: of a thumbnail, in pixels, at most.
    """

    def __init__(self, side: int) -> None:
        self._side = side
        self._resizer = Resizer("area")
        self._encode = make_encoder("jpeg", QUALITY, None)

    def __call__(self, pixels: Pixels) -> bytes:
        """Encode a thumbnail of an image, uint8 RGB, as JPEG; don't enlarge it."""
        height, width, _ = pixels.shape
        longer = max(height, width)
        if longer > self._side:
            sides = (max(1, side * self._side // longer) for side in (height, width))
            pixels = self._resizer.resize(pixels, *sides)
        return self._encode(pixels)
