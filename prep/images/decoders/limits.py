"""What is refused for its size, by its header alone: before memory is taken or time is spent.

The size that a WebP or AVIF file claims, read before a decoder takes memory for it.

Formats: RFC 9649 (WebP), RFC 6386 (VP8), ISO/IEC 23008-12 section 6.5.3 (``ispe``).
"""

from __future__ import annotations

import struct

from prep.errors import RefusedImage
from prep.images.decoders.base import DecoderSettings
from prep.text import opening

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


def webp_size(data: bytes) -> tuple[int, int]:
    """(height, width) of a WebP's canvas.

    Raises:
        RefusedImage: the header is cut off or malformed.
    """
    kind = data[12:16]
    try:
        if kind == b"VP8X":
            low_width, high_width, low_height, high_height = struct.unpack_from("<HBHB", data, 24)
            return (low_height | high_height << 16) + 1, (low_width | high_width << 16) + 1
        if kind == b"VP8L":
            (bits,) = struct.unpack_from("<I", data, 21)
            return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
        if kind == b"VP8 ":
            width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
            return height, width
    except struct.error:
        raise RefusedImage("truncated", "the WebP's header is cut off") from None
    raise RefusedImage("damaged", f"the WebP's first chunk {opening(kind)}")


def avif_size(data: bytes) -> tuple[int, int]:
    """(height, width) of the largest image that an AVIF file describes; (0, 0) if it has none.

    An image of tiles is larger than any of them, and its size is among those described.
    """
    largest = (0, 0)
    at = data.find(b"ispe")
    while 0 <= at <= len(data) - 16:
        width, height = struct.unpack_from(">II", data, at + 8)
        largest = max(largest, (height, width), key=lambda size: size[0] * size[1])
        at = data.find(b"ispe", at + 4, 1 << 16)
    return largest


def check_webp_room(data: bytes) -> None:
    """Refuses a lossy WebP that claims more pixels than its bytes can hold.

    Each macroblock of 16 × 16 pixels takes a bit at the least: the probabilities of a key frame's
    prediction modes are fixed (RFC 6386, section 11.2), the first choice for luma costs
    log2(256/145) bits or more, and the first for chroma log2(256/142). The other codings of WebP
    have no such bound.

    Raises:
        RefusedImage: it does.
    """
    if data[12:16] != b"VP8 ":
        return
    height, width = webp_size(data)
    check_least(height, width, -(-height // 16) * -(-width // 16) // 8, len(data))
