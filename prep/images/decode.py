"""Bytes of any image format → 8-bit RGB, strictly: a file whose pixels are partly lost is refused.

OpenCV, Pillow and TensorFlow decode damaged JPEGs without a word, half of the picture wrong.
simplejpeg in strict mode reports what libjpeg warned of, at the same speed. All that is not a JPEG
goes to Pillow, which raises on truncated and damaged files.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image, UnidentifiedImageError

from prep.errors import RefusedImage
from prep.images.geometry import shrink_factor
from prep.images.header import SOI, SOS, JpegHeader, read_jpeg_header, without_oddities

Pixels = npt.NDArray[np.uint8]

MAX_PIXELS = 100_000_000
MAX_SCANS = 200  # Real encoders write up to about a dozen; a thumbnail has some, too.
_FORMATS = ("PNG", "WEBP", "BMP", "DIB", "GIF", "TIFF", "PPM", "TGA", "JPEG2000", "AVIF", "JPEG")
_ORIENTATION_TAG = 0x0112
# Decoding into memory that is kept saves mapping and zeroing pages for every image. What is larger
# than this (5.6 megapixels) is rare, and keeping room for it would cost every worker memory.
_KEPT_BYTES = 16 << 20  # 16 MiB


class Decoded(NamedTuple):
    """Pixels as stored, and what to make of them.

    Attributes:
        pixels: uint8, RGB, (⌈height / factor⌉, ⌈width / factor⌉, 3). They may lie in memory that
            the next call of the same decoder overwrites.
        height, width: of the image at full size.
        factor: by which the decoder has shrunk it: 1, 2, 4 or 8.
        orientation: the Exif orientation (1 to 8) that turns them upright.
    """

    pixels: Pixels
    height: int
    width: int
    factor: int
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
        if header.many_scans:
            _check_scans(data)
        return self._decode_jpeg(data, header, at_least)

    def _decode_jpeg(self, data: bytes, header: JpegHeader, at_least: int | None) -> Decoded:
        factor = shrink_factor(header.short, at_least) if at_least else 1
        try:
            pixels = self._strictly(data, header, factor)
        except ValueError as error:
            message = str(error)
            if "subsampling" in message:  # An unusual one, which simplejpeg has no name for.
                return _decode_with_pillow(data)._replace(orientation=header.orientation)
            pixels = self._despite_oddities(data, header, factor, message)
        return Decoded(pixels, header.height, header.width, factor, header.orientation)

    def _despite_oddities(
        self, data: bytes, header: JpegHeader, factor: int, message: str
    ) -> Pixels:
        """Decodes a JPEG that was refused for its header alone; raises ``message`` otherwise."""
        if "marker" in message:
            with contextlib.suppress(ValueError):
                return self._strictly(without_oddities(data), header, factor)
        raise RefusedImage(_reason(message), message)

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


def _check_scans(data: bytes) -> None:
    """Each scan goes over the whole picture once more: thousands of them are an attack."""
    scans = data.count(SOS)
    if scans > MAX_SCANS:
        raise RefusedImage("too extreme", f"{scans} scans; at most {MAX_SCANS} are decoded")


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
    height, width, _ = pixels.shape
    return Decoded(pixels, height, width, 1, orientation if orientation in range(1, 9) else 1)


def _to_rgb(image: Image.Image) -> Pixels:
    """8-bit RGB: transparency over white, 16 bits to their upper 8."""
    if image.mode in ("I", "F"):
        raise RefusedImage("unsupported", "32 bits a sample")
    if image.mode.startswith("I;16"):
        samples: npt.NDArray[Any] = np.asarray(image)
        return np.repeat((samples >> 8).astype(np.uint8)[:, :, None], 3, axis=2)
    if image.mode in ("LA", "PA", "RGBA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return np.asarray(image.convert("RGB"))
