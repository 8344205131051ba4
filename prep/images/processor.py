"""One image after the other through decode, square and encode."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from prep.images.crop import make_crop
from prep.images.decoders.base import JPEG, Decoded, DecoderSettings, Kind, Note, Pixels
from prep.images.decoders.convert import square_to_srgb
from prep.images.decoders.decode import Decoder
from prep.images.encode import make_encoder
from prep.images.mean_image import grid_of
from prep.images.stats import ChannelStats, channel_sums
from prep.settings import ImageSettings


class Processed(NamedTuple):
    """What came of an image.

    Attributes:
        image: the bytes for ``image_raw``.
        stats: the channel sums of the square before it was encoded.
        width, height: of the whole image at full size, upright, in pixels.
        note: what is to be known of it.
        bits: how many its largest sample takes, if it claims 16 a sample; 0 of others.
        kind: how it was stored, and whether its Exif has it ``turned``.
        grid: the square's pixels at the points of a grid; see :mod:`prep.images.mean_image`.
    """

    image: bytes
    stats: ChannelStats
    width: int
    height: int
    note: Note | None = None
    bits: int = 0
    kind: Kind = JPEG
    grid: Pixels | None = None


class ImageProcessor:
    """Turns image files into squares. Keeps its memory from image to image; not for two threads."""

    def __init__(self, settings: ImageSettings) -> None:
        self._decoder = Decoder(_decoder_settings(settings))
        self._crop = make_crop(settings.size, settings.interpolation)
        self._planes = [np.empty((settings.size, settings.size), np.uint8) for _ in range(3)]
        self._encode = make_encoder(settings.encoding, settings.quality, settings.mean)

    def __call__(self, data: bytes) -> Processed:
        """Decodes, squares and encodes one image file.

        Raises:
            RefusedImage: the image can't be used.
        """
        decoded = self._decode(data)
        square = self._upright_square(decoded)
        sums = channel_sums(square, self._planes)
        grid = grid_of(square)
        width, height = decoded.upright_size
        kind = decoded.kind
        if decoded.orientation != 1:
            kind = kind._replace(marks=(*kind.marks, "turned"))
        image = self._encode(square)
        return Processed(image, sums, width, height, decoded.note, decoded.bits, kind, grid)

    def square(self, data: bytes) -> Pixels:
        """The upright central square, uint8 (size, size, 3), RGB.

        It may lie in memory that the next call overwrites.
        """
        return self._upright_square(self._decode(data))

    def _decode(self, data: bytes) -> Decoded:
        return self._decoder.decode(data, self._crop.source_needed, self._crop.area_needed)

    def _upright_square(self, decoded: Decoded) -> Pixels:
        square = self._crop(decoded)
        return square if decoded.profile is None else square_to_srgb(square, decoded.profile)


def _decoder_settings(settings: ImageSettings) -> DecoderSettings:
    return DecoderSettings(
        max_pixels=settings.max_pixels,
        max_aspect=settings.max_aspect,
        min_size=settings.min_size,
        background=settings.background,
        keep_damaged=settings.damaged == "keep",
        convert_profiles=settings.icc == "convert",
        depth=settings.depth,
    )
