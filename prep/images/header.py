"""What a JPEG's header says, read without decoding anything, and headers mended.

Format: ITU-T T.81 annex B (markers), and Exif 2.3 (CIPA DC-008) section 4.6 for the orientation.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from prep.errors import RefusedImage

SOI, SOS = b"\xff\xd8", b"\xff\xda"
_APP0, _APP1, _APP2, _APP14 = 0xE0, 0xE1, 0xE2, 0xEE
_DHT, _JPG, _DAC = 0xC4, 0xC8, 0xCC
_SOS, _EOI, _DRI = 0xDA, 0xD9, 0xDD
_JPEG_LS = 0xF7  # ITU-T T.87
_FRAMES = (frozenset(range(0xC0, 0xD0)) - {_DHT, _JPG, _DAC}) | {_JPEG_LS}
_PROGRESSIVE = frozenset((0xC2, 0xCA))
_ARITHMETIC = frozenset((0xC9, 0xCA))
_LOSSLESS_OR_HIERARCHICAL = frozenset((0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF))
_ENDS = frozenset((_SOS, _EOI))
# Markers that stand alone: TEM, RST0 to RST7, SOI. And what is none: 00, and FF that fills.
_WITHOUT_LENGTH = frozenset((0x01, *range(0xD0, 0xD9), 0x00, 0xFF))
_SEGMENT = struct.Struct(">BBH")  # FF, marker, length
_ORIENTATION_TAG = 0x0112
_SUSPICIOUS = 64  # pixels per byte; photos have about five
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
_ICC = b"ICC_PROFILE\0"


@dataclass(frozen=True, slots=True, kw_only=True)
class JpegHeader:
    """The frame's size, and how the camera was held.

    Attributes:
        height, width: in pixels.
        orientation: 1 to 8 as Exif counts; 1, upright, where it is absent or malformed.
        many_scans: whether the decoder has to read on after the first scan.
        progressive: whether scans bring the coefficients in parts.
        components: the frame's component identifiers.
        first_scan: where the first SOS marker is.
        least_bytes: that a picture of this size takes; 0, if it is plain that there are enough.
    """

    height: int
    width: int
    orientation: int
    many_scans: bool
    progressive: bool
    components: bytes
    first_scan: int
    least_bytes: int

    @property
    def short(self) -> int:
        return min(self.height, self.width)


class _Frame(NamedTuple):
    height: int
    width: int
    components: bytes
    sampling: bytes
    marker: int


def read_jpeg_header(data: bytes) -> JpegHeader:
    """Walks the markers up to the first scan.

    Raises:
        RefusedImage: the header ends early, has no frame, or is of a kind no decoder here reads.
    """
    orientation = 1
    frame: _Frame | None = None
    for marker, start, end in _segments(data):
        if marker in _FRAMES:
            frame = _read_frame(marker, data[start + 4 : end])
        elif marker == _APP1 and orientation == 1:
            orientation = _exif_orientation(data[start + 4 : end])
    if marker == _EOI:
        raise RefusedImage("damaged", "the JPEG has no image data")
    if frame is None:
        raise RefusedImage("damaged", "the JPEG header has no frame (SOF)")
    in_first_scan = data[start + 4] if start + 4 < len(data) else 0
    progressive = frame.marker in _PROGRESSIVE
    claims_much = frame.height * frame.width > _SUSPICIOUS * len(data)
    return JpegHeader(
        height=frame.height,
        width=frame.width,
        orientation=orientation,
        many_scans=progressive or in_first_scan < len(frame.components),
        progressive=progressive,
        components=frame.components,
        first_scan=start,
        least_bytes=_least_bytes(frame) if claims_much else 0,
    )


def read_profile(data: bytes) -> bytes | None:
    """The ICC profile in a JPEG; None if there is none, or a part of it is missing.

    It is cut up among APP2 segments, each with its number and how many there are (ICC.1:2010,
    section B.4).
    """
    parts = {}
    for marker, start, end in _segments(data):
        body = data[start + 4 : end]
        if marker == _APP2 and body.startswith(_ICC) and len(body) > 14:
            parts[body[12]] = body[14:]
    return b"".join(parts[n] for n in sorted(parts)) if 1 in parts else None


def without_oddities(data: bytes) -> bytes:
    """The same JPEG with a plain header: no junk between segments, no metadata.

    Strict decoding refuses some files for what stands in their headers and says nothing of their
    pixels (stray bytes, a broken ICC profile). What is left here is what the pixels depend on:
    tables, frame, and the JFIF and Adobe segments that tell how colours are coded.
    """
    parts = [SOI]
    for marker, start, end in _segments(data):
        app_or_comment = 0xE0 <= marker <= 0xEF or marker == 0xFE
        adobe = marker == _APP14 and data[start + 4 : start + 9] == b"Adobe" and end - start >= 16
        jfif = marker == _APP0 and data[start + 4 : start + 9] == b"JFIF\0"
        if jfif:  # Of a version that there is, or libjpeg would warn of it.
            parts.append(data[start : start + 9] + b"\x01" + data[start + 10 : end])
        elif not app_or_comment or adobe:
            parts.append(data[start : None if marker == _SOS else end])
    return b"".join(parts)


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """(marker, start, end) of each segment, the last being the header of the first scan (SOS).

    Or the end of the image (EOI), where there is no scan. Junk between segments is passed over.

    Raises:
        RefusedImage: the data ends before either.
    """
    at = len(SOI)
    while True:
        try:
            prefix, marker, length = _SEGMENT.unpack_from(data, at)
        except struct.error:
            raise RefusedImage(
                "truncated", f"the JPEG header ends after {len(data)} bytes"
            ) from None
        if prefix != 0xFF:
            found = data.find(b"\xff", at)
            at = found if found >= 0 else len(data)
        elif marker in _WITHOUT_LENGTH:
            at += 1 if marker == 0xFF else 2
        else:
            end = at + 2 + length
            yield marker, at, end
            if marker in _ENDS:
                return
            at = end


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
    for marker, start, end in _segments(data):
        if marker in _FRAMES:
            frame = _read_frame(marker, data[start + 4 : end])
        elif marker == _DRI:
            interval = int.from_bytes(data[start + 4 : start + 6], "big")
    if frame is None or not interval or not frame.sampling or marker != _SOS:
        return data
    across = 8 * max(s >> 4 for s in frame.sampling) or 8
    down = 8 * max(s & 15 for s in frame.sampling) or 8
    needed = -(-(-(-frame.width // across) * -(-frame.height // down)) // interval)
    restarts = [found.start() for found in _RESTART.finditer(data, end)]
    surplus = len(restarts) + 1 - needed
    if surplus <= 0 or surplus % 8 == 0:
        return data
    return data[: restarts[needed - 1]] + b"\xff\xd9"


def _least_bytes(frame: _Frame) -> int:
    """How many bytes so many blocks take at the least.

    A Huffman code has a bit or more (T.81, annex C). Each block takes one for its DC coefficient,
    and in a sequential JPEG another for its AC coefficients (F.1.2); in a progressive one, those of
    many blocks may be told by one code (G.1.2.2). Arithmetic coding has no such bound (annex D).
    """
    across, down = [s >> 4 for s in frame.sampling], [s & 15 for s in frame.sampling]
    if frame.marker in _ARITHMETIC or not all(across) or not all(down):
        return 0
    blocks = sum(
        -(-frame.width * h // (8 * max(across))) * -(-frame.height * v // (8 * max(down)))
        for h, v in zip(across, down, strict=True)
    )
    bits = blocks if frame.marker in _PROGRESSIVE else 2 * blocks
    return bits // 8


def _read_frame(marker: int, body: bytes) -> _Frame:
    if len(body) < 6:
        raise RefusedImage("truncated", "the JPEG's frame header is cut off")
    precision, height, width, components = struct.unpack_from(">BHHB", body)
    if marker == _JPEG_LS:
        raise RefusedImage("unsupported", "JPEG-LS")
    if marker in _LOSSLESS_OR_HIERARCHICAL:
        raise RefusedImage("unsupported", f"lossless or hierarchical JPEG (SOF{marker - 0xC0})")
    if precision != 8:
        raise RefusedImage("unsupported", f"JPEG of {precision} bits a sample")
    if not height or not width:
        raise RefusedImage("damaged", f"the JPEG claims to be {width} × {height}")
    listed = body[6 : 6 + 3 * components]
    return _Frame(height, width, listed[::3], listed[1::3], marker)


def _exif_orientation(body: bytes) -> int:
    """Orientation 1 to 8 from an APP1 segment; 1 where there is none or it makes no sense."""
    if body[:6] != b"Exif\0\0":
        return 1
    tiff = body[6:]
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return 1
    try:
        (ifd,) = struct.unpack_from(order + "I", tiff, 4)
        (count,) = struct.unpack_from(order + "H", tiff, ifd)
        for entry in range(ifd + 2, ifd + 2 + 12 * count, 12):
            tag, kind, _, value = struct.unpack_from(order + "HHIH", tiff, entry)
            if tag == _ORIENTATION_TAG:
                return value if kind == 3 and 1 <= value <= 8 else 1
    except struct.error:
        pass  # Malformed metadata says nothing about the pixels.
    return 1
