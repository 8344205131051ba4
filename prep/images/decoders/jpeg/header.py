"""The header of a JPEG: all segments up to the first scan.

Format: ITU-T T.81, annex B (markers).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from prep.errors import RefusedImage
from prep.images.decoders.ifd import exif_orientation
from prep.images.decoders.jpeg.segments import (
    DHT_MARKER,
    DQT_MARKER,
    FRAMES,
    Frame,
    Tables,
    read_frame,
)

SOI = b"\xff\xd8"
_APP1, _APP2 = 0xE1, 0xE2
SOS_MARKER, EOI_MARKER, DRI_MARKER = 0xDA, 0xD9, 0xDD
_TABLES = frozenset((DHT_MARKER, DQT_MARKER))
# Markers without a segment: TEM, RST0 to RST7, SOI. And no markers: 00, and FF as a fill byte.
_WITHOUT_LENGTH = frozenset((0x01, *range(0xD0, 0xD9), 0x00, 0xFF))
_EOI = b"\xff\xd9"
_ICC = b"ICC_PROFILE\0"
_EXIF = b"Exif\0\0"


class JpegHeader(NamedTuple):  # Much faster to make than a frozen dataclass.
    """A JPEG's header.

    Attributes:
        frame: the picture's size and coding.
        orientation: Exif orientation, 1 to 8; 1 (upright) if absent or malformed.
        first_scan: the offset of the first SOS marker.
        many_scans: whether there must be more scans.
        tables: those defined before the first scan.
        fault: the reason to refuse the picture, if any.
    """

    frame: Frame
    orientation: int
    first_scan: int
    many_scans: bool
    tables: Tables
    fault: RefusedImage | None


def read_jpeg_header(data: bytes) -> JpegHeader:
    """Parse the segments up to the first scan.

    Raises:
        RefusedImage: the header ends early, has no frame, or is of a kind no decoder here reads.
    """
    frame: Frame | None = None
    exif: bytes | None = None  # The first of several counts.
    tables = Tables()
    for marker, start, end in segments(data):
        if marker in FRAMES:
            if frame is not None:
                raise RefusedImage("damaged", "the JPEG has two frames (SOF)")
            frame = read_frame(marker, data[start + 4 : end])
        elif marker in _TABLES:
            tables = tables.updated(marker, data[start + 4 : end])
        elif marker == _APP1 and exif is None and data.startswith(_EXIF, start + 4):
            exif = data[start + 4 : end]
    if marker == EOI_MARKER:
        raise RefusedImage("damaged", "the JPEG has no image data")
    if frame is None:
        raise RefusedImage("damaged", "the JPEG header has no frame (SOF)")
    scan = data[start + 4 : end]
    in_first_scan = scan[0] if scan else 0
    many_scans = frame.progressive or 3 * in_first_scan < len(frame.components)
    orientation = exif_orientation(exif) if exif else 1
    fault = tables.fault(frame, scan)
    return JpegHeader(frame, orientation, start, many_scans, tables, fault)


def read_profile(data: bytes) -> bytes | None:
    """Return the ICC profile of a JPEG; None if it is absent or incomplete.

    APP2 segments hold its parts, each with its number and their count (ICC.1:2010, section B.4).
    """
    parts = {}
    for marker, start, end in segments(data):
        body = data[start + 4 : end]
        if marker == _APP2 and body.startswith(_ICC) and len(body) > 14:
            parts[body[12]] = body[14:]
    return b"".join(parts[n] for n in sorted(parts)) if 1 in parts else None


def segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield (marker, start, end) of each segment, up to the first scan (SOS) or the end (EOI).

    Junk between segments is skipped.

    Raises:
        RefusedImage: the data ends before either; or seems to, as a segment has the wrong length.
    """
    at = len(SOI)
    try:
        while True:
            marker = data[at + 1]
            if data[at] != 0xFF:
                found = data.find(b"\xff", at)
                at = found if found >= 0 else len(data)
            elif marker in _WITHOUT_LENGTH:
                at += 1 if marker == 0xFF else 2
            elif marker == EOI_MARKER:
                yield marker, at, at + 2
                return
            else:
                end = at + 2 + (data[at + 2] << 8 | data[at + 3])
                if end > len(data):
                    raise IndexError
                yield marker, at, end
                if marker == SOS_MARKER:
                    return
                at = end
    except IndexError:
        if data.endswith(_EOI) and at < len(data):
            what = f"the JPEG's segment at {at} is longer than all that follows"
            raise RefusedImage("damaged", what) from None
        raise RefusedImage("truncated", f"the JPEG header ends after {len(data)} bytes") from None
