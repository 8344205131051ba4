"""Inflate a member of a zip file, and make sure that it is whole."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from prep.sources.base import UnpacksTooLarge
from prep.storage.location import FileChanged

_INPUT, _OUTPUT = 1 << 16, 1 << 20  # 64 KiB, and 1 MiB


def inflate(data: bytes, most: int) -> bytes:
    """Return the contents of a raw deflate stream (RFC 1951).

    Args:
        data: the whole stream, and nothing else.
        most: bytes that the contents may have. Not much more memory is taken.

    Raises:
        UnpacksTooLarge: they have more.
        FileChanged: it is no such stream.
    """
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        contents = stream.decompress(data, most + 1)
    except zlib.error:
        raise contents_changed() from None
    if len(contents) > most:
        raise UnpacksTooLarge(most)
    if not stream.eof or stream.unused_data:
        raise contents_changed()
    return contents


def inflate_in_pieces(data: bytes) -> Iterator[bytes]:
    """Yield the contents of a raw deflate stream in pieces; raise FileChanged if it is none."""
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        for at in range(0, len(data), _INPUT):
            rest = data[at : at + _INPUT]
            while rest:
                yield stream.decompress(rest, _OUTPUT)
                rest = stream.unconsumed_tail
        while piece := stream.decompress(b"", _OUTPUT):
            yield piece
    except zlib.error:
        raise contents_changed() from None
    if not stream.eof or stream.unused_data:
        raise contents_changed()


def require_checksum(contents: bytes, expected: int) -> None:
    """Raise FileChanged unless contents have this CRC-32."""
    if zlib.crc32(contents) != expected:
        raise contents_changed()


def contents_changed() -> FileChanged:
    """Return the error for contents that are not those that were listed."""
    return FileChanged("changed since it was listed: damaged, or another member is in its place")
