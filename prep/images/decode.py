"""Bytes of any image format → 8-bit RGB, strictly: a file whose pixels are partly lost is refused.

OpenCV, Pillow and TensorFlow decode damaged JPEGs without a word, half of the picture wrong.
simplejpeg in strict mode reports what libjpeg warned of, at the same speed. All that is not a JPEG
goes to Pillow, which raises on truncated and damaged files.
"""

from __future__ import annotations

import io
import warnings
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image, UnidentifiedImageError

from prep.errors import RefusedImage
from prep.images.geometry import shrink_factor
from prep.images.header import SOI, JpegHeader, read_jpeg_header, without_oddities

Pixels = npt.NDArray[np.uint8]

MAX_PIXELS = 100_000_000
_FORMATS = ("PNG", "WEBP", "BMP", "DIB", "GIF", "TIFF", "PPM", "TGA", "JPEG2000", "AVIF", "JPEG")
_ORIENTATION_TAG = 0x0112
# Decoding into memory that is kept saves mapping and zeroing pages for every image. What is larger
# than this (5.6 megapixels) is rare, and keeping room for it would cost every worker memory.
_KEPT_BYTES = 16 << 20  # 16 MiB


class Decoded(NamedTuple):
    """Pixels as stored, and the Exif orientation (1 to 8) that turns them upright.

    ``pixels`` is uint8, (height, width, 3), RGB. It may lie in memory that the next call of the
    same decoder overwrites.
    """

    pixels: Pixels
    orientation: int


class Decoder:
    """Decodes images one after the other into memory that it keeps. Not for use by two threads."""

    def __init__(self) -> None:
        self._kept: Pixels = np.empty(_KEPT_BYTES, np.uint8)

    def decode(self, data: bytes, at_least: int | None = None) -> Decoded:
        """Decodes one image.

        Args:
            data: the file's bytes, in any of the formats that are read.
            at_least: if given, a JPEG may come out at 1/2, 1/4 or 1/8 of its size, as long as its
                shorter side keeps this many pixels.

        Raises:
            RefusedImage: it is empty, not an image, truncated, damaged, too large, or unsupported.
        """
        if not data:
            raise RefusedImage("empty", "the file has no bytes")
        if not data.startswith(SOI):
            return _decode_with_pillow(data)
        header = read_jpeg_header(data)
        _check_size(header.height, header.width)
        factor = shrink_factor(header.short, at_least) if at_least else 1
        return Decoded(self._decode_jpeg(data, header, factor), header.orientation)

    def _decode_jpeg(self, data: bytes, header: JpegHeader, factor: int) -> Pixels:
        try:
            return self._strictly(data, header, factor)
        except ValueError as error:
            first = str(error)
        try:  # Was it only something in the header?
            return self._strictly(without_oddities(data, header), header, factor)
        except ValueError:
            if "subsampling" in first:  # An unusual one, which simplejpeg has no name for.
                return _decode_with_pillow(data).pixels
            raise RefusedImage(_reason(first), first) from None

    def _strictly(self, data: bytes, header: JpegHeader, factor: int) -> Pixels:
        height, width = -(-header.height // factor), -(-header.width // factor)
        fits = height * width * 3 <= _KEPT_BYTES
        pixels: Pixels = simplejpeg.decode_jpeg(
            data,
            "RGB",
            min_height=height,
            min_width=width,
            min_factor=factor,
            buffer=self._kept if fits else None,
            strict=True,
        )
        return pixels


def decode(data: bytes) -> Pixels:
    """Decodes one image at full size, as stored. See :meth:`Decoder.decode`."""
    return Decoder().decode(data).pixels


def _check_size(height: int, width: int) -> None:
    if height * width > MAX_PIXELS:
        raise RefusedImage(
            "too large", f"{width} × {height} pixels; at most {MAX_PIXELS} are decoded"
        )


def _reason(message: str) -> str:
    """The reason for what libjpeg, libturbojpeg or Pillow said."""
    if "remature end of JPEG" in message or "runcated" in message:
        return "truncated"
    if message.startswith("Unsupported") or "not supported" in message:
        return "unsupported"
    return "damaged"


def _decode_with_pillow(data: bytes) -> Decoded:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # About metadata, and about sizes that we check.
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                _check_size(image.height, image.width)
                image.load()
                orientation = image.getexif().get(_ORIENTATION_TAG, 1)
                pixels = _to_rgb(image)
    except RefusedImage:
        raise
    except UnidentifiedImageError:
        raise RefusedImage("not an image", f"begins with {data[:8]!r}") from None
    except Image.DecompressionBombError as error:
        raise RefusedImage("too large", str(error)) from None
    except Exception as error:  # Pillow's plugins raise whatever they stumble upon.
        raise RefusedImage(_reason(str(error)), f"{type(error).__name__}: {error}") from None
    return Decoded(pixels, orientation if orientation in range(1, 9) else 1)


def _to_rgb(image: Image.Image) -> Pixels:
    """8-bit RGB: transparency over white, 16 bits to their upper 8."""
    if image.mode.startswith("I"):
        samples: npt.NDArray[Any] = np.asarray(image)
        if samples.dtype != np.uint16 and samples.size and samples.max(initial=0) > 0xFFFF:
            raise RefusedImage("unsupported", "more than 16 bits a sample")
        return np.repeat((samples >> 8).astype(np.uint8)[:, :, None], 3, axis=2)
    if image.mode == "F":
        raise RefusedImage("unsupported", "floating-point samples")
    if image.mode in ("LA", "PA", "RGBA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return np.asarray(image.convert("RGB"))
