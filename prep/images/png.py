"""Is a PNG whole? Told by its checksums, which decoders pass over.

Format: W3C PNG specification, third edition: chunks in section 5, the end chunk in 11.2.5.
"""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

from prep.errors import RefusedImage
from prep.images.decoded import Note
from prep.images.limits import check_least

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHUNK = struct.Struct(">I4s")  # length of the data, type; then data and CRC
_IHDR = struct.Struct(">IIBB")  # width, height, bits per sample, colour type
_INFLATED_AT_ONCE = 1 << 20  # 1 MiB
_END = b"\0\0\0\0IEND\xae\x42\x60\x82"
# The chunks that pixels depend on: the critical ones, and one that tells what is transparent.
_OF_PIXELS = frozenset((b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS"))
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # per pixel, by colour type
_DEFLATE_RATIO = 1032  # The most that deflate can do: zlib, "Maximum Compression Factor".


class CheckedPng(NamedTuple):
    """What to decode instead of the file, and what to say of it."""

    data: bytes
    note: Note | None


def check_png(data: bytes) -> CheckedPng:
    """Walks the chunks up to the end and recomputes their checksums.

    Chunks with a wrong checksum that have no part in the pixels are left out. A file that was cut
    off behind its last pixel is given an end.

    Raises:
        RefusedImage: a chunk that matters has a wrong checksum, or the file is cut off in one.
    """
    chunks: list[bytes] = []
    odd = False
    at = len(SIGNATURE)
    while at < len(data):
        length, kind = _CHUNK.unpack_from(data, at) if at + 8 <= len(data) else (0, b"")
        end = at + 12 + length
        if end > len(data):
            return _without_end(data, at, chunks)
        good = zlib.crc32(data[at + 4 : end - 4]) == int.from_bytes(data[end - 4 : end], "big")
        if not good and kind in _OF_PIXELS:
            raise RefusedImage("damaged", f"wrong checksum of the PNG's {kind.decode()} at {at}")
        odd |= not good
        if good:
            chunks.append(data[at:end])
        if kind == b"IEND":
            return CheckedPng(SIGNATURE + b"".join(chunks) if odd else data, None)
        at = end
    return _without_end(data, at, chunks)


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


def _without_end(data: bytes, at: int, chunks: list[bytes]) -> CheckedPng:
    """The file with an end, if what was cut off, at the chunk at ``at``, is none of the pixels."""
    if not _holds_all_pixels(chunks):
        raise RefusedImage("truncated", f"the PNG ends within its pixels, after {len(data)} bytes")
    note = Note(
        "repaired", "truncated", f"all pixels are there; the PNG ends within a chunk at {at}"
    )
    return CheckedPng(SIGNATURE + b"".join(chunks) + _END, note)


def _holds_all_pixels(chunks: list[bytes]) -> bool:
    """Whether the IDAT chunks hold a complete zlib stream, its checksum included."""
    inflate = zlib.decompressobj()
    try:
        for chunk in chunks:
            rest = chunk[8:-4] if chunk[4:8] == b"IDAT" else b""
            while rest and not inflate.eof:
                inflate.decompress(rest, _INFLATED_AT_ONCE)
                rest = inflate.unconsumed_tail
    except zlib.error:
        return False
    return inflate.eof
