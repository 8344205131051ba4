"""All formats but JPEG → 8-bit RGB, by Pillow, which refuses most truncated and damaged files."""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageFile, TiffImagePlugin, UnidentifiedImageError

from prep.errors import RefusedImage
from prep.images.decoders.convert import GrayMeaning, prepare, to_rgb, to_srgb
from prep.images.decoders.formats import format_of
from prep.images.decoders.ifd import exif_orientation
from prep.images.decoders.jpeg.jpeg2000 import check_jpeg2000, is_cut_off, jpeg2000_exif
from prep.images.decoders.limits import (
    avif_size,
    check_room,
    check_size,
    check_webp_room,
    webp_size,
)
from prep.images.decoders.png import check_png_room, png_size, read_png
from prep.images.decoders.tiff import read_tiff
from prep.images.decoders.values import Decoded, Kind, Note, PillowInput, Pixels
from prep.images.geometry import Area, Everything, Needed
from prep.settings.image_settings import ImageSettings
from prep.text import opening, sentence_of

_FORMATS = ("PNG", "WEBP", "BMP", "DIB", "GIF", "TIFF", "PPM", "TGA", "JPEG2000", "AVIF")
_TRUNCATED = re.compile("[Tt]runcated|not enough image data")
_GRAY = ("1", "L", "LA", "La")  # Modes of more bits begin with I.
_UNSUPPORTED = re.compile("not supported|[Uu]nsupported")


def decode_with_pillow(
    data: bytes,
    settings: ImageSettings,
    needed: Needed = Everything(),  # noqa: B008
) -> Decoded:
    """Decode the first image of a file. See :meth:`prep.images.decoders.decode.Decoder.decode`."""
    name = _readable_format(data)
    _check_claims(name, data, settings)
    source = _source(name, data, settings)
    try:
        if source.fault is not None:
            raise source.fault
        return _decode(source, settings, needed)._replace(note=source.note)
    except RefusedImage as error:
        if settings.damaged != "keep" or error.reason not in ("truncated", "damaged"):
            raise
        note = Note("damaged", error.reason, error.detail)
    return _decode(source, settings, needed, lenient=True)._replace(note=note)


def _source(name: str, data: bytes, settings: ImageSettings) -> PillowInput:
    """Return what to give Pillow; raise RefusedImage if it can't read this kind correctly."""
    if name == "PNG":
        png = read_png(data)
        return PillowInput(
            name,
            png.data,
            exif_orientation(png.exif),
            profile=png.profile if settings.icc == "convert" else None,
            bits=png.bits,
            note=png.note,
            fault=png.fault,
        )
    if name == "TIFF":
        return read_tiff(data)
    orientation = None
    if name == "JPEG 2000":
        check_jpeg2000(data)
        orientation = exif_orientation(jpeg2000_exif(data))
    return PillowInput(name, data, orientation, cut=is_cut_off(name, data))


def convert_cmyk(data: bytes, profile: bytes) -> Pixels | None:
    """Return the sRGB pixels of a CMYK JPEG; None if it can't be read, or the profile misfits.

    This needs the inks: a profile can't correct RGB that was made of them without it. The file has
    passed all checks before.
    """
    try:
        with _pillow_settings(None), Image.open(io.BytesIO(data)) as image:
            image.load()
            return to_srgb(image, profile)
    except Exception:  # Pillow's plugins raise errors of any type.
        return None


def _readable_format(data: bytes) -> str:
    """Return the name of the format, or an empty one; raise RefusedImage if it is not supported."""
    found = format_of(data)
    if found is not None and not found.supported:
        raise RefusedImage("unsupported", f"{found.name}, which no decoder here reads")
    return found.name if found else ""


_CLAIMED_SIZE = {"PNG": png_size, "WebP": webp_size, "AVIF": avif_size}


def _check_claims(name: str, data: bytes, settings: ImageSettings) -> None:
    """Raise RefusedImage for implausible sizes in formats that Pillow reads on opening."""
    if name not in _CLAIMED_SIZE:
        return
    height, width = _CLAIMED_SIZE[name](data)
    if height and width:  # Otherwise, Pillow says what is wrong.
        check_size(height, width, settings)
        check_room(height, width, len(data))
    if name == "PNG":
        check_png_room(data)
    elif name == "WebP":
        check_webp_room(data)


