"""One image after the other through decode, crop and encode."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from prep.images.crop import make_crop
from prep.images.decoders.convert import crop_to_srgb
from prep.images.decoders.decode import Decoder
from prep.images.decoders.values import JPEG, Decoded, Kind, Note, Pixels
from prep.images.encoding.encode import make_encoder
from prep.images.mean_image import grid_of
from prep.images.stats import ChannelStats, channel_sums
from prep.settings.image_settings import ImageSettings


class Processed(NamedTuple):
    """A processed image.

    Attributes:
        image: the bytes for ``image_raw``.
        stats: the channel sums of the crop before it was encoded.
        width, height: of the whole image at full size, upright, in pixels.
        note: what was repaired, or is damaged.
        bits: of its largest sample, if it claims 16 bits per sample; otherwise 0.
        kind: how it was stored, and whether its Exif orientation has it ``turned``.
        grid: the crop's pixels at the points of a grid; see :mod:`prep.images.mean_image`.
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
    """Turn image files into encoded centre crops, in reused memory. Not thread-safe."""

    def __init__(self, settings: ImageSettings) -> None:
        self._decoder = Decoder(settings)
        self._crop = make_crop(settings.height, settings.interpolation)
        self._planes = [np.empty((settings.height, settings.width), np.uint8) for _ in range(3)]
        self._encode = make_encoder(settings.encoding, settings.quality, settings.mean)

    def __call__(self, data: bytes) -> Processed:
        """Decode, crop and encode one image file.

        Raises:
            RefusedImage: the image can't be used.
        """
        decoded = self._decode(data)
        crop = self._crop_of(decoded)
        sums = channel_sums(crop, self._planes)
        grid = grid_of(crop)
        width, height = decoded.upright_size
        kind = decoded.kind
        if decoded.orientation != 1:
            kind = kind._replace(marks=(*kind.marks, "turned"))
        image = self._encode(crop)
        return Processed(image, sums, width, height, decoded.note, decoded.bits, kind, grid)

    def crop(self, data: bytes) -> Pixels:
        """Return the upright centre crop of an image file, uint8 (size, size, 3), RGB.

        It may lie in memory that the next call overwrites.
        """
        return self._crop_of(self._decode(data))

    def _decode(self, data: bytes) -> Decoded:
        return self._decoder.decode(data, self._crop.source_needed, self._crop.area_needed)

    def _crop_of(self, decoded: Decoded) -> Pixels:
        crop = self._crop(decoded)
        return crop if decoded.profile is None else crop_to_srgb(crop, decoded.profile)
