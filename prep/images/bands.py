"""An image that Pillow has decoded → the 8-bit RGB of a part of it, a band of rows at a time.

Transparency, profiles and samples of 16 bits each take copies of what they are about. Done to one
band after the other, no copy of a large image is made but the result.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from prep.errors import RefusedImage
from prep.images.decoded import DecoderSettings, Pixels
from prep.images.depth import FULL, Deep, bits_of, colours_of_16_bits, gray_of_16_bits
from prep.images.geometry import Area, whole
from prep.images.profiles import image_to_srgb

_BAND = 1 << 20  # pixels, of which one takes four bytes in Pillow


class Converted(NamedTuple):
    """Pixels, and how many bits the largest sample takes: 0, unless the file claims 16."""

    pixels: Pixels
    bits: int


class GrayMeaning(NamedTuple):
    """How the samples of gray that is deeper than 8 bits are meant.

    Attributes:
        shift: by how many bits they fall short of 16.
        negative: whether zero is white.
        in_32_bits: whether those of 16 bits come in 32; else, samples of 32 bits are what they are.
    """

    shift: int = 0
    negative: bool = False
    in_32_bits: bool = False


def to_rgb(
    image: Image.Image,
    area: Area,
    settings: DecoderSettings,
    deep: Deep | None,
    gray: GrayMeaning = GrayMeaning(),  # noqa: B008
) -> Converted:
    """8-bit RGB of a part of an image: transparency over the background, 16 bits scaled to 8.

    Args:
        deep: if the image claims 16 bits a sample, what is needed of it for that.
        gray: what is to be known of gray of more than 8 bits.

    Raises:
        RefusedImage: it has 32 bits a sample.
    """
    if image.mode == "F" or (image.mode == "I" and not gray.in_32_bits):
        raise RefusedImage("unsupported", "32 bits a sample")
    pixels = np.empty((area.bottom - area.top, area.right - area.left, 3), np.uint8)
    bits = 0
    for part, band in _bands(image, area):
        if band.mode.startswith("I"):
            band, most = _gray_in_8_bits(band, settings.depth, deep, gray)
        else:
            band, most = _colours_in_8_bits(band, part, settings.depth, deep)
        bits = max(bits, most)
        pixels[part.top - area.top : part.bottom - area.top] = _opaque(band, settings)
    return Converted(pixels, bits)


def to_srgb(image: Image.Image, profile: bytes) -> Pixels | None:
    """All of an image, converted from its profile; None, if that is for another kind of image."""
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    for part, band in _bands(image, whole(image.height, image.width)):
        converted = image_to_srgb(band, profile)
        if converted.mode != "RGB":
            return None
        pixels[part.top : part.bottom] = np.asarray(converted)
    return pixels


def _bands(image: Image.Image, area: Area) -> Iterator[tuple[Area, Image.Image]]:
    """Bands of rows of a part of an image, each with which part of it that is."""
    at_once = max(1, _BAND // (area.right - area.left))
    for top in range(area.top, area.bottom, at_once):
        part = area._replace(top=top, bottom=min(top + at_once, area.bottom))
        yield part, image.crop((part.left, part.top, part.right, part.bottom))


def _gray_in_8_bits(
    band: Image.Image, depth: int, deep: Deep | None, meaning: GrayMeaning
) -> tuple[Image.Image, int]:
    """(the band, its samples scaled; how many bits they take, if they claim to have 16)."""
    samples: npt.NDArray[Any] = np.asarray(band).astype(np.uint16) << meaning.shift
    if meaning.negative:
        samples = ~samples
    gray = Image.fromarray(gray_of_16_bits(samples, depth if deep else FULL))
    key = band.info.get("transparency")
    if isinstance(key, int):
        seen = Image.fromarray(np.where(samples == key, 0, 255).astype(np.uint8))
        gray = Image.merge("LA", (gray, seen))
    gray.info = {key: band.info[key] for key in ("icc_profile",) if key in band.info}
    return gray, bits_of(samples >> 8) if deep else 0


def _colours_in_8_bits(
    band: Image.Image, part: Area, depth: int, deep: Deep | None
) -> tuple[Image.Image, int]:
    """The same for colours, of which Pillow has the upper 8 bits alone."""
    if deep is None or band.mode not in ("RGB", "RGBA"):
        return band, 0
    upper = np.asarray(band)
    if deep.colours is not None:
        colours = Image.fromarray(colours_of_16_bits(upper[:, :, :3], part, deep, depth))
        if band.mode == "RGBA":
            colours.putalpha(band.getchannel("A"))
        colours.info, band = band.info, colours
    return band, bits_of(upper[:, :, :3])


def _opaque(band: Image.Image, settings: DecoderSettings) -> Pixels:
    transparent = band.has_transparency_data
    profile = band.info.get("icc_profile")
    if settings.convert_profiles and profile:
        band = image_to_srgb(band, profile)
    if transparent:
        band = band.convert("RGBA")
        background = Image.new("RGBA", band.size, settings.background)
        band = Image.alpha_composite(background, band)
    return np.asarray(band.convert("RGB"))
