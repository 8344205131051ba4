"""Where the central directory of a zip file is.

The format is that of PKWARE's APPNOTE.TXT 6.3.10, sections 4.3.14 to 4.3.16.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from prep.errors import SourceError
from prep.storage.location import FileChanged, Location, Stamp
from prep.text import quoted, reason_of

_END = struct.Struct("<4s4H2LH")  # The end of central directory record, without its comment.
_END_MARK = b"PK\5\6"
_LOCATOR = struct.Struct("<4sLQL")  # Of the record below, right before the one above.
_LOCATOR_MARK = b"PK\6\7"
_END64 = struct.Struct("<4sQ2H2L4Q")
_END64_MARK = b"PK\6\6"
#: What a record of a directory begins with.
RECORD_MARK = b"PK\1\2"
_LONGEST_COMMENT = 0xFFFF
_FULL16, _FULL32 = 0xFFFF, 0xFFFFFFFF  # The value is in a zip64 record.
_TAIL = 1 << 17  # 128 KiB: the longest comment, and the whole directory of a small archive.
_PIECE = 16 << 20  # 16 MiB, which are asked for in one request.

#: The remedy for an archive in parts.
JOIN = "join them, such as by zip -s 0 parts.zip --out whole.zip"


class ArchiveReader:
    """Reads parts of an archive, and asks a storage again where that may help.

    Raises:
        SourceError: it can't be read.
        StorageUnavailable: it is in a storage that does not answer.
    """

    def __init__(self, archive: Location) -> None:
        self.archive = archive
        self._path = str(archive)
        try:
            self.size = archive.patiently(archive.file_size)
            self.stamp = Stamp(self.size, archive.patiently(archive.stat).st_mtime_ns)
        except OSError as error:
            raise self._unread(error) from None

    def read(self, offset: int, length: int) -> bytes:
        """Return a part of it; large ones come in pieces, several at a time from a storage."""
        starts = range(offset, offset + length, _PIECE)
        ranges = [(start, min(_PIECE, offset + length - start)) for start in starts]
        return b"".join(self.read_each(ranges))

    def read_each(self, ranges: list[tuple[int, int]]) -> Iterator[bytes]:
        """Yield parts of it, each given by its offset and length."""
        try:
            yield from self.archive.each(self._read_one, ranges)
        except OSError as error:
            raise self._unread(error) from None

    def _read_one(self, part: tuple[int, int]) -> bytes:
        data = self.archive.patiently(lambda: self.archive.read_range(*part)) if part[1] else b""
        if len(data) != part[1]:
            raise FileChanged("it was cut off meanwhile")
        return data

    def refused(self, what: str) -> SourceError:
        """Return the error for an archive, with its name."""
        return SourceError(f"source: {quoted(self._path)} {what}")

    def _unread(self, error: OSError) -> SourceError:
        what = f"source: can't read {quoted(self._path)}"
        self.archive.require_answer(error, what)
        return SourceError(f"{what}: {reason_of(error)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CentralDirectory:
    """A central directory.

    Attributes:
        start: where it begins in the file, and the members end.
        data: its records, one for each member.
        count: how many the archive claims, modulo 65,536: some programs know no zip64.
        prefix: bytes before the archive, by which all its offsets are too small.
    """

    start: int
    data: bytes
    count: int
    prefix: int


def find_directory(file: ArchiveReader) -> CentralDirectory:
    """Return the central directory of a zip file.

    The record at the end of the archive says where it is. A comment may follow that, of up to
    65,535 bytes, which may hold anything, another such record too. So all records that may be the
    true one are looked at.

    Raises:
        SourceError: there is none, or more than one.
    """
    tail_at = max(0, file.size - _TAIL)
    tail = _Tail(file, tail_at, file.read(tail_at, file.size - tail_at))
    ends = list(tail.ends())
    exact = [at for at in ends if at + _END.size + tail.comment_length(at) == file.size]
    for candidates in (exact, ends):
        found = [directory for at in candidates if (directory := tail.directory(at)) is not None]
        if len(found) > 1:
            raise file.refused("has two directories, so it is not clear which files are in it")
        if found:
            return found[0]
    if any(tail.is_spanned(at) for at in exact):
        raise file.refused(f"is one of several parts of an archive; {JOIN}")
    raise file.refused(
        "has no directory at its end, as each zip file has: it is truncated or damaged"
    )


def is_zip(archive: Location) -> bool:
    """Return whether a file ends as zip files do, however it begins."""
    try:
        find_directory(ArchiveReader(archive))
    except SourceError:
        return False
    return True


class _Tail:
    """The last bytes of a zip file, and where in it they begin."""

    def __init__(self, file: ArchiveReader, start: int, data: bytes) -> None:
        self._file = file
        self._start = start
        self._data = data

    def ends(self) -> Iterator[int]:
        """Yield where the mark of an end record is, the last first."""
        least = max(0, len(self._data) - _LONGEST_COMMENT - _END.size)
        at = len(self._data)
        while (at := self._data.rfind(_END_MARK, least, at + 3)) >= 0:
            if at + _END.size <= len(self._data):
                yield self._start + at

    def comment_length(self, end: int) -> int:
        return self._end(end)[-1]

    def is_spanned(self, end: int) -> bool:
        _, disk, first_disk, *_ = self._end(end)
        return bool(disk or first_disk)

    def directory(self, end: int) -> CentralDirectory | None:
        """Return the directory that an end record points to; None if there is none."""
        _, disk, first_disk, _, count, size, offset, _ = self._end(end)
        stop = end
        is_full = _FULL16 in (disk, first_disk, count) or _FULL32 in (size, offset)
        if is_full and (found := self._zip64(end)) is not None:
            stop, (disk, first_disk, count, size, offset) = found
        if disk or first_disk:
            return None
        if not size and stop:  # An archive without members has nothing but its end.
            return None
        for start in (stop - size, offset):
            there = offset <= start <= stop - size
            if there and self._read(start, min(size, 4)) == RECORD_MARK[:size]:
                data = self._read(start, size)
                return CentralDirectory(start=start, data=data, count=count, prefix=start - offset)
        return None

    def _end(self, end: int) -> tuple[int, ...]:
        return _END.unpack_from(self._data, end - self._start)

    def _zip64(self, end: int) -> tuple[int, tuple[int, int, int, int, int]] | None:
        """Return where the zip64 end record is, and what it says in place of the other."""
        at = end - _LOCATOR.size
        if at < 0:
            return None
        mark, _, offset, _ = _LOCATOR.unpack(self._read(at, _LOCATOR.size))
        if mark != _LOCATOR_MARK:
            return None
        for start in (at - _END64.size, offset):  # The second, if it has been extended.
            if 0 <= start <= at - _END64.size:
                found = _END64.unpack(self._read(start, _END64.size))
                if found[0] == _END64_MARK:
                    _, _, _, _, disk, first_disk, _, count, size, where = found
                    return start, (disk, first_disk, count, size, where)
        return None

    def _read(self, start: int, length: int) -> bytes:
        at = start - self._start
        return self._data[at : at + length] if at >= 0 else self._file.read(start, length)
