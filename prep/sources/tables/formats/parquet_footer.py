"""What the footer of a Parquet file says of the parts of its columns, read without pyarrow.

pyarrow ends the process where it is asked for a part whose statistics are damaged. The format:
https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift, in
https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache
from typing import BinaryIO, NamedTuple

_TAIL = 64 << 10  # bytes that are read at first: as many as pyarrow reads
_END = 8  # bytes: the length of the footer, and a mark
_DEEPEST = 32  # structures in each other
_BOOLS, _BYTE, _INTEGERS, _DOUBLE, _BINARY = (1, 2), 3, (4, 5, 6), 7, 8
_LISTS, _MAP, _STRUCT = (9, 10), 11, 12
#: The numbers of codecs.
UNCOMPRESSED, SNAPPY = 0, 1


class ColumnPart(NamedTuple):
    """The part of a column in a row group.

    Attributes:
        codec: the number of its compression; -1 if it is not told.
        values: how many there are; -1 likewise.
    """

    codec: int
    values: int


def end_of(file: BinaryIO, size: int) -> bytes:
    """Return the bytes of a file from the beginning of its footer, or more.

    Args:
        file: open for reading.
        size: its bytes.
    """
    length = min(size, _TAIL)
    while True:
        file.seek(size - length, os.SEEK_SET)
        data = file.read(length)
        needed = int.from_bytes(data[-_END : -_END // 2], "little") + _END
        if not length < needed <= size:
            return data
        length = needed


@lru_cache(maxsize=2)
def column_parts_in(end: bytes) -> tuple[tuple[ColumnPart, ...], ...]:
    """Return the parts of columns in each row group.

    Args:
        end: of the file, from its footer on.

    Raises:
        ValueError: the footer is malformed.

    >>> column_parts_in(bytes.fromhex("49 1c 19 1c 3c 45 02 16 0a 00 00 00 00 0d000000 50415231"))
    ((ColumnPart(codec=1, values=5),),)
    """
    begin = len(end) - _END - int.from_bytes(end[-_END : -_END // 2], "little")
    groups: list[tuple[ColumnPart, ...]] = []
    reader = _Compact(end, begin)

    def group() -> None:
        parts: list[ColumnPart] = []
        reader.struct({1: lambda: reader.each(lambda: parts.append(_part(reader)), parts.clear)})
        groups.append(tuple(parts))

    try:
        reader.struct({4: lambda: reader.each(group, groups.clear)})
    except IndexError:
        raise ValueError("its footer is malformed") from None
    return tuple(groups)


def _part(reader: _Compact) -> ColumnPart:
    found = {"codec": -1, "values": -1}

    def keep(name: str) -> Callable[[], None]:
        return lambda: found.update({name: reader.integer()})

    reader.struct({3: lambda: reader.struct({4: keep("codec"), 5: keep("values")})})
    return ColumnPart(**found)


class _Compact:
    """Reads values in Thrift's compact protocol.

    Args:
        data: what they are in.
        at: where they begin.

    Raises:
        IndexError: they end too early.
        ValueError: they are malformed.
    """

    def __init__(self, data: bytes, at: int) -> None:
        if at < 0:
            raise ValueError("its footer is longer than the file")
        self._data = data
        self._at = at
        self._depth = 0

    def _byte(self) -> int:
        value = self._data[self._at]
        self._at += 1
        return value

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
            if shift > 63:
                raise ValueError("its footer has a malformed number")

    def integer(self) -> int:
        """Return a number with a sign."""
        value = self._varint()
        return value >> 1 ^ -(value & 1)

    def struct(self, wanted: dict[int, Callable[[], None]]) -> None:
        """Read a structure; call what reads the value of a field that is wanted."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ValueError("its footer is nested too deeply")
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self.integer()
            kind = head & 0xF
            read = wanted.get(number)
            if read is not None:
                read()
            elif kind not in _BOOLS:  # Whose value is their kind.
                self._skip(kind)
        self._depth -= 1

    def each(self, read: Callable[[], None], clear: Callable[[], None]) -> None:
        """Read a list of structures, in place of one before."""
        clear()
        kind, count = self._list()
        if kind != _STRUCT and count:
            raise ValueError("its footer has another list than one of structures")
        for _ in range(count):
            read()

    def _list(self) -> tuple[int, int]:
        """Read the head of a list; return the kind of its values, and how many there are."""
        head = self._byte()
        return head & 0xF, self._varint() if head >> 4 == 0xF else head >> 4

    def _skip(self, kind: int) -> None:
        if kind in _INTEGERS:
            self._varint()
        elif kind == _BINARY:
            length = self._varint()
            self._at += length
        elif kind == _STRUCT:
            self.struct({})
        elif kind in _LISTS:
            kind, count = self._list()
            for _ in range(count):
                self._skip(kind)
        elif kind == _MAP:
            count = self._varint()
            kinds = self._byte() if count else 0
            for _ in range(count):
                self._skip(kinds >> 4)
                self._skip(kinds & 0xF)
        elif kind in (*_BOOLS, _BYTE):
            self._byte()
        elif kind == _DOUBLE:
            self._at += 8
        else:
            raise ValueError("its footer has a value of an unknown kind")
