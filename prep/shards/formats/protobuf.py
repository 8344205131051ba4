"""Messages of protocol buffers, written and read without the protobuf library.

Source: the `wire format`_ of protocol buffers.

.. _wire format: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterator

Buffer = bytes | memoryview
_ONE_BYTE = [bytes((value,)) for value in range(0x80)]  # Most varints in a record.


def varint(value: int) -> bytes:
    """Return a base-128 varint; negative numbers as their 64-bit two's complement."""
    if 0 <= value < 0x80:
        return _ONE_BYTE[value]
    if 0x4000 <= value < 0x20_0000:  # The length of most images.
        return bytes((value & 0x7F | 0x80, value >> 7 & 0x7F | 0x80, value >> 14))
    value &= 0xFFFF_FFFF_FFFF_FFFF
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def header(number: int, length: int) -> bytes:
    """Return the tag and length of a length-delimited (wire type 2) field."""
    return _ONE_BYTE[number << 3 | 2] + varint(length)


def delimited(number: int, payload: bytes) -> bytes:
    """Return a length-delimited field."""
    return header(number, len(payload)) + payload


def read_varint(data: Buffer, at: int) -> tuple[int, int]:
    """Return the number at a place, and where it ends.

    Raises:
        ValueError: it has more than 64 bits.
        IndexError: the data end within it.
    """
    if (value := data[at]) < 0x80:
        return value, at + 1
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number of more than 64 bits")


def fields(data: Buffer) -> Iterator[tuple[int, Buffer | int]]:
    """Yield (field number, value) for the fields of a message, in order.

    Raises:
        ValueError, IndexError: it is not a message.
    """
    at = 0
    while at < len(data):
        tag, at = read_varint(data, at)
        kind = tag & 7
        if kind == 0:
            value, at = read_varint(data, at)
            yield tag >> 3, value
            continue
        if kind == 2:
            length, at = read_varint(data, at)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise ValueError(f"wire type {kind}")
        if at + length > len(data):
            raise ValueError("a field runs past the end")
        yield tag >> 3, data[at : at + length]
        at += length


def message(value: Buffer | int) -> Buffer:
    """Return the value of a field that is length-delimited; raise ValueError for a number."""
    if isinstance(value, int):
        raise ValueError("a number where a message was expected")
    return value


def subfields(data: Buffer, *path: int) -> Iterator[Buffer]:
    """Yield the length-delimited fields reached by following ``path`` of field numbers."""
    for number, value in fields(data):
        if number == path[0]:
            inner = message(value)
            if len(path) == 1:
                yield inner
            else:
                yield from subfields(inner, *path[1:])
