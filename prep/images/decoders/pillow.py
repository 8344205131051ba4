"""All that is no JPEG → 8-bit RGB, by Pillow, which raises on most truncated and damaged files."""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageFile, TiffImagePlugin, UnidentifiedImageError

from prep.errors import RefusedImage
from prep.images.decoders.base import Decoded, DecoderSettings, Kind, Note, Pixels
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
from prep.images.geometry import Area, AreaNeeded, whole
from prep.text import opening, sentence_of

_FORMATS = ("PNG", "WEBP", "BMP", "DIB", "GIF", "TIFF", "PPM", "TGA", "JPEG2000", "AVIF")
_TRUNCATED = re.compile("[Tt]runcated|not enough image data")
_GRAY = ("1", "L", "LA", "La")  # and those of more bits, which begin with I
_UNSUPPORTED = re.compile("not supported|[Uu]nsupported")


class _Source(NamedTuple):
    """What Pillow is to decode, and what it does not know of it, or knows wrong.

    Attributes:
        name: of the format; empty if it is not known by its beginning.
        data: the file, or as much of it as is needed.
        orientation: which turns the pixels upright; None if Pillow is to be asked for the Exif.
        profile: the ICC profile; None if Pillow is to be asked for it.
        bits: of a sample, where there may be more than eight.
        by_libtiff: whether Pillow reads a TIFF wrong by itself, and is to leave it to libtiff.
        negative: whether 16-bit gray comes out as its negative.
        cut: whether the file ends before its pixels do.
        samples: what they are, in words, if nothing else may keep Pillow from reading it.
        note: what was mended.
        fault: for what it is to be refused, unless it is kept.
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


def decode_with_pillow(
    data: bytes, settings: DecoderSettings, area_needed: AreaNeeded = whole
) -> Decoded:
    """Decodes the first image in a file. See :meth:`prep.images.decoders.decode.Decoder.decode`."""
    name = _readable_format(data)
    _check_claims(name, data, settings)
    source = _source(name, data, settings)
    try:
        if source.fault is not None:
            raise source.fault
        return _decode(source, settings, area_needed)._replace(note=source.note)
    except RefusedImage as error:
        if not settings.keep_damaged or error.reason not in ("truncated", "damaged"):
            raise
        note = Note("damaged", error.reason, error.detail)
    return _decode(source, settings, area_needed, lenient=True)._replace(note=note)


def _source(name: str, data: bytes, settings: DecoderSettings) -> _Source:
    """What Pillow is to be given of a file.

    Raises:
        RefusedImage: it is of a kind that Pillow does not read, or reads wrong.
    """
    if name == "PNG":
        png = read_png(data)
        orientation = exif_orientation(png.exif)
        return _Source(
            name,
            png.data,
            orientation,
            profile=png.profile if settings.convert_profiles else None,
            bits=png.bits,
            note=png.note,
            fault=png.fault,
        )
    if name == "TIFF":
        tiff = read_tiff(data)
        return _Source(name, **tiff._asdict())
    if name == "JPEG 2000":
        check_jpeg2000(data)
        orientation = exif_orientation(jpeg2000_exif(data))
        return _Source(name, data, orientation, cut=is_cut_off(name, data))
    return _Source(name, data, cut=is_cut_off(name, data))


def convert_cmyk(data: bytes, profile: bytes) -> Pixels | None:
    """The sRGB pixels of a CMYK JPEG; None, if it can't be read or the profile is not for it.

    The inks are needed here: RGB that was made of them without the profile can't be mended by it.
    The file has passed all checks before.
    """
    try:
        with _pillow_settings(None), Image.open(io.BytesIO(data)) as image:
            image.load()
            return to_srgb(image, profile)
    except Exception:  # Pillow's plugins raise whatever they stumble upon.
        return None


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
    source: _Source, settings: DecoderSettings, area_needed: AreaNeeded, *, lenient: bool = False
) -> Decoded:
    name, data = source.name, source.data
    try:
        with (
            _pillow_settings(settings.max_pixels, lenient=lenient, by_libtiff=source.by_libtiff),
            Image.open(io.BytesIO(data), formats=_FORMATS) as image,
        ):
            check_size(image.height, image.width, settings)
            check_room(image.height, image.width, len(data))
            image.info.pop("xmp", None)  # Or Pillow would turn a TIFF by it.
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
            area = area_needed(height, width)
            pixels, bits = to_rgb(image, area, settings, deep, _gray_as_meant(image, source))
            if frame is not None:
                pixels = _on_canvas(pixels, area, frame, settings)
    except RefusedImage:
        raise
    except UnidentifiedImageError:
        if source.samples and not source.cut:
            raise RefusedImage("unsupported", f"{name} of {source.samples}") from None
        if name:
            what = f"begins like {name}, but can't be read"
            raise RefusedImage("truncated" if source.cut else "damaged", what) from None
        raise RefusedImage("not an image", opening(data)) from None
    except Image.DecompressionBombError:
        detail = f"more pixels than max_pixels allows, {settings.max_pixels:,}"
        raise RefusedImage("too large", detail) from None
    except Exception as error:  # Pillow's plugins raise whatever they stumble upon.
        reason = "truncated" if source.cut else _reason(str(error))
        raise RefusedImage(reason, sentence_of(error)) from None
    return Decoded(
        pixels,
        height,
        width,
        1,
        orientation,
        top=area.top,
        left=area.left,
        bits=bits,
        kind=kind,
    )


def _kind(name: str, image: Image.Image) -> Kind:
    """How an image that is loaded was stored; ``name`` is empty where only Pillow knows it."""
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
    """Sets what is global in Pillow, and sets it back, for notebooks use Pillow too."""
    before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, TiffImagePlugin.READ_LIBTIFF
    Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = max_pixels, lenient
    # What Pillow reads of uncompressed TIFFs by itself, and not by libtiff, is wrong where samples
    # lie in planes or chroma is subsampled; where neither is so, it takes less memory.
    TiffImagePlugin.READ_LIBTIFF = by_libtiff
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # About metadata, and about sizes that we check.
            yield
    finally:
        Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = before[:2]
        TiffImagePlugin.READ_LIBTIFF = before[2]


def _reason(message: str) -> str:
    """The reason for what Pillow said."""
    if _TRUNCATED.search(message):
        return "truncated"
    return "unsupported" if _UNSUPPORTED.search(message) else "damaged"


def _gray_as_meant(image: Image.Image, source: _Source) -> GrayMeaning:
    """What Pillow does not know of what it has decoded."""
    if source.name == "PNG" and image.mode == "L" and "transparency" in image.info:
        # It scales samples of two and four bits, but not the one that is transparent.
        image.info["transparency"] *= 255 // ((1 << source.bits) - 1)
    return GrayMeaning(
        shift=16 - source.bits if source.name == "TIFF" else 0,
        negative=source.negative,
        in_32_bits=source.name == "PPM",
    )


def _on_canvas(
    pixels: Pixels, area: Area, frame: tuple[int, int, int, int], settings: DecoderSettings
) -> Pixels:
    """The pixels with what is around the frame as transparent as browsers take it to be.

    Args:
        area: which part of the canvas they are.
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
