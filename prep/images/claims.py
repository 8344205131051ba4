"""The size that a WebP or AVIF file claims, read before a decoder takes memory for it.

Formats: RFC 9649 (WebP), RFC 6386 (VP8), ISO/IEC 23008-12 section 6.5.3 (``ispe``).
"""

from __future__ import annotations

import struct

from prep.errors import RefusedImage
from prep.images.limits import check_least
from prep.text import opening


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
