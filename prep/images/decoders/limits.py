"""Refusals by an image's header alone, before memory is taken or time is spent.

The sizes that WebP and AVIF files claim are read here, before a decoder takes memory for them.

Formats: RFC 9649 (WebP), RFC 6386 (VP8), ISO/IEC 23008-12 section 6.5.3 (``ispe``).
"""

from __future__ import annotations

import struct

from prep.errors import RefusedImage
from prep.settings.image_settings import ImageSettings
from prep.text import opening

MAX_SCANS = 200  # Real encoders write up to about a dozen.
# Each scan goes over the whole picture once more. This is 20 scans of the largest image that is
# decoded by default, or 200 of 10 megapixels: some seconds.
MAX_SCANNED_PIXELS = 2_000_000_000
# Some codings need next to no bytes for an image of one colour: lossless WebP, AVIF, JPEG 2000,
# arithmetic-coded JPEG and fax. Their formats imply no limit, so this one is chosen: above the
# limits of the others (PNG 8,256 pixels of one bit per byte; GIF 2,600; lossy WebP 2,048; JPEG
# 512), and only for images that take more memory than a worker can spare for an odd file.
_PIXELS_PER_BYTE = 10_000
_ALWAYS_DECODED = 4_000_000  # pixels


def check_size(height: int, width: int, settings: ImageSettings) -> None:
    """Raise RefusedImage if an image is too large, too small or too extreme."""
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
    """Raise RefusedImage if a file has fewer than the ``least`` bytes that its pixels take."""
    if size < least:
        raise RefusedImage(
            "truncated",
            f"{width:,} × {height:,} pixels take {least:,} bytes or more; there are {size:,}",
        )


def check_room(height: int, width: int, size: int) -> None:
    """Raise RefusedImage if a file of ``size`` bytes claims an implausible number of pixels."""
    if height * width > max(_ALWAYS_DECODED, size * _PIXELS_PER_BYTE):
        raise RefusedImage(
            "too extreme",
            f"{width:,} × {height:,} pixels from {size:,} bytes; at most {_PIXELS_PER_BYTE:,} "
            "pixels per byte are decoded",
        )


def check_scans(scans: int, pixels: int) -> None:
    """Raise RefusedImage if decoding all scans of a JPEG would take many seconds."""
    most = min(MAX_SCANS, max(1, MAX_SCANNED_PIXELS // pixels))
    if scans > most:
        raise RefusedImage("too extreme", f"{scans:,} scans or more; at most {most:,} are decoded")


def webp_size(data: bytes) -> tuple[int, int]:
    """Return (height, width) of a WebP's canvas; raise RefusedImage if the header is malformed."""
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


def check_webp_room(data: bytes) -> None:
    """Raise RefusedImage if a lossy WebP claims more pixels than its bytes can hold.

    Each macroblock of 16 × 16 pixels takes at least one bit: the probabilities of a key frame's
    prediction modes are fixed (RFC 6386, section 11.2), the first choice for luma costs
    log2(256/145) bits or more, and the first for chroma log2(256/142). The other codings of WebP
    have no such limit.
    """
    if data[12:16] == b"VP8 ":
        height, width = webp_size(data)
        check_least(height, width, -(-height // 16) * -(-width // 16) // 8, len(data))


def avif_size(data: bytes) -> tuple[int, int]:
    """Return (height, width) of the largest image that an AVIF describes, or (0, 0).

    An image of tiles is larger than any of them, and its size is described as well.
    """
    largest = (0, 0)
    at = data.find(b"ispe")
    while 0 <= at <= len(data) - 16:
        width, height = struct.unpack_from(">II", data, at + 8)
        largest = max(largest, (height, width), key=lambda size: size[0] * size[1])
        at = data.find(b"ispe", at + 4, 1 << 16)
    return largest
