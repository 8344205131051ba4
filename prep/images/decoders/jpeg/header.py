"""What a JPEG's header says, read without decoding anything.

Format: ITU-T T.81 annex B (markers).
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
# Markers that stand alone: TEM, RST0 to RST7, SOI. And what is none: 00, and FF that fills.
_WITHOUT_LENGTH = frozenset((0x01, *range(0xD0, 0xD9), 0x00, 0xFF))
_EOI = b"\xff\xd9"
_ICC = b"ICC_PROFILE\0"
_EXIF = b"Exif\0\0"


class JpegHeader(NamedTuple):  # Much faster to make than a frozen dataclass.
    """What is to be known before decoding.

    Attributes:
        frame: the picture's size and coding.
        orientation: 1 to 8 as Exif counts; 1, upright, where it is absent or malformed.
        first_scan: where the first SOS marker is.
        many_scans: whether the decoder has to read on after that scan.
        tables: what has been defined up to that scan.
        fault: why the picture can't be what was meant; None, if nothing is known against it.
    """

    frame: Frame
    orientation: int
    first_scan: int
    many_scans: bool
    tables: Tables
    fault: RefusedImage | None


def read_jpeg_header(data: bytes) -> JpegHeader:
    """Walks the markers up to the first scan.

    Raises:
        RefusedImage: the header ends early, has no frame, or is of a kind no decoder here reads.
    """
    frame: Frame | None = None
    exif: bytes | None = None  # of several, the first counts
    tables = Tables()
    for marker, start, end in segments(data):
        if marker in FRAMES:
            if frame is not None:
                raise RefusedImage("damaged", "the JPEG has two frames (SOF)")
            frame = read_frame(marker, data[start + 4 : end])
        elif marker in _TABLES:
            tables = tables.with_those_of(marker, data[start + 4 : end])
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
    """The ICC profile in a JPEG; None if there is none, or a part of it is missing.

    It is cut up among APP2 segments, each with its number and how many there are (ICC.1:2010,
    section B.4).
    """
    parts = {}
    for marker, start, end in segments(data):
        body = data[start + 4 : end]
        if marker == _APP2 and body.startswith(_ICC) and len(body) > 14:
            parts[body[12]] = body[14:]
    return b"".join(parts[n] for n in sorted(parts)) if 1 in parts else None


def segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """(marker, start, end) of each segment, the last being the header of the first scan (SOS).

    Or the end of the image (EOI), where there is no scan. Junk between segments is passed over.

    Raises:
        RefusedImage: the data ends before either; or seems to, for a segment has the wrong length.
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
