"""Unpack a member of a zip file, and make sure that it is whole."""

from __future__ import annotations

import zlib

from prep.sources.base import How
from prep.storage.location import FileChanged

#: Bytes that a member may have unpacked, where nobody says otherwise.
LARGEST = 1 << 30  # 1 GiB


class UnpacksTooLarge(OSError):
    """A member has more bytes, unpacked, than may be read."""

    def __init__(self, most: int) -> None:
        super().__init__(f"it unpacks to more than the {most:,} bytes that are read")


def unpacked(data: bytes, how: How, checksum: int, most: int = LARGEST) -> bytes:
    """Return the contents of a member of a zip file.

    Args:
        data: the bytes of the member, as they lie there.
        how: how they lie there: ``bytes`` or ``deflate``.
        checksum: the CRC-32 of the contents.
        most: bytes that the contents may have. No more memory than for these is taken.

    Raises:
        UnpacksTooLarge: they have more.
        FileChanged: they are damaged, or others.
    """
    contents = _inflated(data, most) if how == "deflate" else data
    if zlib.crc32(contents) != checksum:
        raise _changed()
    return contents


def _inflated(data: bytes, most: int) -> bytes:
    """Return the contents of a raw deflate stream (RFC 1951)."""
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        contents = stream.decompress(data, most + 1)
    except zlib.error:
        raise _changed() from None
    if len(contents) > most:
        raise UnpacksTooLarge(most)
    if not stream.eof or stream.unused_data:
        raise _changed()
    return contents


def _changed() -> FileChanged:
    return FileChanged("changed since it was listed: damaged, or another member is in its place")
