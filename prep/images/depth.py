"""Samples of 16 bits, brought to 8, and how many of their bits hold anything.

Cameras and scanners put 10, 12 or 14 bits into files of 16, mostly the lower ones. PNG can't say
so, and few writers of TIFF do.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from PIL import ImageFile

from prep.errors import RefusedImage
from prep.images.decoded import Pixels
from prep.images.geometry import Area
from prep.images.jpeg2000 import jpeg2000_bits

FULL = 16
_16_BITS_A_PIXEL = "BGR;16"  # in a BMP: five of them for red, six for green, five for blue


class Deep(NamedTuple):
    """What is needed of an image that claims 16 bits a sample.

    Attributes:
        colours: all bits of its samples, uint16, (height, width, 3), BGR; of gray, and where only
            the upper 8 are used, Pillow has what is needed, and it is None.
    """

    colours: npt.NDArray[Any] | None = None


def prepare(image: ImageFile.ImageFile, data: bytes, depth: int) -> Deep | None:
    """What is needed of an image beside what Pillow decodes; None, if it does not claim 16 bits.

    To be called before ``image`` is loaded.

    Raises:
        RefusedImage: OpenCV, which is needed for it, can't read it.
    """
    _read_fast(image)
    if not _claims_16_bits(image, data):
        return None
    if depth == FULL or image.mode not in ("RGB", "RGBA"):
        return Deep()
    flags = cv2.IMREAD_UNCHANGED
    colours = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if colours is None or colours.dtype != np.uint16 or colours.ndim != 3:
        raise RefusedImage("unsupported", f"the lower bits of its samples, for depth {depth}")
    return Deep(colours)


def gray_of_16_bits(samples: npt.NDArray[Any], depth: int) -> Pixels:
    """The upper 8 of the lower ``depth`` bits of each sample; what is beyond them is white."""
    gray: Pixels = np.minimum(samples >> (depth - 8), 255).astype(np.uint8)
    return gray


def colours_of_16_bits(upper: Pixels, part: Area, deep: Deep, depth: int) -> Pixels:
    """The same for colours.

    Args:
        upper: the upper 8 bits of them all, RGB, as Pillow has decoded them.
        part: which part of the image they are.

    Raises:
        RefusedImage: OpenCV has decoded others.
    """
    if deep.colours is None:
        return upper
    samples = deep.colours[part.top : part.bottom, part.left : part.right, 2::-1]
    if not np.array_equal(samples >> 8, upper):
        raise RefusedImage("unsupported", "samples of 16 bits that two decoders read differently")
    return gray_of_16_bits(samples, depth)


def bits_of(upper: npt.NDArray[Any]) -> int:
    """How many bits the largest sample takes, by the upper 8 of all: 8, if these are zero."""
    return 8 + int(upper.max()).bit_length()


def _claims_16_bits(image: ImageFile.ImageFile, data: bytes) -> bool:
    """Whether the file says that its samples have 16 bits, all of them of use.

    Of samples that are said to have fewer, Pillow knows that, and scales them.
    """
    if image.format == "JPEG2000":
        return jpeg2000_bits(data) == FULL
    return any(
        ";16" in mode and not mode.endswith("S") and mode != _16_BITS_A_PIXEL
        for mode in _raw_modes(image)
    )


def _read_fast(image: ImageFile.ImageFile) -> None:
    """Has 16-bit colours of a PPM read as those of other formats are: their upper 8 bits.

    Pillow would scale them one by one in Python, which takes a second a megapixel.
    """
    if image.format != "PPM":
        return
    tile = image.tile[0]
    if (tile.codec_name, tile.args) == ("ppm", ("RGB", 0xFFFF)):  # and no numbers as text
        image.tile = [tile._replace(codec_name="raw", args="RGB;16B")]


def _raw_modes(image: ImageFile.ImageFile) -> Iterator[str]:
    """How Pillow is going to read an image's samples, such as ``RGB;16B``, among other words."""
    for tile in image.tile:
        for argument in (tile.args,) if isinstance(tile.args, str) else tile.args or ():
            if isinstance(argument, str):
                yield argument
