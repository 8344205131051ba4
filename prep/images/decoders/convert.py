"""Embedded colour profiles (ICC) → sRGB.

Samples of 16 bits, brought to 8, and how many of their bits hold anything.

Cameras and scanners put 10, 12 or 14 bits into files of 16, mostly the lower ones. PNG can't say
so, and few writers of TIFF do.

An image that Pillow has decoded → the 8-bit RGB of a part of it, a band of rows at a time.

Transparency, profiles and samples of 16 bits each take copies of what they are about. Done to one
band after the other, no copy of a large image is made but the result.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms, ImageFile

from prep.errors import RefusedImage
from prep.images.decoders.base import DecoderSettings, Pixels
from prep.images.decoders.jpeg.jpeg2000 import jpeg2000_bits
from prep.images.geometry import Area, whole

_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}


def square_to_srgb(square: Pixels, profile: bytes) -> Pixels:
    """Converts RGB pixels from ``profile`` to sRGB; those of a broken profile stay as they are."""
    transform = _transform(profile)
    if transform is None or transform.input_mode == "CMYK":
        return square
    image = Image.fromarray(square)
    if transform.input_mode == "L":
        image = image.getchannel(0)
    return np.asarray(transform.apply(image))


def image_to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Converts a whole image, its transparency kept; one that the profile is not for stays as is.

    The mode of the result is RGB, or RGBA.
    """
    transform = _transform(profile)
    if image.mode == "P":
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    alpha = image.getchannel("A") if image.mode in ("RGBA", "LA") else None
    colours = image.convert({"RGBA": "RGB", "LA": "L"}[image.mode]) if alpha else image
    if transform is None or colours.mode != transform.input_mode:
        return image
    converted = transform.apply(colours)
    if alpha is not None:
        converted.putalpha(alpha)
    return converted


@lru_cache(maxsize=16)  # Cameras and programs have few profiles.
def _transform(profile: bytes) -> ImageCms.ImageCmsTransform | None:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = _MODES.get(source.profile.xcolor_space.strip())
        if mode is None:
            return None
        srgb = ImageCms.createProfile("sRGB")
        return ImageCms.ImageCmsTransform(source, ImageCms.ImageCmsProfile(srgb), mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


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
