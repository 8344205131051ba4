"""Bytes of any image format → 8-bit RGB. Images that have lost pixels are refused."""

from __future__ import annotations

from prep.errors import RefusedImage
from prep.images.decoders.jpeg.decoder import JpegDecoder
from prep.images.decoders.jpeg.header import SOI
from prep.images.decoders.pillow import decode_with_pillow
from prep.images.decoders.values import Decoded, Pixels
from prep.images.geometry import Everything, Needed
from prep.settings.image_settings import ImageSettings


class Decoder:
    """Decode images one after the other into reused memory. Not thread-safe.

    Args:
        padded: whether to decode JPEGs to pixels of four bytes; see :mod:`prep.images.rgbx`.
    """

    def __init__(
        self,
        settings: ImageSettings = ImageSettings(),  # noqa: B008
        *,
        padded: bool = False,
    ) -> None:
        self._settings = settings
        self._jpeg = JpegDecoder(settings, padded=padded)

    def decode(self, data: bytes, needed: Needed = Everything()) -> Decoded:  # noqa: B008
        """Decode one image.

        Args:
            data: the file's bytes, in any of the formats that are read.
            needed: what of it is needed. A JPEG may come out at 1/2, 1/4 or 1/8 of its size; of
                other formats, a part may come out.

        Raises:
            RefusedImage: it is empty, not an image, truncated, damaged, too large, too small, too
                extreme, or unsupported.
        """
        if not data:
            raise RefusedImage("empty", "the file has no bytes")
        if data.startswith(SOI):
            return self._jpeg.decode(data, needed)
        return decode_with_pillow(data, self._settings, needed)


def decode(data: bytes) -> Pixels:
    """Decode one image at full size, as stored. See :meth:`Decoder.decode`."""
    return Decoder().decode(data).pixels
