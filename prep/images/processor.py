"""One image after the other through decode, square and encode."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np

from prep.config import Config, Damaged, Encoding, Icc, Interpolation
from prep.images.crop import make_crop
from prep.images.decode import Decoder
from prep.images.decoded import JPEG, Decoded, DecoderSettings, Kind, Note, Pixels
from prep.images.encode import make_encoder
from prep.images.grid import grid_of
from prep.images.profiles import square_to_srgb
from prep.images.sums import channel_sums
from prep.stats import RGB, ChannelStats


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSettings:
    """What happens to an image; see :class:`prep.Config` for the meaning of each.

    ``mean`` is what encoding ``float32`` subtracts, per channel, 0 to 255; ``background`` is what
    transparent images are laid over, R, G and B.
    """

    size: int = 256
    interpolation: Interpolation = "area"
    encoding: Encoding = "jpeg"
    quality: int = 90
    mean: RGB | None = None
    damaged: Damaged = "refuse"
    max_pixels: int = 100_000_000
    max_aspect: float = 500.0
    min_size: int = 1
    background: tuple[int, int, int] = (255, 255, 255)
    icc: Icc = "ignore"
    depth: int = 16

    def for_decoder(self) -> DecoderSettings:
        """The part of them that is the decoder's."""
        return DecoderSettings(
            max_pixels=self.max_pixels,
            max_aspect=self.max_aspect,
            min_size=self.min_size,
            background=self.background,
            keep_damaged=self.damaged == "keep",
            convert_profiles=self.icc == "convert",
            depth=self.depth,
        )

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ImageSettings:
        """From what ``dataclasses.asdict`` gave, after its way through JSON."""
        lists = {name: tuple(v) for name, v in value.items() if isinstance(v, list)}
        return cls(**{**value, **lists})

    @classmethod
    def of(cls, config: Config, mean: RGB | None) -> ImageSettings:
        """What ``config`` asks for, with the mean that its ``mean_file`` holds."""
        values: dict[str, Any] = {"mean": mean, "background": config.background_rgb}
        names = [field.name for field in fields(cls) if field.name not in values]
        return cls(**values, **{name: getattr(config, name) for name in names})


class Processed(NamedTuple):
    """What came of an image.

    Attributes:
        image: the bytes for ``image_raw``.
        stats: the channel sums of the square before it was encoded.
        width, height: of the whole image at full size, upright, in pixels.
        note: what is to be known of it.
        bits: how many its largest sample takes, if it claims 16 a sample; 0 of others.
        kind: how it was stored, and whether its Exif has it ``turned``.
        grid: the square's pixels at the points of a grid; see :class:`prep.images.Grids`.
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
        self._decoder = Decoder(settings.for_decoder())
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
