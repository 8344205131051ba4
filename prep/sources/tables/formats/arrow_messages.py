"""The messages that an Arrow file or stream consists of, and where their buffers lie.

The format: https://arrow.apache.org/docs/format/Columnar.html#serialization-and-interprocess-communication-ipc
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

#: The first bytes of an Arrow file, which is a stream with an index at its end.
ARROW = b"ARROW1"
_CONTINUES = 0xFFFFFFFF
_LARGEST_METADATA = 64 << 20  # 64 MiB
#: Kinds of messages, as ``Message.fbs`` numbers them.
SCHEMA, DICTIONARY, BATCH = 1, 2, 3


class Message(NamedTuple):
    """A message.

    Attributes:
        kind: ``SCHEMA``, ``DICTIONARY`` or ``BATCH``.
        start: its offset in the file.
        head: bytes before its body.
        body: bytes of its body.
        rows: of a batch.
        is_compressed: whether the buffers of a batch are compressed.
    """

    kind: int
    start: int
    head: int
    body: int
    rows: int
    is_compressed: bool


def messages_of(file: BinaryIO, size: int) -> Iterator[Message]:
    """Yield the messages of a file or a stream; no body is read.

    Args:
        file: open for reading.
        size: its bytes.

    Raises:
        ValueError: it is damaged or truncated.
    """
    file.seek(0)
    at = 8 if file.read(len(ARROW)) == ARROW else 0
    while True:
        file.seek(at)
        prefix = file.read(8)
        if len(prefix) < 8:
            raise ValueError("it is truncated: there is no mark at its end")
        continues, length = struct.unpack("<II", prefix)
        if continues != _CONTINUES:
            raise ValueError(f"it is damaged: no message begins at byte {at:,}")
        if not length:
            return
        metadata = file.read(length) if length <= _LARGEST_METADATA else b""
        message = _message(metadata, at, 8 + length)
        at += message.head + message.body
        if len(metadata) < length or at > size:
            raise ValueError("it is truncated: a message ends behind the file")
        yield message


def _message(metadata: bytes, start: int, head: int) -> Message:
    """Read the metadata of a message."""
    try:
        table = _Table(metadata, *struct.unpack_from("<I", metadata))
        kind, body = table.number(1, "<B"), table.number(3, "<q")
        batch = table.below(2) if kind == BATCH else None
        rows = 0 if batch is None else batch.number(0, "<q")
        compressed = batch is not None and batch.below(3) is not None
    except struct.error:
        raise _malformed(start) from None
    if not (0 <= rows < 1 << 32) or body < 0 or kind not in (SCHEMA, DICTIONARY, BATCH):
        raise _malformed(start)
    return Message(kind, start, head, body, rows, compressed)


def _malformed(start: int) -> ValueError:
    return ValueError(f"it is damaged: the message at byte {start:,} is malformed")


class _Table:
    """A table of FlatBuffers, of which fields are read by their numbers.

    https://flatbuffers.dev/internals/
    """

    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self._at = at
        self._fields = at - _unpack("<i", data, at)
        self._size = _unpack("<H", data, self._fields)

    def _place(self, field: int) -> int | None:
        entry = 4 + 2 * field
        if entry >= self._size:
            return None
        offset = _unpack("<H", self._data, self._fields + entry)
        return self._at + offset if offset else None

    def number(self, field: int, form: str) -> int:
        """Return a number; 0 if it is absent."""
        place = self._place(field)
        return 0 if place is None else _unpack(form, self._data, place)

    def below(self, field: int) -> _Table | None:
        """Return the table that a field refers to; None if it is absent."""
        place = self._place(field)
        return None if place is None else _Table(self._data, place + self.number(field, "<I"))


def _unpack(form: str, data: bytes, at: int) -> int:
    if at < 0:  # Which would count from the end.
        raise struct.error
    value: int = struct.unpack_from(form, data, at)[0]
    return value
