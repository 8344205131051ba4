"""Repairs of JPEGs for faults that may leave the pixels alone; strict decoding tells if so."""

from __future__ import annotations

import re

from prep.images.decoders.jpeg.header import DRI_MARKER, SOI, SOS_MARKER, segments
from prep.images.decoders.jpeg.segments import FRAMES, read_frame

_APP0, _APP14 = 0xE0, 0xEE
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")


def without_oddities(data: bytes) -> bytes:
    """Remove junk between segments and all metadata from the header.

    Strict decoding refuses some files for faults in the header that do not affect the pixels (stray
    bytes, a broken ICC profile). Tables, frame, and the JFIF and Adobe segments, which say how
    colours are coded, are kept.
    """
    parts = [SOI]
    for marker, start, end in segments(data):
        app_or_comment = 0xE0 <= marker <= 0xEF or marker == 0xFE
        adobe = marker == _APP14 and data[start + 4 : start + 9] == b"Adobe" and end - start >= 16
        jfif = marker == _APP0 and data[start + 4 : start + 9] == b"JFIF\0"
        if jfif:  # With a valid version, or libjpeg would warn.
            parts.append(data[start : start + 9] + b"\x01" + data[start + 10 : end])
        elif not app_or_comment or adobe:
            parts.append(data[start : None if marker == SOS_MARKER else end])
    return b"".join(parts)


def with_end(data: bytes) -> bytes:
    """Append an end marker (EOI), or its second byte."""
    return data + (b"\xd9" if data.endswith(b"\xff") else b"\xff\xd9")


def without_padding(data: bytes) -> bytes:
    """Remove zeros before the end marker; they are no image data if strict decoding passes."""
    end = data.rfind(b"\xff\xd9")
    return data[:end].rstrip(b"\0") + data[end:] if end > 0 else data


def without_surplus(data: bytes) -> bytes:
    """Remove everything after the last restart interval of the frame (T.81, section B.2.4.4).

    Some scanners send more rows than the frame says. Restart markers count modulo eight, so eight
    surplus intervals may as well have been inserted by mistake: these stay.
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
