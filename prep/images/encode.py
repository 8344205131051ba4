"""A crop → the bytes of ``image_raw``, and back; thumbnails."""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np
import simplejpeg

from prep.errors import RecordError, RefusedImage
from prep.images.crop import Resizer
from prep.images.decoders.decode import Decoder
from prep.images.decoders.values import Pixels
from prep.settings.choices import RGB, Encoding

#: JPEG quality of thumbnails.
QUALITY = 70

Encoder = Callable[[Pixels], bytes]


def make_encoder(encoding: Encoding, quality: int, mean: RGB | None) -> Encoder:
    """Return the function that encodes pixels, uint8 (size, size, 3), RGB.

    ``raw`` is the samples in row-major order; ``float32`` is the same as little-endian float32,
    less ``mean`` (per channel, 0 to 255).
    """
    if encoding == "jpeg":
        return lambda pixels: simplejpeg.encode_jpeg(
            np.ascontiguousarray(pixels), quality, "RGB", "420", fastdct=False
        )
    if encoding == "raw":
        return lambda pixels: pixels.tobytes()
    offset = np.array(mean, "<f4")
    return lambda pixels: (pixels.astype("<f4") - offset).tobytes()


def encode_png(pixels: Pixels) -> bytes:
    """Encode pixels, uint8 (height, width, 3), RGB, or (height, width), grayscale, as PNG."""
    return bytes(cv2.imencode(".png", pixels[..., ::-1] if pixels.ndim == 3 else pixels)[1])


def pixels_of_record(
    image: bytes, encoding: Encoding | None, mean: RGB | None, decoder: Decoder
) -> Pixels:
    """Return the pixels of a record, uint8 (height, width, 3), RGB.

    float32 samples come back exactly as they were before ``mean`` was subtracted.

    Args:
        image: the bytes of ``image_raw``.
        encoding: of ``image``; None if unknown. It is then an image file if it decodes as one, and
            raw samples if it has the length of a square image and makes no sense as float32.

    Raises:
        RecordError: it can't be read that way.
    """
    if encoding == "float32":
        if len(image) % 12:
            raise RecordError(f"image_raw has {len(image)} bytes, which are no float32 RGB")
        samples = np.frombuffer(image, "<f4").reshape(-1, 3)
        return _as_image(np.rint(samples + np.array(mean, "<f4")).astype(np.uint8))
    if encoding == "raw":
        return _as_image(np.frombuffer(image, np.uint8))
    try:
        return decoder.decode(image).pixels
    except RefusedImage as error:
        if encoding is not None or error.reason != "not an image" or not _side(len(image)):
            raise RecordError(f"image_raw can't be decoded: {error}") from None
    if len(image) % 12 == 0:
        as_floats = np.frombuffer(image, "<f4")
        if np.isfinite(as_floats).all() and np.abs(as_floats).max() <= 255:
            raise RecordError(
                "image_raw may be float32 as well as uint8; the .prep folder of its output tells, "
                "so read the shard where it was written"
            )
    return _as_image(np.frombuffer(image, np.uint8))


def _side(samples: int) -> int | None:
    side = math.isqrt(samples // 3)
    return side if side and side * side * 3 == samples else None


def _as_image(samples: Pixels) -> Pixels:
    side = _side(samples.size)
    if side is None:
        raise RecordError(f"image_raw has {samples.size} samples, which is no square RGB image")
    return samples.reshape(side, side, 3)


class Thumbnailer:
    """Make thumbnails one after the other, in reused memory. Not thread-safe.

    Args:
        side: of a thumbnail, in pixels, at most.
    """

    def __init__(self, side: int) -> None:
        self._side = side
        self._resizer = Resizer(side, "area")
        self._encode = make_encoder("jpeg", QUALITY, None)

    def __call__(self, crop: Pixels) -> bytes:
        """Encode a thumbnail of a crop, uint8 (size, size, 3), RGB, as JPEG; don't enlarge it."""
        if crop.shape[0] > self._side:
            crop = self._resizer.resize(crop, self._side, self._side)
        return self._encode(crop)
