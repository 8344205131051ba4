"""Values that pass between decoders and the rest of the room."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]


class Note(NamedTuple):
    """What was wrong with the file of an image that was used all the same."""

    outcome: Literal["repaired", "damaged"]
    reason: str
    detail: str


class Kind(NamedTuple):
    """How an image is stored: its format, and those of :data:`prep.images.traits.MARKS`."""

    format: str
    marks: tuple[str, ...] = ()


JPEG = Kind("JPEG")


class Decoded(NamedTuple):
    """Decoded pixels, as stored, and how to use them.

    Attributes:
        pixels: uint8, RGB, (⌈height / factor⌉, ⌈width / factor⌉, 3), or a part of them. They may
            lie in memory that the next call of the same decoder overwrites.
        height, width: of the image at full size, as stored, in pixels.
        factor: by which the decoder has shrunk the image: 1, 2, 4 or 8.
        orientation: Exif orientation, 1 to 8; see Exif 2.3, section 4.6.4.
        profile: the ICC profile to convert the pixels from; None if there is nothing to convert.
        note: what was wrong with the file.
        top, left: the position of the pixels in the image, if only a part was asked for. Such a
            part is never shrunk.
        bits: of the largest sample, if the image claims 16 bits per sample; otherwise 0.
        kind: how the image is stored.
    """

    pixels: Pixels
    height: int
    width: int
    factor: int
    orientation: int
    profile: bytes | None = None
    note: Note | None = None
    top: int = 0
    left: int = 0
    bits: int = 0
    kind: Kind = JPEG

    @property
    def upright_size(self) -> tuple[int, int]:
        """(width, height) at full size, upright: orientations from 5 on swap the two."""
        swapped = self.orientation >= 5
        return (self.height, self.width) if swapped else (self.width, self.height)


class DecoderSettings(NamedTuple):
    """Which images to refuse, and how to convert those that are not simply RGB.

    See :class:`prep.Config` for each.
    """

    max_pixels: int = 100_000_000
    max_aspect: float = 500.0
    min_size: int = 1
    background: tuple[int, int, int] = (255, 255, 255)
    keep_damaged: bool = False
    convert_profiles: bool = False
    depth: int = 16
