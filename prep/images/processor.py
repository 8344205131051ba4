"""One image after the other through decode, square and encode."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from prep.config import Config, Damaged, Encoding, Icc, Interpolation
from prep.images.decode import Decoder
from prep.images.decoded import Decoded, DecoderSettings, Note, Pixels
from prep.images.encode import make_encoder
from prep.images.geometry import fit_square
from prep.images.profiles import square_to_srgb
from prep.images.resize import Resizer
from prep.images.sums import channel_sums
from prep.stats import RGB, ChannelStats

# For each Exif orientation, what turns the stored picture upright: (transpose, then flip the rows,
# flip the columns). Exif 2.3, section 4.6.4, tag Orientation.
_UPRIGHT = {
    1: (False, False, False),
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}


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

    def for_decoder(self) -> DecoderSettings:
        """The part of them that is the decoder's."""
        return DecoderSettings(
            max_pixels=self.max_pixels,
            max_aspect=self.max_aspect,
            min_size=self.min_size,
            background=self.background,
            keep_damaged=self.damaged == "keep",
            convert_profiles=self.icc == "convert",
        )

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ImageSettings:
        """From what ``dataclasses.asdict`` gave, after its way through JSON."""
        lists = {name: tuple(v) for name, v in value.items() if isinstance(v, list)}
        return cls(**{**value, **lists})

    @classmethod
    def of(cls, config: Config, mean: RGB | None) -> ImageSettings:
        """What ``config`` asks for, with the mean that its ``mean_file`` holds."""
        return cls(
            size=config.size,
            interpolation=config.interpolation,
            encoding=config.encoding,
            quality=config.quality,
            mean=mean,
            damaged=config.damaged,
            max_pixels=config.max_pixels,
            max_aspect=config.max_aspect,
            min_size=config.min_size,
            background=config.background_rgb,
            icc=config.icc,
        )


class Processed(NamedTuple):
    """What came of an image.

    Attributes:
        image: the bytes for ``image_raw``.
        stats: the channel sums of the square before it was encoded.
        width, height: of the whole image at full size, upright, in pixels.
        note: what is to be known of it.
    """

    image: bytes
    stats: ChannelStats
    width: int
    height: int
    note: Note | None = None


class ImageProcessor:
    """Turns image files into squares. Keeps its memory from image to image; not for two threads."""

    def __init__(self, settings: ImageSettings) -> None:
        self._size = settings.size
        self._decoder = Decoder(settings.for_decoder())
        self._resizer = Resizer(settings.size, settings.interpolation)
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
        width, height = decoded.upright_size
        return Processed(self._encode(square), sums, width, height, decoded.note)

    def square(self, data: bytes) -> Pixels:
        """The upright central square, uint8 (size, size, 3), RGB.

        It may lie in memory that the next call overwrites.
        """
        return self._upright_square(self._decode(data))

    def _decode(self, data: bytes) -> Decoded:
        return self._decoder.decode(data, at_least=self._resizer.source_needed)

    def _upright_square(self, decoded: Decoded) -> Pixels:
        transpose, flip_rows, flip_columns = _UPRIGHT[decoded.orientation]
        stored_flips = (flip_columns, flip_rows) if transpose else (flip_rows, flip_columns)
        fit = fit_square(
            decoded.height,
            decoded.width,
            self._size,
            factor=decoded.factor,
            flip_rows=stored_flips[0],
            flip_columns=stored_flips[1],
        )
        rows = slice(fit.top, fit.top + fit.height)
        columns = slice(fit.left, fit.left + fit.width)
        crop = decoded.pixels[rows, columns]
        resized = self._resizer.resize(crop, fit.resized_height, fit.resized_width)
        square = resized[
            fit.trim_top : fit.trim_top + self._size, fit.trim_left : fit.trim_left + self._size
        ]
        if transpose:
            square = square.transpose(1, 0, 2)
        square = square[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1]
        square = np.ascontiguousarray(square)
        return square if decoded.profile is None else square_to_srgb(square, decoded.profile)
