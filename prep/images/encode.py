"""Square → the bytes of ``image_raw``, and back.

Squares, small enough to be looked at by the hundred.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np
import simplejpeg

from prep.errors import RecordError, RefusedImage
from prep.images.crop import Resizer
from prep.images.decoders.base import Pixels
from prep.images.decoders.decode import Decoder
from prep.settings import RGB, Encoding

Encoder = Callable[[Pixels], bytes]


def make_encoder(encoding: Encoding, quality: int, mean: RGB | None) -> Encoder:
    """The function from a square (uint8, (size, size, 3), RGB) to bytes.

    ``raw`` is the samples in row-major order; ``float32`` is the same as little-endian float32,
    less ``mean`` (per channel, 0 to 255).
    """
    if encoding == "jpeg":
        return lambda square: simplejpeg.encode_jpeg(
            np.ascontiguousarray(square), quality, "RGB", "420", fastdct=False
        )
    if encoding == "raw":
        return lambda square: square.tobytes()
    offset = np.array(mean, "<f4")
    return lambda square: (square.astype("<f4") - offset).tobytes()


def encode_png(pixels: Pixels) -> bytes:
    """A PNG of pixels, uint8 (height, width, 3), RGB."""
    return bytes(cv2.imencode(".png", pixels[..., ::-1])[1])


def pixels_of_record(
    image: bytes, encoding: Encoding | None, mean: RGB | None, decoder: Decoder
) -> Pixels:
    """The pixels that a record holds, uint8 (height, width, 3).

    float32 samples are given back exactly as they were before ``mean`` was subtracted.

    Args:
        encoding: how ``image`` is encoded; None if unknown. Then it is an image file if it
            decodes as one, and raw samples if it is as long as a square of them and makes no
            sense as float32.

    Raises:
        RecordError: it can't be read that way.
    """
    if encoding == "float32":
        if len(image) % 12:
            raise RecordError(f"image_raw has {len(image)} bytes, which are no float32 RGB")
        samples = np.frombuffer(image, "<f4").reshape(-1, 3)
        return _as_square(np.rint(samples + np.array(mean, "<f4")).astype(np.uint8))
    if encoding == "raw":
        return _as_square(np.frombuffer(image, np.uint8))
    try:
        return decoder.decode(image).pixels
    except RefusedImage as error:
        if encoding is None and error.reason == "not an image" and _side(len(image)):
            return _unless_float32(_as_square(np.frombuffer(image, np.uint8)))
        raise RecordError(f"image_raw can't be decoded: {error}") from None


def _unless_float32(square: Pixels) -> Pixels:
    """``square``, unless its bytes may just as well be float32 samples, less a mean."""
    if square.size % 12 == 0:
        samples = np.frombuffer(square.tobytes(), "<f4")
        if np.isfinite(samples).all() and np.abs(samples).max() <= 255:
            raise RecordError(
                "image_raw may be float32 as well as uint8; the .prep folder of its output tells, "
                "so read the shard where it was written"
            )
    return square


def _side(samples: int) -> int | None:
    side = math.isqrt(samples // 3)
    return side if side and side * side * 3 == samples else None


def _as_square(samples: Pixels) -> Pixels:
    side = _side(samples.size)
    if side is None:
        raise RecordError(f"image_raw has {samples.size} samples, which is no square of RGB")
    return samples.reshape(side, side, 3)


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
