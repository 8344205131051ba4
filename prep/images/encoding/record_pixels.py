"""``image_raw`` of any record → pixels, as far as they can be made out."""

from __future__ import annotations

import math

import numpy as np

from prep.errors import RecordError, RefusedImage
from prep.images.decoders.decode import Decoder
from prep.images.decoders.values import Pixels
from prep.settings.choices import IMAGE_FILES
from prep.settings.image_settings import ImageSettings

#: For image files in records: results may be more extreme than the images that they are made of.
ANY_ASPECT = ImageSettings(max_aspect=1 << 16)
_SAMPLE_BYTES = {"raw": 1, "float32": 4}


def make_decoder() -> Decoder:
    """Return a decoder for the image files in records of any settings."""
    return Decoder(ANY_ASPECT)


def pixels_of_record(image: bytes, settings: ImageSettings | None, decoder: Decoder) -> Pixels:
    """Return the pixels of a record, uint8 (height, width, 3), RGB; gray has three equal channels.

    float32 samples come back exactly as they were before the mean was subtracted.

    Args:
        image: the bytes of ``image_raw``.
        settings: of the run that wrote it; None if unknown. It is then an image file if it decodes
            as one, and raw samples if it has the length of a square RGB image and makes no sense as
            float32.
        decoder: for image files; see :func:`make_decoder`.

    Raises:
        RecordError: it can't be read that way.
    """
    if settings is not None and settings.encoding not in IMAGE_FILES:
        return pixels_of_samples(image, settings)
    try:
        return decoder.decode(image).pixels
    except RefusedImage as error:
        is_samples = settings is None and error.reason == "not an image" and _side(len(image))
        if not is_samples:
            raise RecordError(f"image_raw can't be decoded: {error}") from None
    return _as_square(image)


def pixels_of_samples(image: bytes, settings: ImageSettings) -> Pixels:
    """Return the pixels of ``raw`` or ``float32`` samples, as :func:`pixels_of_record` does.

    Raises:
        RecordError: there are more samples or fewer.
    """
    encoding, shape = settings.encoding, (settings.height, settings.width, settings.channels)
    expected = math.prod(shape) * _SAMPLE_BYTES[encoding]
    if len(image) != expected:
        raise RecordError(f"expected {expected} bytes of {encoding}, found {len(image)}")
    if encoding == "raw":
        pixels = np.frombuffer(image, np.uint8).reshape(shape)
    else:
        samples = np.frombuffer(image, "<f4").reshape(shape)
        mean = np.array(settings.mean, "<f4")[: settings.channels]
        with np.errstate(invalid="ignore"):  # Samples may be anything, also NaN.
            pixels = np.rint(samples + mean).astype(np.uint8)
    return pixels if shape[2] == 3 else np.repeat(pixels, 3, axis=2)


def _as_square(image: bytes) -> Pixels:
    """Return raw samples of a square RGB image, unless they may be float32 as well."""
    side = _side(len(image)) or 0
    if len(image) % 12 == 0:
        as_floats = np.frombuffer(image, "<f4")
        if np.isfinite(as_floats).all() and np.abs(as_floats).max() <= 255:
            raise RecordError(
                "image_raw may be float32 as well as uint8; the .prep folder of its output tells, "
                "so read the shard where it was written"
            )
    return np.frombuffer(image, np.uint8).reshape(side, side, 3)


def _side(samples: int) -> int | None:
    side = math.isqrt(samples // 3)
    return side if side and side * side * 3 == samples else None
