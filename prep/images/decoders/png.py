"""What is in a PNG, and whether it is whole: told by its checksums, which decoders pass over.

Format: W3C PNG specification, third edition: chunks in section 5, the end chunk in 11.2.5. Exif as
text is what ImageMagick wrote before there was a chunk for it (its coders/png.c).
"""

from __future__ import annotations

import binascii
import struct
import zlib
from collections.abc import Sequence
from typing import NamedTuple

from prep.errors import RefusedImage
from prep.images.decoders.base import Note
from prep.images.decoders.limits import check_least

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHUNK = struct.Struct(">I4s")  # length of the data, type; then data and CRC
_IHDR = struct.Struct(">IIBB")  # width, height, bits per sample, colour type
_INFLATED_AT_ONCE = 1 << 20  # 1 MiB
# As much as the segments of a JPEG can hold: one has Exif, and 255 have a profile.
_MOST_EXIF, _MOST_PROFILE = 64 << 10, 16 << 20
_END = b"\0\0\0\0IEND\xae\x42\x60\x82"
# The chunks that pixels depend on: the critical ones, and one that tells what is transparent.
_OF_PIXELS = frozenset((b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS"))
_EXIF_AS_TEXT = (b"Raw profile type exif\0", b"Raw profile type APP1\0")
_ANCILLARY = 0x20  # of the first letter of a chunk's type
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # per pixel, by colour type
_DEFLATE_RATIO = 1032  # The most that deflate can do: zlib, "Maximum Compression Factor".


class Png(NamedTuple):
    """What is in a PNG.

    Attributes:
        data: a PNG of nothing but what its pixels depend on.
        bits: of a sample.
        metadata: the chunks that hold Exif or a colour profile, by their type: of each the first.
        note: what was mended.
        fault: for what it is to be refused, if it is.
    """

    data: bytes
    bits: int
    metadata: dict[bytes, bytes]
    note: Note | None
    fault: RefusedImage | None

    @property
    def exif(self) -> bytes:
        """Its Exif; empty, if there is none."""
        if b"eXIf" in self.metadata:
            return self.metadata[b"eXIf"]
        _, _, packed = self.metadata.get(b"zTXt", b"").partition(b"\0")
        _, _, text = self.metadata.get(b"tEXt", b"").partition(b"\0")
        return _of_digits(_inflated(packed[1:], 3 * _MOST_EXIF) or text)

    @property
    def profile(self) -> bytes:
        """Its ICC profile; empty, if there is none, or it is broken or larger than any is."""
        _, _, rest = self.metadata.get(b"iCCP", b"").partition(b"\0")
        return _inflated(rest[1:], _MOST_PROFILE)


def read_png(data: bytes) -> Png:
    """Walks the chunks up to the end, and recomputes the checksums of those that matter.

    The others are left out of what is to be decoded: no decoder is to trip over them, or to inflate
    them. A file that was cut off behind its last pixel is given an end.
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
    """Whether the checksum of a chunk is right."""
    return zlib.crc32(memoryview(data)[at + 4 : end - 4]) == int.from_bytes(data[end - 4 : end])


def _fault(kind: bytes, data: bytes, at: int, end: int) -> RefusedImage | None:
    """For what a PNG is to be refused that has this chunk."""
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
    """Whether a chunk may hold Exif or a profile."""
    if kind in (b"tEXt", b"zTXt"):
        return data.startswith(_EXIF_AS_TEXT, at + 8)
    return kind in (b"eXIf", b"iCCP")


def _of_digits(text: bytes) -> bytes:
    """What hexadecimal digits stand for, after a line for its name and one for its length."""
    try:
        return binascii.unhexlify(b"".join(text.split(b"\n")[3:]))
    except binascii.Error:
        return b""


def _inflated(body: bytes, most: int) -> bytes:
    """What zlib has made so small; empty, if it is broken, or more than ``most`` bytes."""
    inflate = zlib.decompressobj()
    try:
        inflated = inflate.decompress(body, most)
    except zlib.error:
        return b""
    return inflated if inflate.eof else b""


def png_size(data: bytes) -> tuple[int, int]:
    """(height, width).

    Raises:
        RefusedImage: the file begins with no proper IHDR chunk.
    """
    if len(data) < 33 or data[12:16] != b"IHDR":
        raise RefusedImage("truncated", "the PNG's header is missing or cut off")
    width, height = struct.unpack_from(">II", data, 16)
    return height, width


def check_png_room(data: bytes) -> None:
    """Refuses a PNG that claims more pixels than its bytes can inflate to.

    Raises:
        RefusedImage: it does.
    """
    width, height, depth, colour = _IHDR.unpack_from(data, 16)
    bits = depth * _SAMPLES.get(colour, 1)
    least = height * (width * bits // 8 + 1) // _DEFLATE_RATIO
    check_least(height, width, least, len(data))


def _holds_all_pixels(chunks: Sequence[memoryview]) -> bool:
    """Whether the IDAT chunks hold a complete zlib stream, its checksum included."""
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