def _decode(
    source: PillowInput, settings: ImageSettings, needed: Needed, *, lenient: bool = False
) -> Decoded:
    name, data = source.name, source.data
    try:
        with (
            _pillow_settings(settings.max_pixels, lenient=lenient, by_libtiff=source.by_libtiff),
            Image.open(io.BytesIO(data), formats=_FORMATS) as image,
        ):
            check_size(image.height, image.width, settings)
            check_room(image.height, image.width, len(data))
            image.info.pop("xmp", None)  # Or Pillow would apply its orientation to a TIFF.
            frame = image.tile[0].extents if image.format == "GIF" and image.tile else None
            deep = prepare(image, data, settings.depth)
            image.load()
            kind = _kind(name, image)
            if source.profile is not None:
                image.info["icc_profile"] = source.profile
            orientation = source.orientation
            if orientation is None:
                orientation = exif_orientation(image.info.get("exif", b""))
            height, width = image.height, image.width
            area = needed.area(height, width, orientation)
            pixels, bits = to_rgb(image, area, settings, deep, _gray_as_meant(image, source))
            if frame is not None:
                pixels = _on_canvas(pixels, area, frame, settings)
    except RefusedImage:
        raise
    except UnidentifiedImageError:
        raise _unidentified(source) from None
    except Image.DecompressionBombError:
        detail = f"more pixels than max_pixels allows, {settings.max_pixels:,}"
        raise RefusedImage("too large", detail) from None
    except Exception as error:  # Pillow's plugins raise errors of any type.
        reason = "truncated" if source.cut else _reason(str(error))
        raise RefusedImage(reason, sentence_of(error)) from None
    decoded = Decoded(pixels, height, width, 1, orientation, bits=bits, kind=kind)
    return decoded._replace(top=area.top, left=area.left)


def _unidentified(source: PillowInput) -> RefusedImage:
    """Return the refusal of a file that Pillow does not identify."""
    if source.samples and not source.cut:
        return RefusedImage("unsupported", f"{source.name} of {source.samples}")
    if source.name:
        what = f"begins like {source.name}, but can't be read"
        return RefusedImage("truncated" if source.cut else "damaged", what)
    return RefusedImage("not an image", opening(source.data))


def _kind(name: str, image: Image.Image) -> Kind:
    """Return how a loaded image was stored; ``name`` is empty if only Pillow knows the format."""
    marks = []
    if image.mode == "CMYK":
        marks.append("CMYK")
    elif image.mode in _GRAY or image.mode.startswith("I"):
        marks.append("gray")
    if image.has_transparency_data:
        marks.append("transparent")
    return Kind(name or image.format or "", tuple(marks))


@contextlib.contextmanager
def _pillow_settings(
    max_pixels: int | None, *, lenient: bool = False, by_libtiff: bool = False
) -> Iterator[None]:
    """Change Pillow's global settings for the length of the block: notebooks use Pillow, too."""
    before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, TiffImagePlugin.READ_LIBTIFF
    Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = max_pixels, lenient
    # Pillow's own reader of uncompressed TIFFs takes less memory than libtiff, but is wrong for
    # planar samples and for subsampled chroma.
    TiffImagePlugin.READ_LIBTIFF = by_libtiff
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about metadata, and about sizes, which we check
            yield
    finally:
        Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = before[:2]
        TiffImagePlugin.READ_LIBTIFF = before[2]


def _reason(message: str) -> str:
    """Return the reason of refusal for a message of Pillow's."""
    if _TRUNCATED.search(message):
        return "truncated"
    return "unsupported" if _UNSUPPORTED.search(message) else "damaged"


def _gray_as_meant(image: Image.Image, source: PillowInput) -> GrayMeaning:
    """Return the meaning of gray samples, and correct a transparent gray of few bits."""
    if source.name == "PNG" and image.mode == "L" and "transparency" in image.info:
        # Pillow scales samples of two and four bits, but not the transparent one.
        image.info["transparency"] *= 255 // ((1 << source.bits) - 1)
    return GrayMeaning(
        shift=16 - source.bits if source.name == "TIFF" else 0,
        negative=source.negative,
        in_32_bits=source.name == "PPM",
    )


def _on_canvas(
    pixels: Pixels, area: Area, frame: tuple[int, int, int, int], settings: ImageSettings
) -> Pixels:
    """Fill the pixels outside the frame of a GIF with the background, as browsers do.

    Args:
        pixels: of the canvas, uint8 (height, width, 3).
        area: of these pixels on the canvas.
        frame: left, top, right and bottom of the frame on the canvas.
    """
    left, top, right, bottom = frame
    if left <= area.left and top <= area.top and right >= area.right and bottom >= area.bottom:
        return pixels
    rows = slice(max(top - area.top, 0), max(bottom - area.top, 0))
    columns = slice(max(left - area.left, 0), max(right - area.left, 0))
    canvas = np.full_like(pixels, settings.background)
    canvas[rows, columns] = pixels[rows, columns]
    return canvas
