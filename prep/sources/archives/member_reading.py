"""Read a member of an archive by its place, and make sure that it is what was listed."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from zlib import crc32

from google_crc32c import value as crc32c

from prep.sources.archives.members import UNCHECKED, contents_of, is_of
from prep.sources.archives.zips.zip_reading import (
    contents_changed,
    inflate,
    inflate_in_pieces,
    require_checksum,
)
from prep.sources.base import ImageEntry
from prep.storage.local import close_kept_files
from prep.storage.locate import read_part, stamp_of
from prep.storage.location import FileChanged, FilePart, Stamp
from prep.storage.urls import is_url

_LARGEST = 1 << 30  # 1 GiB, of a member that is unpacked
_HEADER = 512  # bytes before the contents of a tar's member


def read_member(path: str | bytes, entry: ImageEntry, is_kept: bool = False) -> bytes:
    """Return the contents of a member; raise UnpacksTooLarge if they have more than 1 GiB.

    Raises:
        FileChanged, OSError: as :func:`fetch_member`.
    """
    data = fetch_member(path, entry, is_kept)
    return unpack_member(entry, data, _LARGEST) if entry.how == "deflate" else data


def fetch_member(path: str | bytes, entry: ImageEntry, is_kept: bool = False) -> bytes:
    """Return the bytes of a member as they lie in its archive.

    Args:
        path: of the archive: an absolute path, or a URL.
        entry: has an offset; the time of its stamp is a :func:`prep.sources.archives.members.mark`.
        is_kept: the archive was unpacked to that path, so stamps of it are not compared.

    Raises:
        FileChanged: the archive or the member is not what was listed.
        OSError: it can't be read.
    """
    try:
        return _contents(_read(path, entry, entry.stamp.size), entry, is_kept)
    except FileChanged:
        # A file that is kept open may have been replaced before the images were listed.
        if not close_kept_files():
            raise
        return _contents(_read(path, entry, entry.stamp.size), entry, is_kept)


def unpack_member(entry: ImageEntry, data: bytes, most: int) -> bytes:
    """Return the contents of a deflated member, of at most so many bytes.

    Raises:
        UnpacksTooLarge: they have more.
        FileChanged: they are not what was listed.
    """
    contents = inflate(data, most)
    require_checksum(contents, contents_of(entry.stamp.mtime))
    return contents


def unpack_in_pieces(entry: ImageEntry, data: bytes) -> Iterator[bytes]:
    """Yield the contents of a deflated member; raise FileChanged if they are not those listed."""
    checksum = 0
    for piece in inflate_in_pieces(data):
        checksum = crc32(piece, checksum)
        yield piece
    if checksum != contents_of(entry.stamp.mtime):
        raise contents_changed()


def stamp_of_member(path: str | bytes, entry: ImageEntry, is_kept: bool = False) -> Stamp:
    """Return the stamp that a member has now; raise OSError if there is none.

    A member of a tar file is known by its header; any other has to be read whole.
    """
    changed = Stamp(entry.stamp.size, ~entry.stamp.mtime)
    is_local = not is_url(os.fsdecode(path))
    if is_local and not is_kept and not is_of(entry.stamp.mtime, stamp_of(path)):
        return changed
    try:
        part = _read(path, entry, 0)
        if not is_kept and part.stamp is not None and not is_of(entry.stamp.mtime, part.stamp):
            return changed
        if not _is_header(part.before, entry):
            data = fetch_member(path, entry, is_kept)
            if entry.how == "deflate":
                deque(unpack_in_pieces(entry, data), maxlen=0)
    except FileChanged:
        return changed
    return entry.stamp


def _read(path: str | bytes, entry: ImageEntry, length: int) -> FilePart:
    assert entry.offset is not None
    return read_part(path, entry.offset, length, before=min(_HEADER, entry.offset))


def _is_header(before: bytes, entry: ImageEntry) -> bool:
    """Return whether the bytes before the contents are the header of a tar file's member.

    Of entries without a mark of their contents, no bytes are compared.
    """
    contents = contents_of(entry.stamp.mtime)
    return entry.how != "deflate" and contents in (UNCHECKED, crc32c(before))


def _contents(part: FilePart, entry: ImageEntry, is_kept: bool) -> bytes:
    """Return the contents of a member, of which a part of an archive was read."""
    expected = entry.stamp.mtime
    if not is_kept and part.stamp is not None and not is_of(expected, part.stamp):
        raise FileChanged("changed since it was listed: its archive was written to or replaced")
    if _is_header(part.before, entry):
        return part.data
    if entry.how != "deflate":  # A stored member of a zip file.
        require_checksum(part.data, contents_of(expected))
    return part.data
