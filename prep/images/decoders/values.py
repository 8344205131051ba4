"""Values that pass between decoders and the rest of the room."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from prep.errors import RefusedImage

Pixels = npt.NDArray[np.uint8]


class Note(NamedTuple):
    """A fault in the file of an image that was used all the same."""

    outcome: Literal["repaired", "damaged"]
    reason: str
    detail: str


class Kind(NamedTuple):
    """The format of an image, and those of :data:`prep.images.traits.MARKS` that it bears."""

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
        plain: whether it is a JPEG that any strict decoder reads as it is: with Huffman coding, its
            own tables and a usual sampling, and without repairs.
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
    plain: bool = False

    @property
    def upright_size(self) -> tuple[int, int]:
        """(width, height) at full size, upright: orientations from 5 on swap the two."""
        swapped = self.orientation >= 5
        return (self.height, self.width) if swapped else (self.width, self.height)


class PillowInput(NamedTuple):
    """Data for Pillow, and facts about it that Pillow misses or gets wrong.

    Attributes:
        name: of the format; empty if the file has no known signature.
        data: the file, or as much of it as is needed.
        orientation: Exif orientation; None if Pillow finds the Exif.
        profile: the ICC profile; None if Pillow finds it.
        bits: per sample, where there may be more than eight.
        by_libtiff: whether Pillow's own TIFF reader gets it wrong, and libtiff must read it.
        negative: whether 16-bit gray comes out as its negative.
        cut: whether the file ends before its pixels do.
        samples: a description of its samples, for a refusal if Pillow can't identify the file.
        note: what was repaired.
        fault: the reason to refuse it, unless damaged images are kept.
    """

    name: str
    data: bytes
    orientation: int | None = None
    profile: bytes | None = None
    bits: int = 16
    by_libtiff: bool = False
    negative: bool = False
    cut: bool = False
    samples: str = ""
    note: Note | None = None
    fault: RefusedImage | None = None
