"""The chunks of a PNG, with the checksums that decoders ignore.

Format: W3C PNG specification, third edition: chunks in section 5, the end chunk in 11.2.5. Exif in
a text chunk was written by ImageMagick before there was a chunk for it (its coders/png.c).
"""

from __future__ import annotations

import binascii
import struct
import zlib
from collections.abc import Sequence
from typing import NamedTuple

from prep.errors import RefusedImage
from prep.images.decoders.limits import check_least
from prep.images.decoders.values import Note

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHUNK = struct.Struct(">I4s")  # length of the data, type; then data and CRC
_IHDR = struct.Struct(">IIBB")  # width, height, bits per sample, colour type
_INFLATED_AT_ONCE = 1 << 20  # 1 MiB
# As in JPEG, where one segment holds Exif, and 255 hold a profile.
_MOST_EXIF, _MOST_PROFILE = 64 << 10, 16 << 20
_END = b"\0\0\0\0IEND\xae\x42\x60\x82"
# The chunks that pixels depend on: the critical ones, and the one for transparency.
_OF_PIXELS = frozenset((b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS"))
_EXIF_AS_TEXT = (b"Raw profile type exif\0", b"Raw profile type APP1\0")
_ANCILLARY = 0x20  # bit of the first letter of a chunk's type
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # per pixel, by colour type
_DEFLATE_RATIO = 1032  # the largest possible: zlib, "Maximum Compression Factor"


class Png(NamedTuple):
    """A PNG.

    Attributes:
        data: a PNG of those chunks only that its pixels depend on.
        bits: per sample.
        metadata: the first chunk of each type that holds Exif or a colour profile.
        note: what was repaired.
        fault: the reason to refuse it, if any.
    """

    data: bytes
    bits: int
    metadata: dict[bytes, bytes]
    note: Note | None
    fault: RefusedImage | None

    @property
    def exif(self) -> bytes:
        """Its Exif; empty if there is none."""
        if b"eXIf" in self.metadata:
            return self.metadata[b"eXIf"]
        _, _, packed = self.metadata.get(b"zTXt", b"").partition(b"\0")
        _, _, text = self.metadata.get(b"tEXt", b"").partition(b"\0")
        digits = (_inflated(packed[1:], 3 * _MOST_EXIF) or text).split(b"\n")[3:]
        try:  # After a line for the name, and one for the length.
            return binascii.unhexlify(b"".join(digits))
        except binascii.Error:
            return b""

    @property
    def profile(self) -> bytes:
        """Its ICC profile; empty if there is none, or it is broken or too large."""
        _, _, rest = self.metadata.get(b"iCCP", b"").partition(b"\0")
        return _inflated(rest[1:], _MOST_PROFILE)


def read_png(data: bytes) -> Png:
    """Parse the chunks of a PNG, and check the checksums of those that matter.

    The others are dropped, so that no decoder fails on them, or inflates them. A file that is cut
    off after its last pixel is given an end chunk.
    """
    chunks: list[memoryview] = []
    view = memoryview(data)  # Chunks are not copied: together they are as large as the file.
    metadata: dict[bytes, bytes] = {}
    fault = None
    at = len(SIGNATURE)
    while at < len(data):
        length, kind = _CHUNK.unpack_from(data, at) if at + 8 <= len(data) else (0, b"")
        end = at + 12 + length
        if end > len(data):
            break
        if kind in _OF_PIXELS:
            chunks.append(view[at:end])
        elif _is_needed(kind, data, at) and kind not in metadata and _is_good(data, at, end):
            metadata[kind] = data[at + 8 : end - 4]
        fault = fault or _fault(kind, data, at, end)
        at = end
        if kind == b"IEND":
            if len(SIGNATURE) + sum(map(len, chunks)) != len(data):  # There are others.
                data = b"".join([SIGNATURE, *chunks])
            return Png(data, data[24], metadata, None, fault)
    note, rest = None, view[at:]
    if fault is None and _holds_all_pixels(chunks):
        note = Note(
            "repaired", "truncated", f"all pixels are there; the PNG ends within a chunk at {at}"
        )
        rest = memoryview(_END)
    elif fault is None:
        fault = RefusedImage(
            "truncated", f"the PNG ends within its pixels, after {len(data)} bytes"
        )
    data = b"".join([SIGNATURE, *chunks, rest])
    return Png(data, data[24], metadata, note, fault)


def _is_good(data: bytes, at: int, end: int) -> bool:
    """Return whether the checksum of a chunk is right."""
    return zlib.crc32(memoryview(data)[at + 4 : end - 4]) == int.from_bytes(data[end - 4 : end])


def _fault(kind: bytes, data: bytes, at: int, end: int) -> RefusedImage | None:
    """Return the reason to refuse a PNG with this chunk, if any."""
    if kind in _OF_PIXELS:
        if not _is_good(data, at, end):
            return RefusedImage("damaged", f"wrong checksum of the PNG's {kind.decode()} at {at}")
        if kind == b"tRNS" and data[24:26] == b"\x10\x02":  # Pillow looks for it in eight bits.
            return RefusedImage("unsupported", "PNG of 16-bit RGB with a transparent colour")
    elif kind.isalpha() and not kind[0] & _ANCILLARY and _is_good(data, at, end):
        return RefusedImage(
            "unsupported", f"PNG with a chunk {kind.decode()}, unknown and critical"
        )
    return None


def _is_needed(kind: bytes, data: bytes, at: int) -> bool:
    """Return whether a chunk may hold Exif or a profile."""
    if kind in (b"tEXt", b"zTXt"):
        return data.startswith(_EXIF_AS_TEXT, at + 8)
    return kind in (b"eXIf", b"iCCP")


def _inflated(body: bytes, most: int) -> bytes:
    """Return the inflated data; empty if it is broken, or longer than ``most`` bytes."""
    inflate = zlib.decompressobj()
    try:
        inflated = inflate.decompress(body, most)
    except zlib.error:
        return b""
    return inflated if inflate.eof else b""


def png_size(data: bytes) -> tuple[int, int]:
    """Return (height, width); raise RefusedImage if the file does not begin with an IHDR chunk."""
    if len(data) < 33 or data[12:16] != b"IHDR":
        raise RefusedImage("truncated", "the PNG's header is missing or cut off")
    width, height = struct.unpack_from(">II", data, 16)
    return height, width


def check_png_room(data: bytes) -> None:
    """Raise RefusedImage if a PNG claims more pixels than its bytes can inflate to."""
    width, height, depth, colour = _IHDR.unpack_from(data, 16)
    bits = depth * _SAMPLES.get(colour, 1)
    least = height * (width * bits // 8 + 1) // _DEFLATE_RATIO
    check_least(height, width, least, len(data))


def _holds_all_pixels(chunks: Sequence[memoryview]) -> bool:
    """Return whether the IDAT chunks hold a complete zlib stream, including its checksum."""
    inflate = zlib.decompressobj()
    try:
        for chunk in chunks:
            rest = bytes(chunk[8:-4]) if bytes(chunk[4:8]) == b"IDAT" else b""
            while rest and not inflate.eof:
                inflate.decompress(rest, _INFLATED_AT_ONCE)
                rest = inflate.unconsumed_tail
    except zlib.error:
        return False
    return inflate.eof
