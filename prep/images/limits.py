"""What is refused for its size, by its header alone: before memory is taken or time is spent."""

from __future__ import annotations

from prep.errors import RefusedImage
from prep.images.decoded import DecoderSettings

MAX_SCANS = 200  # Real encoders write up to about a dozen.
# Each scan goes over the whole picture once more. This is 20 scans of the largest image that is
# decoded by default, or 200 of 10 megapixels: some seconds.
MAX_SCANNED_PIXELS = 2_000_000_000
# Some codings need next to no bytes for an image of one colour: lossless WebP, AVIF, JPEG 2000,
# arithmetic-coded JPEG and fax. No bound follows from their formats, so this one is chosen: above
# what those can reach that have one (PNG 8,256 pixels of one bit; GIF 2,600; lossy WebP 2,048; JPEG
# 512), and for images only that take more memory than any worker has to spare for an odd file.
_PIXELS_PER_BYTE = 10_000
_ALWAYS_DECODED = 4_000_000  # pixels


def check_size(height: int, width: int, settings: DecoderSettings) -> None:
    """Refuses what is too large, too small or too long.

    Raises:
        RefusedImage: for the first of these that applies.
    """
    if height * width > settings.max_pixels:
        raise RefusedImage(
            "too large", f"{width:,} × {height:,} pixels; max_pixels allows {settings.max_pixels:,}"
        )
    short, long = (height, width) if height < width else (width, height)
    if short < settings.min_size:
        raise RefusedImage(
            "too small",
            f"{width:,} × {height:,} pixels; min_size asks for a shorter side of "
            f"{settings.min_size:,}",
        )
    if long > settings.max_aspect * short:
        raise RefusedImage(
            "too extreme",
            f"{width:,} × {height:,} pixels; max_aspect allows a longer side of "
            f"{settings.max_aspect:,g} times the shorter",
        )


def check_least(height: int, width: int, least: int, size: int) -> None:
    """Refuses a file of ``size`` bytes, if a picture of its size takes ``least`` or more.

    Raises:
        RefusedImage: there are fewer.
    """
    if size < least:
        raise RefusedImage(
            "truncated",
            f"{width:,} × {height:,} pixels take {least:,} bytes or more; there are {size:,}",
        )


def check_room(height: int, width: int, size: int) -> None:
    """Refuses a file of ``size`` bytes that claims more pixels than one would use it for.

    Raises:
        RefusedImage: it does.
    """
    if height * width > max(_ALWAYS_DECODED, size * _PIXELS_PER_BYTE):
        raise RefusedImage(
            "too extreme",
            f"{width:,} × {height:,} pixels from {size:,} bytes; at most {_PIXELS_PER_BYTE:,} "
            "pixels per byte are decoded",
        )


def check_scans(scans: int, pixels: int) -> None:
    """Refuses a JPEG of so many scans that decoding it is a matter of many seconds.

    Raises:
        RefusedImage: it has.
    """
    most = min(MAX_SCANS, max(1, MAX_SCANNED_PIXELS // pixels))
    if scans > most:
        raise RefusedImage("too extreme", f"{scans:,} scans or more; at most {most:,} are decoded")
