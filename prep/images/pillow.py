"""All that is no JPEG → 8-bit RGB, by Pillow, which raises on most truncated and damaged files."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from prep.errors import RefusedImage
from prep.images.bands import to_rgb
from prep.images.claims import avif_size, check_webp_room, webp_size
from prep.images.decoded import Decoded, DecoderSettings, Note, Pixels
from prep.images.depth import prepare
from prep.images.formats import format_of
from prep.images.geometry import AreaNeeded, whole
from prep.images.limits import check_room, check_size
from prep.images.png import check_png, check_png_room, png_size
from prep.images.profiles import image_to_srgb

_FORMATS = ("PNG", "WEBP", "BMP", "DIB", "GIF", "TIFF", "PPM", "TGA", "JPEG2000", "AVIF", "JPEG")
_ORIENTATION_TAG = 0x0112


def decode_with_pillow(
    data: bytes, settings: DecoderSettings, area_needed: AreaNeeded = whole
) -> Decoded:
    """Decodes the first image in a file. See :meth:`prep.images.decode.Decoder.decode`."""
    name = _readable_format(data)
    _check_claims(name, data, settings)
    note = None
    try:
        if name == "PNG":
            data, note = check_png(data)
        return _decode(name, data, settings, area_needed)._replace(note=note)
    except RefusedImage as error:
        if not settings.keep_damaged or error.reason not in ("truncated", "damaged"):
            raise
        note = Note("damaged", error.reason, error.detail)
    return _decode(name, data, settings, area_needed, lenient=True)._replace(note=note)


def convert_cmyk(data: bytes, profile: bytes) -> Pixels | None:
    """The sRGB pixels of a CMYK JPEG; None, if it can't be read or the profile is not for it.

    The inks are needed here: RGB that was made of them without the profile can't be mended by it.
    The file has passed all checks before.
    """
    try:
        with _pillow_settings(None, lenient=False), Image.open(io.BytesIO(data)) as image:
            image.load()
            converted = image_to_srgb(image, profile)
    except Exception:  # Pillow's plugins raise whatever they stumble upon.
        return None
    return np.asarray(converted) if converted.mode == "RGB" else None


def _readable_format(data: bytes) -> str:
    """The name of the format; empty if it is not known by its beginning.

    Raises:
        RefusedImage: it is none that is read.
    """
    found = format_of(data)
    if found is not None and not found.supported:
        raise RefusedImage("unsupported", f"{found.name}, which no decoder here reads")
    return found.name if found else ""


_CLAIMED_SIZE = {"PNG": png_size, "WebP": webp_size, "AVIF": avif_size}


def _check_claims(name: str, data: bytes, settings: DecoderSettings) -> None:
    """Refuses what Pillow takes memory for as soon as it opens it, or opens without naming it."""
    if name not in _CLAIMED_SIZE:
        return
    height, width = _CLAIMED_SIZE[name](data)
    if height and width:  # Of others, Pillow says what is wrong with them.
        check_size(height, width, settings)
        check_room(height, width, len(data))
    if name == "PNG":
        check_png_room(data)
    elif name == "WebP":
        check_webp_room(data)


def _decode(
    name: str,
    data: bytes,
    settings: DecoderSettings,
    area_needed: AreaNeeded,
    *,
    lenient: bool = False,
) -> Decoded:
    try:
        with (
            _pillow_settings(settings.max_pixels, lenient=lenient),
            Image.open(io.BytesIO(data), formats=_FORMATS) as image,
        ):
            check_size(image.height, image.width, settings)
            check_room(image.height, image.width, len(data))
            deep = prepare(image, data, settings.depth)
            image.load()
            orientation = _orientation(image)
            height, width = image.height, image.width
            area = area_needed(height, width)
            pixels, bits = to_rgb(image, area, settings, deep)
    except RefusedImage:
        raise
    except UnidentifiedImageError:
        if name:
            raise RefusedImage("damaged", f"begins like {name}, but can't be read") from None
        raise RefusedImage("not an image", f"begins with {data[:8]!r}") from None
    except Image.DecompressionBombError as error:
        raise RefusedImage("too large", str(error)) from None
    except Exception as error:  # Pillow's plugins raise whatever they stumble upon.
        raise RefusedImage(_reason(str(error)), f"{type(error).__name__}: {error}") from None
    return Decoded(pixels, height, width, 1, orientation, top=area.top, left=area.left, bits=bits)


@contextlib.contextmanager
def _pillow_settings(max_pixels: int | None, *, lenient: bool) -> Iterator[None]:
    """Sets what is global in Pillow, and sets it back, for notebooks use Pillow too."""
    before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
    Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = max_pixels, lenient
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # About metadata, and about sizes that we check.
            yield
    finally:
        Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = before


def _reason(message: str) -> str:
    """The reason for what Pillow said."""
    if "runcated" in message:
        return "truncated"
    return "unsupported" if "not supported" in message else "damaged"


def _orientation(image: Image.Image) -> int:
    """1 to 8 as Exif counts; 1, upright, where it is absent or malformed."""
    try:
        orientation = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # Malformed metadata says nothing about the pixels.
        return 1
    return orientation if orientation in range(1, 9) else 1
