"""Read a member of an archive by its place, and make sure that it is what was listed."""

from __future__ import annotations

from zlib import crc32

from prep.sources.archives.members import contents_of, is_of
from prep.sources.archives.zips.zip_reading import unpacked
from prep.sources.base import ImageEntry
from prep.storage.local import close_kept_files
from prep.storage.locate import read_part
from prep.storage.location import FileChanged, FilePart, Stamp

_HEADER = 512  # bytes before the contents of a tar's member


def read_member(path: str | bytes, entry: ImageEntry) -> bytes:
    """Return the contents of a member, unpacked.

    Args:
        path: of the archive: an absolute path, or a URL.
        entry: has an offset; the time of its stamp is a :func:`prep.sources.archives.members.mark`.

    Raises:
        FileChanged: the archive or the member is not what was listed.
        OSError: it can't be read.
    """
    try:
        return _contents(_read(path, entry), entry)
    except FileChanged:
        # A file that is kept open may have been replaced before the images were listed.
        if not close_kept_files():
            raise
        return _contents(_read(path, entry), entry)


def stamp_of_member(path: str | bytes, entry: ImageEntry) -> Stamp:
    """Return the stamp that a member has now; raise OSError if there is none."""
    close_kept_files()
    part = _read(path, entry)
    try:
        _contents(part, entry)
    except FileChanged:
        return Stamp(entry.stamp.size, ~entry.stamp.mtime)
    return entry.stamp


def _read(path: str | bytes, entry: ImageEntry) -> FilePart:
    assert entry.offset is not None
    return read_part(path, entry.offset, entry.stamp.size, before=min(_HEADER, entry.offset))


def _contents(part: FilePart, entry: ImageEntry) -> bytes:
    """Return the contents of a member, of which a part of an archive was read."""
    expected = entry.stamp.mtime
    if part.stamp is not None and not is_of(expected, part.stamp):
        raise FileChanged("changed since it was listed: its archive was written to or replaced")
    if entry.how == "bytes" and crc32(part.before) == contents_of(expected):  # Of a tar file.
        return part.data
    return unpacked(part.data, entry.how, contents_of(expected))
