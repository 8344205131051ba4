"""An image that Pillow has decoded → the 8-bit RGB of a part of it, a band of rows at a time.

Transparency, profiles and samples of 16 bits each take copies of what they are about. Done to one
band after the other, no copy of a large image is made but the result.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from prep.errors import RefusedImage
from prep.images.decoded import DecoderSettings, Pixels
from prep.images.depth import FULL, Deep, bits_of, colours_of_16_bits, gray_of_16_bits
from prep.images.geometry import Area
from prep.images.profiles import image_to_srgb

_BAND = 1 << 20  # pixels, of which one takes four bytes in Pillow


class Converted(NamedTuple):
    """Pixels, and how many bits the largest sample takes: 0, unless the file claims 16."""

    pixels: Pixels
    bits: int


def to_rgb(
    image: Image.Image, area: Area, settings: DecoderSettings, deep: Deep | None
) -> Converted:
    """8-bit RGB of a part of an image: transparency over the background, 16 bits scaled to 8.

    Args:
        deep: if the image claims 16 bits a sample, what is needed of it for that.

    Raises:
        RefusedImage: it has 32 bits a sample.
    """
    if image.mode in ("I", "F"):
        raise RefusedImage("unsupported", "32 bits a sample")
    pixels = np.empty((area.bottom - area.top, area.right - area.left, 3), np.uint8)
    at_once = max(1, _BAND // pixels.shape[1])
    bits = 0
    for top in range(area.top, area.bottom, at_once):
        part = area._replace(top=top, bottom=min(top + at_once, area.bottom))
        band = image.crop((part.left, part.top, part.right, part.bottom))
        band, most = _in_8_bits(band, part, settings.depth, deep)
        bits = max(bits, most)
        pixels[top - area.top : part.bottom - area.top] = _opaque(band, settings)
    return Converted(pixels, bits)


def _in_8_bits(
    band: Image.Image, part: Area, depth: int, deep: Deep | None
) -> tuple[Image.Image, int]:
    """(the band, its samples scaled; how many bits they take, if they claim to have 16)."""
    if band.mode.startswith("I;16"):
        samples: npt.NDArray[Any] = np.asarray(band)
        gray = Image.fromarray(gray_of_16_bits(samples, depth if deep else FULL))
        key = band.info.get("transparency")
        if isinstance(key, int):
            seen = Image.fromarray(np.where(samples == key, 0, 255).astype(np.uint8))
            gray = Image.merge("LA", (gray, seen))
        gray.info = {key: band.info[key] for key in ("icc_profile",) if key in band.info}
        return gray, bits_of(samples >> 8) if deep else 0
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
