"""``image_raw`` of any record → pixels, as far as they can be made out; of ours, as stored."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg

from prep.errors import RecordError, RefusedImage
from prep.images.decoders.decode import Decoder
from prep.images.decoders.limits import webp_size
from prep.images.decoders.png import png_size
from prep.images.decoders.values import Decoded, Pixels
from prep.images.geometry import Everything, Needed
from prep.settings.choices import IMAGE_FILES
from prep.settings.image_settings import ImageSettings

#: For image files in records: results may be more extreme than the images that they are made of.
ANY_ASPECT = ImageSettings(max_aspect=1 << 16)
_FILE_SIZES = {"png": png_size, "webp": webp_size}
_SAMPLE_BYTES = {"raw": 1, "float32": 4}


def make_decoder() -> Decoder:
    """Return a decoder for the image files in records of any settings."""
    return Decoder(ANY_ASPECT)


def pixels_of_record(image: bytes, settings: ImageSettings | None, decoder: Decoder) -> Pixels:
    """Return the pixels of a record, uint8 (height, width, 3), RGB; see :func:`decode_record`."""
    return decode_record(image, settings, decoder).pixels


def decode_record(
    image: bytes,
    settings: ImageSettings | None,
    decoder: Decoder,
    needed: Needed = Everything(),  # noqa: B008
) -> Decoded:
    """Decode the image of a record; gray has three equal channels.

    float32 samples come back exactly as they were before the mean was subtracted.

    Args:
        image: the bytes of ``image_raw``.
        settings: of the run that wrote it; None if unknown. It is then an image file if it decodes
            as one, and raw samples if it has the length of a square RGB image and makes no sense as
            float32.
        decoder: for image files; see :func:`make_decoder`.
        needed: what of image files is needed.

    Raises:
        RecordError: it can't be read that way.
    """
    if settings is not None and settings.encoding not in IMAGE_FILES:
        return _whole(pixels_of_samples(image, settings))
    try:
        return decoder.decode(image, needed)
    except RefusedImage as error:
        is_samples = settings is None and error.reason == "not an image" and _side(len(image))
        if not is_samples:
            raise RecordError(f"image_raw can't be decoded: {error}") from None
    return _whole(_as_square(image))


def _whole(pixels: Pixels) -> Decoded:
    height, width, _ = pixels.shape
    return Decoded(pixels, height, width, factor=1, orientation=1)


def stored_image(image: bytes, settings: ImageSettings) -> npt.NDArray[Any]:
    """Return the image of a record of ours for training, in memory of its own.

    JPEGs are decoded by the accurate transform, so the pixels are those that Pillow returns, and
    TensorFlow with ``dct_method="INTEGER_ACCURATE"``.

    Args:
        image: the bytes of ``image_raw``.
        settings: of the run that wrote it.

    Returns:
        uint8 of shape (height, width, 3), RGB, or (height, width, 1) if the output is gray. If its
        encoding is float32, samples of that type, less the mean.

    Raises:
        RecordError: it can't be read that way.
    """
    encoding, channels = settings.encoding, settings.channels
    if encoding == "jpeg":
        return _of_jpeg(image, settings)
    if encoding in IMAGE_FILES:
        return _of_file(image, settings)
    shape = (settings.height, settings.width, channels)
    _require_samples(image, encoding, shape)
    return np.frombuffer(image, "<f4" if encoding == "float32" else np.uint8).reshape(shape).copy()


def _of_jpeg(image: bytes, settings: ImageSettings) -> Pixels:
    try:
        height, width, _, _ = simplejpeg.decode_jpeg_header(image)
        _require_size(height, width, settings)
        pixels: Pixels = simplejpeg.decode_jpeg(image, "RGB" if settings.channels == 3 else "GRAY")
    except ValueError as error:
        raise RecordError(f"expected a whole JPEG, found that: {error}") from None
    return pixels


def _of_file(image: bytes, settings: ImageSettings) -> Pixels:
    try:
        _require_size(*_FILE_SIZES[settings.encoding](image), settings)
    except RefusedImage as error:
        raise RecordError(f"expected a whole {settings.encoding}, found that: {error}") from None
    flags = cv2.IMREAD_COLOR_RGB if settings.channels == 3 else cv2.IMREAD_GRAYSCALE
    data = np.frombuffer(image, np.uint8)
    found = cv2.imdecode(data, flags | cv2.IMREAD_IGNORE_ORIENTATION)
    if found is None:
        raise RecordError(f"expected a whole {settings.encoding}, found one that is damaged")
    return np.asarray(found, np.uint8).reshape(*found.shape[:2], settings.channels)


def _require_size(height: int, width: int, settings: ImageSettings) -> None:
    """Raise RecordError before an image is decoded that the settings do not allow."""
    if not settings.may_have(height, width):
        raise RecordError(
            f"expected an image of the size that the settings ask for ({settings.size}), found "
            f"{height} x {width}"
        )


def _require_samples(image: bytes, encoding: str, shape: tuple[int, int, int]) -> None:
    expected = math.prod(shape) * _SAMPLE_BYTES[encoding]
    if len(image) != expected:
        raise RecordError(f"expected {expected} bytes of {encoding}, found {len(image)}")


def pixels_of_samples(image: bytes, settings: ImageSettings) -> Pixels:
    """Return the pixels of ``raw`` or ``float32`` samples, uint8 (height, width, 3), RGB.

    Raises:
        RecordError: there are more samples or fewer.
    """
    encoding, shape = settings.encoding, (settings.height, settings.width, settings.channels)
    _require_samples(image, encoding, shape)
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
