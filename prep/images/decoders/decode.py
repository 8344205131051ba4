"""Bytes of any image format → 8-bit RGB. Images that have lost pixels are refused."""

from __future__ import annotations

from prep.errors import RefusedImage
from prep.images.decoders.jpeg.decoder import JpegDecoder
from prep.images.decoders.jpeg.header import SOI
from prep.images.decoders.pillow import decode_with_pillow
from prep.images.decoders.values import Decoded, Pixels
from prep.images.geometry import AreaNeeded, whole_area
from prep.settings.image_settings import ImageSettings


class Decoder:
    """Decode images one after the other into reused memory. Not thread-safe."""

    def __init__(self, settings: ImageSettings = ImageSettings()) -> None:  # noqa: B008
        self._settings = settings
        self._jpeg = JpegDecoder(settings)

    def decode(
        self, data: bytes, at_least: int | None = None, area_needed: AreaNeeded = whole_area
    ) -> Decoded:
        """Decode one image.

        Args:
            data: the file's bytes, in any of the formats that are read.
            at_least: if given, a JPEG may come out at 1/2, 1/4 or 1/8 of its size, as long as its
                shorter side keeps this many pixels.
            area_needed: returns the part of the image to decode; a JPEG is decoded as a whole.

        Raises:
            RefusedImage: it is empty, not an image, truncated, damaged, too large, too small, too
                extreme, or unsupported.
        """
        if not data:
            raise RefusedImage("empty", "the file has no bytes")
        if data.startswith(SOI):
            return self._jpeg.decode(data, at_least)
        return decode_with_pillow(data, self._settings, area_needed)


def decode(data: bytes) -> Pixels:
    """Decode one image at full size, as stored. See :meth:`Decoder.decode`."""
    return Decoder().decode(data).pixels
