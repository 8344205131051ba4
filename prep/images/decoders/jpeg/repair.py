"""JPEGs without what strict decoding refuses them for, where that has no part in the pixels.

Whether it had is not known here: what is mended is to be decoded strictly.
"""

from __future__ import annotations

import re

from prep.images.decoders.jpeg.header import DRI_MARKER, SOI, SOS_MARKER, segments
from prep.images.decoders.jpeg.segments import FRAMES, read_frame

_APP0, _APP14 = 0xE0, 0xEE
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")


def without_oddities(data: bytes) -> bytes:
    """The same JPEG with a plain header: no junk between segments, no metadata.

    Strict decoding refuses some files for what stands in their headers and says nothing of their
    pixels (stray bytes, a broken ICC profile). What is left here is what the pixels depend on:
    tables, frame, and the JFIF and Adobe segments that tell how colours are coded.
    """
    parts = [SOI]
    for marker, start, end in segments(data):
        app_or_comment = 0xE0 <= marker <= 0xEF or marker == 0xFE
        adobe = marker == _APP14 and data[start + 4 : start + 9] == b"Adobe" and end - start >= 16
        jfif = marker == _APP0 and data[start + 4 : start + 9] == b"JFIF\0"
        if jfif:  # Of a version that there is, or libjpeg would warn of it.
            parts.append(data[start : start + 9] + b"\x01" + data[start + 10 : end])
        elif not app_or_comment or adobe:
            parts.append(data[start : None if marker == SOS_MARKER else end])
    return b"".join(parts)


def with_end(data: bytes) -> bytes:
    """The same JPEG with an end marker (EOI), of which the first byte may be there."""
    return data + (b"\xd9" if data.endswith(b"\xff") else b"\xff\xd9")


def without_padding(data: bytes) -> bytes:
    """The same JPEG without the zeros before its end marker.

    If it decodes strictly without them, none of them is image data.
    """
    end = data.rfind(b"\xff\xd9")
    return data[:end].rstrip(b"\0") + data[end:] if end > 0 else data


def without_surplus(data: bytes) -> bytes:
    """The same JPEG without what comes after the last of its restart intervals.

    Some scanners send more rows than the frame says. Restart markers count to eight, so intervals
    that were put in by mistake go unseen if they are a multiple of eight: those stay.
    """
    frame, interval = None, 0
    for marker, start, end in segments(data):
        if marker in FRAMES:
            frame = read_frame(marker, data[start + 4 : end])
        elif marker == DRI_MARKER:
            interval = int.from_bytes(data[start + 4 : start + 6], "big")
    if frame is None or not interval or marker != SOS_MARKER:
        return data
    across, down = (8 * max(factors) for factors in zip(*frame.sampling, strict=True))
    needed = -(-(-(-frame.width // across) * -(-frame.height // down)) // interval)
    restarts = [found.start() for found in _RESTART.finditer(data, end)]
    surplus = len(restarts) + 1 - needed
    if surplus <= 0 or surplus % 8 == 0:
        return data
    return data[: restarts[needed - 1]] + b"\xff\xd9"
