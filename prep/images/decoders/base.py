"""What a decoder gives."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]


class Note(NamedTuple):
    """What is to be known of an image that was written, but not simply."""

    outcome: Literal["repaired", "damaged"]
    reason: str
    detail: str


class Kind(NamedTuple):
    """How an image is stored: its format, and which of :data:`prep.images.traits.MARKS` hold."""

    format: str
    marks: tuple[str, ...] = ()


JPEG = Kind("JPEG")


class Decoded(NamedTuple):
    """Pixels as stored, and what to make of them.

    Attributes:
        pixels: uint8, RGB, (⌈height / factor⌉, ⌈width / factor⌉, 3), or a part of them. They may
            lie in memory that the next call of the same decoder overwrites.
        height, width: of the image at full size.
        factor: by which the decoder has shrunk it: 1, 2, 4 or 8.
        orientation: the Exif orientation (1 to 8) that turns them upright.
        profile: the ICC profile that the pixels are still to be converted from; None, if they are
            to be taken as they are.
        note: what was wrong with the file, if it was used all the same.
        top, left: where in the image the pixels begin, if not all of it was asked for. Only of one
            that the decoder has not shrunk.
        bits: how many the largest sample takes, of an image that claims 16 a sample; 0 of others.
        kind: how it is stored.
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
        """(width, height) at full size, turned upright: orientations from 5 on swap the two."""
        swapped = self.orientation >= 5
        return (self.height, self.width) if swapped else (self.width, self.height)


class DecoderSettings(NamedTuple):
    """What is refused, and what becomes of what is not simply RGB; see :class:`prep.Config`."""

    max_pixels: int = 100_000_000
    max_aspect: float = 500.0
    min_size: int = 1
    background: tuple[int, int, int] = (255, 255, 255)
    keep_damaged: bool = False
    convert_profiles: bool = False
    depth: int = 16
