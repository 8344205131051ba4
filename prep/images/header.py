"""What a JPEG's header says, read without decoding anything.

Format: ITU-T T.81 annex B (markers), and Exif 2.3 (CIPA DC-008) section 4.6 for the orientation.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from prep.errors import RefusedImage

SOI = b"\xff\xd8"
_APP1, _APP2 = 0xE1, 0xE2
_DHT, _JPG, _DAC = 0xC4, 0xC8, 0xCC
SOS_MARKER, EOI_MARKER, DRI_MARKER = 0xDA, 0xD9, 0xDD
_JPEG_LS = 0xF7  # ITU-T T.87
FRAMES = (frozenset(range(0xC0, 0xD0)) - {_DHT, _JPG, _DAC}) | {_JPEG_LS}
_PROGRESSIVE = frozenset((0xC2, 0xCA))
_ARITHMETIC = frozenset((0xC9, 0xCA))
_LOSSLESS_OR_HIERARCHICAL = frozenset((0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF))
_ENDS = frozenset((SOS_MARKER, EOI_MARKER))
# Markers that stand alone: TEM, RST0 to RST7, SOI. And what is none: 00, and FF that fills.
_WITHOUT_LENGTH = frozenset((0x01, *range(0xD0, 0xD9), 0x00, 0xFF))
_ORIENTATION_TAG = 0x0112
_FRAME = struct.Struct(">BHHB")  # precision, height, width, components
_ICC = b"ICC_PROFILE\0"


class Frame(NamedTuple):
    """What a frame header (SOF) says.

    Attributes:
        marker: which of the SOF markers it is.
        height, width: in pixels.
        components: for each, its identifier, its sampling factors, and its quantization table.
    """

    marker: int
    height: int
    width: int
    components: bytes

    @property
    def progressive(self) -> bool:
        """Whether scans bring the coefficients in parts."""
        return self.marker in _PROGRESSIVE

    @property
    def sampling(self) -> list[tuple[int, int]]:
        """Sampling factors of each component, horizontal and vertical; at least 1."""
        return [(max(s >> 4, 1), max(s & 15, 1)) for s in self.components[1::3]]

    @property
    def least_bytes(self) -> int:
        """How many bytes a picture of this size takes at the least.

        A Huffman code has a bit or more (T.81, annex C). Each block takes one for its DC
        coefficient, and in a sequential JPEG another for its AC coefficients (F.1.2); in a
        progressive one, those of many blocks may be told by one code (G.1.2.2). Arithmetic coding
        has no such bound (annex D).
        """
        if self.marker in _ARITHMETIC or not self.components:
            return 0
        across, down = (8 * max(factors) for factors in zip(*self.sampling, strict=True))
        blocks: int = sum(
            -(-self.width * h // across) * -(-self.height * v // down) for h, v in self.sampling
        )
        return blocks * (1 if self.progressive else 2) // 8


class JpegHeader(NamedTuple):  # Much faster to make than a frozen dataclass.
    """What is to be known before decoding.

    Attributes:
        frame: the picture's size and coding.
        orientation: 1 to 8 as Exif counts; 1, upright, where it is absent or malformed.
        first_scan: where the first SOS marker is.
        many_scans: whether the decoder has to read on after that scan.
    """

    frame: Frame
    orientation: int
    first_scan: int
    many_scans: bool


def read_jpeg_header(data: bytes) -> JpegHeader:
    """Walks the markers up to the first scan.

    Raises:
        RefusedImage: the header ends early, has no frame, or is of a kind no decoder here reads.
    """
    orientation = 1
    frame: Frame | None = None
    for marker, start, end in segments(data):
        if marker in FRAMES:
            frame = read_frame(marker, data[start + 4 : end])
        elif marker == _APP1 and orientation == 1:
            orientation = _exif_orientation(data[start + 4 : end])
    if marker == EOI_MARKER:
        raise RefusedImage("damaged", "the JPEG has no image data")
    if frame is None:
        raise RefusedImage("damaged", "the JPEG header has no frame (SOF)")
    in_first_scan = data[start + 4] if start + 4 < len(data) else 0
    many_scans = frame.marker in _PROGRESSIVE or 3 * in_first_scan < len(frame.components)
    return JpegHeader(frame, orientation, start, many_scans)


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
        RefusedImage: the data ends before either.
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
            else:
                end = at + 2 + (data[at + 2] << 8 | data[at + 3])
                yield marker, at, end
                if marker in _ENDS:
                    return
                at = end
    except IndexError:
        raise RefusedImage("truncated", f"the JPEG header ends after {len(data)} bytes") from None


def read_frame(marker: int, body: bytes) -> Frame:
    if len(body) < 6:
        raise RefusedImage("truncated", "the JPEG's frame header is cut off")
    precision, height, width, components = _FRAME.unpack_from(body)
    if marker == _JPEG_LS:
        raise RefusedImage("unsupported", "JPEG-LS")
    if marker in _LOSSLESS_OR_HIERARCHICAL:
        raise RefusedImage("unsupported", f"lossless or hierarchical JPEG (SOF{marker - 0xC0})")
    if precision != 8:
        raise RefusedImage("unsupported", f"JPEG of {precision} bits a sample")
    if not height or not width:
        raise RefusedImage("damaged", f"the JPEG claims to be {width} × {height}")
    return Frame(marker, height, width, body[6 : 6 + 3 * components])


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
