"""Features of a ``tf.train.Example``, found without reading the images in it.

Source: `example.proto`_ and `feature.proto`_, in the `wire format`_ of protocol buffers.

.. _example.proto: https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/example/example.proto
.. _feature.proto: https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/example/feature.proto
.. _wire format: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from prep.sources.records.record_frames import RecordBytes

#: Where something lies in a file: where it begins, and where it ends.
Span = tuple[int, int]

# Tags: the number of a field, and how its value is written.
_VARINT, _FIXED64, _DELIMITED, _FIXED32 = 0, 1, 2, 5
_FIRST, _SECOND, _THIRD = (number << 3 | _DELIMITED for number in (1, 2, 3))
_LONGEST_KEY = 1 << 12
_PLAIN = 96  # bytes of an entry that hold its key, and the length of its value
_GOES_ON, _BITS = 0x80, 0x7F  # of a number of 7 bits a byte
# Bytes that numbers of a label may have, and features of a record.
_LARGEST_LABEL = 1 << 20
_MOST_FEATURES = 10_000


class Values(NamedTuple):
    """The values of a feature.

    Attributes:
        pieces: where each lies, of bytes.
        numbers: the values, of integers or floats.
    """

    pieces: tuple[Span, ...] = ()
    numbers: tuple[int | float, ...] = ()


def features_in(record: RecordBytes, begin: int, end: int) -> dict[bytes, Span]:
    """Return where the values of each feature of a record lie, by key.

    Args:
        begin, end: where the data of the record lie.

    Raises:
        ValueError: they are no example.
    """
    found: dict[bytes, Span] = {}
    for features in _messages(record, begin, end, _FIRST):
        for entry in _messages(record, *features, _FIRST):
            key, values = _entry(record, *entry)
            found[key] = values
            if len(found) > _MOST_FEATURES:
                raise ValueError(f"more than {_MOST_FEATURES:,} features")
    return found


def values_of(record: RecordBytes, span: Span) -> Values:
    """Return the values of a feature; raise ValueError if they are malformed.

    Of bytes, it is told where they lie.
    """
    found = Values()
    for tag, inner in _fields(record, *span):
        if tag == _FIRST:
            found = Values(pieces=tuple(_messages(record, *inner, _FIRST)))
        elif tag in (_SECOND, _THIRD):
            if inner[1] - inner[0] > _LARGEST_LABEL:
                raise ValueError(f"more than {_LARGEST_LABEL:,} bytes of numbers")
            read = _floats if tag == _SECOND else _integers
            found = Values(numbers=tuple(read(record, *inner)))
    return found


def _entry(record: RecordBytes, begin: int, end: int) -> tuple[bytes, Span]:
    """Return the key of an entry of a map, and where its value lies."""
    plain = _plain_entry(record.at(begin, min(_PLAIN, end - begin)), begin, end)
    if plain is not None:
        return plain
    key, values = b"", (end, end)
    for tag, span in _fields(record, begin, end):
        if tag == _FIRST:
            if span[1] - span[0] > _LONGEST_KEY:
                raise ValueError("a name of a feature that is too long")
            key = record.at(span[0], span[1] - span[0])
        elif tag == _SECOND:
            values = span
    return key, values


def _plain_entry(head: bytes, begin: int, end: int) -> tuple[bytes, Span] | None:
    """Return what an entry holds in which a short key comes before the value; None of another.

    Nearly all are such, and there are a dozen in each record.

    Args:
        head: the first bytes of the entry.
    """
    try:
        at = 2 + head[1]
        if head[0] != _FIRST or head[1] >= _GOES_ON or head[at] != _SECOND:
            return None
        length, place = head[at + 1] & _BITS, 1
        while head[at + place] >= _GOES_ON:
            length |= (head[at + place + 1] & _BITS) << 7 * place
            place += 1
    except IndexError:
        return None
    value = begin + at + 1 + place
    return (head[2:at], (value, end)) if value + length == end else None


def _messages(record: RecordBytes, begin: int, end: int, wanted: int) -> Iterator[Span]:
    """Yield where the messages of one field lie."""
    return (span for tag, span in _fields(record, begin, end) if tag == wanted)


def _fields(record: RecordBytes, begin: int, end: int) -> Iterator[tuple[int, Span]]:
    """Yield the tag of each field of a message, and where its value lies."""
    at = begin
    while at < end:
        tag, at = record.varint(at)
        kind = tag & 7
        if kind == _DELIMITED:
            length, at = record.varint(at)
        elif kind == _VARINT:
            length = record.varint(at)[1] - at
        elif kind in (_FIXED32, _FIXED64):
            length = 4 if kind == _FIXED32 else 8
        else:
            raise ValueError(f"a field of the unknown kind {kind}")
        if at + length > end:
            raise ValueError("a field that runs past its end")
        yield tag, (at, at + length)
        at += length


def _integers(record: RecordBytes, begin: int, end: int) -> Iterator[int]:
    """Yield the integers of a list, packed or not."""
    for tag, span in _fields(record, begin, end):
        at = span[0]
        while tag in (_FIRST, 1 << 3 | _VARINT) and at < span[1]:
            number, at = record.varint(at)
            yield number - (1 << 64) if number >> 63 else number


def _floats(record: RecordBytes, begin: int, end: int) -> Iterator[float]:
    """Yield the floats of a list, packed or not."""
    for tag, span in _fields(record, begin, end):
        if tag in (_FIRST, 1 << 3 | _FIXED32):
            data = record.at(span[0], span[1] - span[0])
            if len(data) % 4:
                raise ValueError("a list of floats that is cut off")
            yield from struct.unpack(f"<{len(data) // 4}f", data)
