"""Images that Pillow has opened → 8-bit RGB: colour profiles, 16-bit samples, transparency.

The work is done one band of rows at a time. Each step copies what it works on, so no copy of a
large image is made but the result.

A file can't always say how many bits its 16-bit samples use: PNG has no field for it, and few
writers of TIFF fill it in. So ``depth`` says it, and the bits that are in use are counted.
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
from prep.images.decoders.jpeg.jpeg2000 import jpeg2000_bits
from prep.images.decoders.values import Pixels
from prep.images.depths import FULL
from prep.images.geometry import Area, whole_area
from prep.settings.image_settings import ImageSettings

# ICC.1:2010, section 7.2.6: the profile's colour space → Pillow's mode.
_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}
_16_BITS_PER_PIXEL = "BGR;16"  # in a BMP: 5 bits of red, 6 of green, 5 of blue
_BAND = 1 << 20  # pixels, of 4 bytes each in Pillow


def pixels_to_srgb(pixels: Pixels, profile: bytes) -> Pixels:
    """Convert pixels, uint8 (h, w, 3), RGB, to sRGB; leave them as is if the profile is broken.

    A profile for gray applies to the first channel.
    """
    transform = _transform(profile)
    if transform is None or transform.input_mode == "CMYK":
        return pixels
    image = Image.fromarray(pixels)
    if transform.input_mode == "L":
        image = image.getchannel(0)
    return np.asarray(transform.apply(image))


def to_srgb(image: Image.Image, profile: bytes) -> Pixels | None:
    """Convert a whole image to sRGB; return None if the profile is for another kind of image."""
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    for part, band in _bands(image, whole_area(image.height, image.width)):
        converted = _band_to_srgb(band, profile)
        if converted.mode != "RGB":
            return None
        pixels[part.top : part.bottom] = np.asarray(converted)
    return pixels


def _band_to_srgb(band: Image.Image, profile: bytes) -> Image.Image:
    """Convert to RGB or RGBA; return the band itself if the profile is for another kind."""
    transform = _transform(profile)
    if band.mode == "P":
        band = band.convert("RGBA" if "transparency" in band.info else "RGB")
    alpha = band.getchannel("A") if band.mode in ("RGBA", "LA") else None
    colours = band.convert({"RGBA": "RGB", "LA": "L"}[band.mode]) if alpha else band
    if transform is None or colours.mode != transform.input_mode:
        return band
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


class SixteenBits(NamedTuple):
    """Marks an image that claims 16 bits per sample.

    Attributes:
        colours: all bits of its samples, uint16 (height, width, 3), BGR; None if the samples that
            Pillow decodes are enough: those of gray, or if the upper 8 bits are all that is used.
    """

    colours: npt.NDArray[Any] | None = None


def prepare(image: ImageFile.ImageFile, data: bytes, depth: int) -> SixteenBits | None:
    """Prepare an image for :func:`to_rgb` before it is loaded; None if it is not of 16 bits.

    Raises:
        RefusedImage: OpenCV is needed for its lower bits, and can't read it.
    """
    _read_upper_bits(image)
    if not _claims_16_bits(image, data):
        return None
    if depth == FULL or image.mode not in ("RGB", "RGBA"):
        return SixteenBits()
    colours = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if colours is None or colours.dtype != np.uint16 or colours.ndim != 3:
        raise RefusedImage("unsupported", f"the lower bits of its samples, for depth {depth}")
    return SixteenBits(colours)


def _claims_16_bits(image: ImageFile.ImageFile, data: bytes) -> bool:
    """Return whether the file says that its samples have 16 bits, all of them in use.

    Samples that are said to use fewer are scaled by Pillow.
    """
    if image.format == "JPEG2000":
        return jpeg2000_bits(data) == FULL
    return any(
        ";16" in mode and not mode.endswith("S") and mode != _16_BITS_PER_PIXEL
        for tile in image.tile
        for mode in ((tile.args,) if isinstance(tile.args, str) else tile.args or ())
        if isinstance(mode, str)
    )


def _read_upper_bits(image: ImageFile.ImageFile) -> None:
    """Make Pillow read the upper 8 bits of 16-bit colours of a PPM, as it does for other formats.

    It would scale them one by one in Python, which takes a second per megapixel.
    """
    if image.format == "PPM":
        tile = image.tile[0]
        if (tile.codec_name, tile.args) == ("ppm", ("RGB", 0xFFFF)):  # binary, not plain text
            image.tile = [tile._replace(codec_name="raw", args="RGB;16B")]


class GrayMeaning(NamedTuple):
    """The meaning of gray samples of more than 8 bits.

    Attributes:
        shift: the number of bits that they lack to 16.
        negative: whether zero is white.
        in_32_bits: whether Pillow holds 16-bit samples in 32; otherwise the samples have 32 bits.
    """

    shift: int = 0
    negative: bool = False
    in_32_bits: bool = False


def to_rgb(
    image: Image.Image,
    area: Area,
    settings: ImageSettings,
    deep: SixteenBits | None,
    gray: GrayMeaning,
) -> tuple[Pixels, int]:
    """Convert a part of an image to 8-bit RGB, with transparent pixels over the background.

    Args:
        deep: what :func:`prepare` returned.
        gray: the meaning of gray of more than 8 bits.

    Returns:
        The pixels, uint8 (height, width, 3), and the number of bits of the largest sample if the
        file claims 16, otherwise 0.

    Raises:
        RefusedImage: it has 32 bits per sample.
    """
    if image.mode == "F" or (image.mode == "I" and not gray.in_32_bits):
        raise RefusedImage("unsupported", "32 bits a sample")
    pixels = np.empty((area.bottom - area.top, area.right - area.left, 3), np.uint8)
    bits = 0
    for part, band in _bands(image, area):
        if band.mode.startswith("I"):
            band, most = _gray_in_8_bits(band, settings.depth, deep, gray)
        elif deep is not None and band.mode in ("RGB", "RGBA"):
            band, most = _colours_in_8_bits(band, part, settings.depth, deep)
        else:
            most = 0
        bits = max(bits, most)
        pixels[part.top - area.top : part.bottom - area.top] = _opaque(band, settings)
    return pixels, bits


def _bands(image: Image.Image, area: Area) -> Iterator[tuple[Area, Image.Image]]:
    """Yield bands of rows of a part of an image, each with its area in the image."""
    at_once = max(1, _BAND // (area.right - area.left))
    for top in range(area.top, area.bottom, at_once):
        part = area._replace(top=top, bottom=min(top + at_once, area.bottom))
        yield part, image.crop((part.left, part.top, part.right, part.bottom))


def _gray_in_8_bits(
    band: Image.Image, depth: int, deep: SixteenBits | None, meaning: GrayMeaning
) -> tuple[Image.Image, int]:
    """Return a band of gray with its samples scaled, and the bits of its largest sample."""
    samples: npt.NDArray[Any] = np.asarray(band).astype(np.uint16) << meaning.shift
    if meaning.negative:
        samples = ~samples
    gray = Image.fromarray(_scaled(samples, depth if deep else FULL))
    key = band.info.get("transparency")
    if isinstance(key, int):
        alpha = Image.fromarray(np.where(samples == key, 0, 255).astype(np.uint8))
        gray = Image.merge("LA", (gray, alpha))
    gray.info = {key: band.info[key] for key in ("icc_profile",) if key in band.info}
    return gray, _bits_of(samples >> 8) if deep else 0


def _colours_in_8_bits(
    band: Image.Image, part: Area, depth: int, deep: SixteenBits
) -> tuple[Image.Image, int]:
    """Return a band of colours, scaled, and the bits of its largest sample.

    Raises:
        RefusedImage: OpenCV's samples are not those that Pillow has the upper 8 bits of.
    """
    upper = np.asarray(band)[:, :, :3]
    if deep.colours is not None:
        samples = deep.colours[part.top : part.bottom, part.left : part.right, 2::-1]
        if not np.array_equal(samples >> 8, upper):
            what = "samples of 16 bits that two decoders read differently"
            raise RefusedImage("unsupported", what)
        colours = Image.fromarray(_scaled(samples, depth))
        if band.mode == "RGBA":
            colours.putalpha(band.getchannel("A"))
        colours.info, band = band.info, colours
    return band, _bits_of(upper)


def _scaled(samples: npt.NDArray[Any], depth: int) -> Pixels:
    """Return the upper 8 of the lower ``depth`` bits of each sample; larger ones become white."""
    return np.minimum(samples >> (depth - 8), 255).astype(np.uint8)  # type: ignore[no-any-return]


def _bits_of(upper: npt.NDArray[Any]) -> int:
    """Return the bits of the largest 16-bit sample by the upper 8 bits of all; 8 if these are 0."""
    return 8 + int(upper.max()).bit_length()


def _opaque(band: Image.Image, settings: ImageSettings) -> Pixels:
    transparent = band.has_transparency_data
    profile = band.info.get("icc_profile")
    if settings.icc == "convert" and profile:
        band = _band_to_srgb(band, profile)
    if transparent:
        band = band.convert("RGBA")
        background = Image.new("RGBA", band.size, settings.background)
        band = Image.alpha_composite(background, band)
    return np.asarray(band.convert("RGB"))
