"""Tar files of plain files: written, and read from their start.

Source: the `ustar`_ format of POSIX.

.. _ustar: https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from prep.errors import RecordError
from prep.shards.formats.base import Pieces, Writable

_BLOCK = 512
_CHUNK = 20 * _BLOCK  # A tar file's length is a multiple of it.
_NAME, _SIZE, _CHECKSUM, _KIND = slice(100), slice(124, 136), slice(148, 156), slice(156, 157)
_PREFIX = slice(345, 500)
_PLAIN = (b"0", b"\0")
_EXTENDED = (b"x", b"g")  # pax: what the next header, or all of them, can't hold
_END = b"0".ljust(101, b"\0") + b"ustar\00000".ljust(255, b"\0")  # of a plain file's header


def _header(name: str, size: int) -> bytes:
    """Return the ustar header of a plain file: mode 0644, of nobody, at time 0."""
    start = b"%b0000644\0%b%011o\0%011o\0" % (
        name.encode().ljust(100, b"\0"),
        2 * b"0000000\0",
        size,
        0,
    )
    checksum = sum(start) + 8 * ord(" ") + sum(_END)
    return b"%b%06o\0 %b" % (start, checksum, _END)


def member_of(name: str, data: bytes) -> tuple[bytes, bytes, bytes]:
    """Return the header, the data and the padding of a file in the archive."""
    return _header(name, len(data)), data, bytes(-len(data) % _BLOCK)


class TarWriter:
    """Writes records, which are whole members, and the end of the archive."""

    def __init__(self, file: Writable) -> None:
        self._file = file
        self._size = 0

    def write(self, record: Pieces) -> int:
        """Write the members of an image, and return their length."""
        length = sum(map(len, record))
        self._file.writelines(record)
        self._size += length
        return length

    def finish(self) -> None:
        """Write two blocks of zeros, and more up to the usual length of a tar file."""
        end = self._size + 2 * _BLOCK
        self._file.write(bytes(2 * _BLOCK + -end % _CHUNK))


class Member(NamedTuple):
    """A member of a tar file, as its header describes it.

    Attributes:
        key, extension: the name up to the first dot of its last part, and what follows.
        size: bytes of its data.
        length: of header, data and padding.
        is_plain: whether it is a file, and not something about the next one.
    """

    key: str
    extension: str
    size: int
    is_plain: bool

    @property
    def length(self) -> int:
        return _BLOCK + self.size + -self.size % _BLOCK


class Archive:
    """A tar file that is read from its start."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._header = b""
        self._position = 0

    def members(self) -> Iterator[Member]:
        """Yield the plain files up to the end of the archive."""
        while True:
            self._header = self._file.read(_BLOCK)
            if len(self._header) < _BLOCK:
                raise self._error("the file ends before the archive does")
            if not self._header.strip(b"\0"):
                return
            try:
                member = _parse_header(self._header)
            except ValueError as error:
                raise self._error(str(error)) from None
            if member.is_plain:
                yield member
            self._position += member.length
            self._file.seek(self._position)

    def read(self, member: Member, most: int) -> bytes:
        """Return header, data and padding of the member at hand, of at most so many bytes."""
        if member.length > most:
            raise self._error(
                f"a record claims too many bytes, {member.size:,} of them in one member"
            )
        body = self._file.read(member.length - _BLOCK)
        if len(body) < member.length - _BLOCK:
            raise self._error("the file ends within a record")
        return self._header + body

    def require_end(self) -> None:
        """Raise RecordError unless at least one more block follows, and zeros alone."""
        zeros = 0
        while chunk := self._file.read(_CHUNK):
            if chunk.strip(b"\0"):
                raise self._error("there is something after the end of the archive")
            zeros += len(chunk)
        if zeros < _BLOCK:
            raise self._error("the file ends within the end of the archive")

    def _error(self, what: str) -> RecordError:
        return RecordError(f"{what}, at byte {self._position}")


def _parse_header(header: bytes) -> Member:
    """Return what a header says of its member; raise ValueError if it is damaged."""
    checksum, size = (_octal(header[field]) for field in (_CHECKSUM, _SIZE))
    if checksum != sum(header) - sum(header[_CHECKSUM]) + 8 * ord(" "):
        raise ValueError("wrong checksum of a member's header")
    kind = header[_KIND]
    if kind not in (*_PLAIN, *_EXTENDED):
        raise ValueError("expected plain files in the archive, found another kind")
    prefix, name = (
        header[field].partition(b"\0")[0].decode(errors="replace") for field in (_PREFIX, _NAME)
    )
    folder, _, last = name.rpartition("/")
    stem, _, extension = last.partition(".")
    return Member(f"{prefix}/{folder}/{stem}", extension.lower(), size, kind in _PLAIN)


def _octal(field: bytes) -> int:
    """Return the number of a header's field; raise ValueError if it is none."""
    digits = field.strip(b" \0")
    if not digits or digits.strip(b"01234567"):
        raise ValueError("expected the header of a tar file")
    return int(digits, 8)


def members_of(record: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield (extension, data) of the members of a record."""
    position = 0
    while position < len(record):
        try:
            member = _parse_header(record[position : position + _BLOCK])
        except ValueError as error:
            raise RecordError(str(error)) from None
        start = position + _BLOCK
        end = start + member.size
        position += member.length
        if record[end:position].strip(b"\0"):
            raise RecordError(f"expected zeros after its {member.extension}, found something else")
        yield member.extension, record[start:end]
