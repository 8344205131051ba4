"""TFRecord framing, written and read without TensorFlow.

Importing TensorFlow costs a worker seconds and hundreds of size_text, and its writer a fifth of the
throughput; the format is small enough to write by hand. The tests hold every byte against
TensorFlow's own.

Source: `record_writer.cc`_. Per record: a little-endian uint64 length, the masked CRC-32C of those
8 bytes, the data, and the masked CRC-32C of the data.

.. _record_writer.cc: https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/lib/io/record_writer.cc
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Collection, Iterator
from typing import BinaryIO, Protocol

import google_crc32c

from prep.errors import RecordError
from prep.settings import Compression

# zlib's wbits: 15 is the 32 KiB window; adding 16 asks for the gzip wrapper.
_WBITS: dict[str, int] = {"GZIP": 31, "ZLIB": 15}
# JPEG bytes don't compress; what is gained lies in the headers that repeat from image to image
# (2.5 %), and level 1 finds as much of that as level 6 does.
_COMPRESSION_LEVEL = 1
_CHUNK = 1 << 18  # 256 KiB
#: Bytes of a record, where it is not known how large it may be: the largest that we write, in
#: float32 and 4096 by 4096 pixels, has 201 million.
LARGEST_RECORD = 256 << 20  # 256 MiB
_MASK_DELTA = 0xA282EAD8


class Writable(Protocol):
    """Anything that takes bytes."""

    def write(self, data: bytes, /) -> object: ...


def crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli)."""
    crc: int = google_crc32c.value(data)
    return crc


def masked_crc(data: bytes) -> int:
    """CRC-32C, rotated right by 15 bits and offset, as TFRecord stores it."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFF_FFFF


def frame(data: bytes) -> bytes:
    """One TFRecord: length, its CRC, data, its CRC.

    >>> frame(b"abc").hex()
    '0300000000000000b099490e6162636e57f121'
    """
    length = struct.pack("<Q", len(data))
    return b"".join(
        (
            length,
            struct.pack("<I", masked_crc(length)),
            data,
            struct.pack("<I", masked_crc(data)),
        )
    )


class RecordWriter:
    """Writes records to an open binary file, compressed as a whole if asked.

    It neither opens nor closes the file. Call :meth:`finish` after the last record.
    """

    def __init__(self, file: Writable, compression: Compression | None = None) -> None:
        self._file = file
        self._compressor = (
            zlib.compressobj(_COMPRESSION_LEVEL, zlib.DEFLATED, _WBITS[compression])
            if compression
            else None
        )

    def write(self, data: bytes) -> None:
        framed = frame(data)
        self._file.write(self._compressor.compress(framed) if self._compressor else framed)

    def finish(self) -> None:
        if self._compressor:
            self._file.write(self._compressor.flush())


def detect_compression(head: bytes) -> Compression | None:
    """Tells from the first 12 bytes of a TFRecord file how it is compressed.

    A plain file starts with a length and that length's own checksum, which no compressed file
    does by chance; a gzip member starts with 1f 8b, a zlib stream with a header divisible by 31.

    Raises:
        RecordError: it is none of them.
    """
    if not head:
        return None
    if len(head) >= 12 and masked_crc(head[:8]) == int.from_bytes(head[8:12], "little"):
        return None
    if head[:2] == b"\x1f\x8b":
        return "GZIP"
    if head[0] & 0x0F == 8 and int.from_bytes(head[:2], "big") % 31 == 0:
        return "ZLIB"
    raise RecordError("expected a TFRecord file (plain, GZIP or ZLIB), found something else")


def compression_of(file: BinaryIO) -> Compression | None:
    """How an open TFRecord file is compressed; leaves it at its start.

    Raises:
        RecordError: it is not a TFRecord file.
    """
    head = file.read(12)
    file.seek(0)
    return detect_compression(head)


def read_records(
    file: BinaryIO, largest: int = LARGEST_RECORD, most: int | None = None
) -> Iterator[bytes]:
    """Yields the data of each record of a TFRecord file, its compression detected.

    No more than one record, and a few size_text, are in memory, whatever the file claims.

    Args:
        largest: bytes that a record may have.
        most: how many records there may be.

    Raises:
        RecordError: a checksum is wrong, the file ends within a record or a compressed stream, or
            there is more than there may be.
    """
    stream = _stream(file)
    position = number = 0
    while header := stream.read(12):
        if number == most:
            raise RecordError(f"there are more than {most:,} records")
        data = _record(header, stream, position, largest)
        yield data
        position += len(data) + 16
        number += 1


def count_records(file: BinaryIO, largest: int = LARGEST_RECORD) -> int:
    """Counts the records of a TFRecord file, and passes over their data where it can.

    Raises:
        RecordError: as :func:`read_records`, but for the data that is passed over.
    """
    stream = _stream(file)
    position = number = 0
    while header := stream.read(12):
        length = _length(header, position, largest)
        _pass_over(length + 4, stream, file)
        position += length + 16
        number += 1
    return number


def read_chosen(
    file: BinaryIO, numbers: Collection[int], largest: int = LARGEST_RECORD
) -> Iterator[tuple[int, bytes]]:
    """Yields (number, data) of some records of a TFRecord file, counted from 0, in their order.

    Of a file that isn't compressed, the others are passed over unread.

    Args:
        largest: bytes that a record may have.

    Raises:
        RecordError: as :func:`read_records`, but for the data that is passed over.
    """
    stream = _stream(file)
    position = 0
    for number in range(max(numbers, default=-1) + 1):
        header = stream.read(12)
        if not header:
            return
        if number in numbers:
            data = _record(header, stream, position, largest)
            yield number, data
            position += len(data) + 16
            continue
        length = _length(header, position, largest)
        _pass_over(length + 4, stream, file)
        position += length + 16


def _pass_over(size: int, stream: _Readable, file: BinaryIO) -> None:
    if isinstance(stream, _Inflater):
        stream.read(size)
    else:
        file.seek(size, os.SEEK_CUR)


def _stream(file: BinaryIO) -> _Readable:
    compression = compression_of(file)
    return _Inflater(file, _WBITS[compression]) if compression else file


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def _length(header: bytes, position: int, largest: int) -> int:
    if len(header) < 12:
        raise RecordError(f"the file ends within a record's header, at byte {position}")
    if masked_crc(header[:8]) != int.from_bytes(header[8:], "little"):
        raise RecordError(f"wrong checksum of a record's length, at byte {position}")
    length = int.from_bytes(header[:8], "little")
    if length > largest:
        raise RecordError(
            f"a record claims {length:,} bytes, at byte {position}; at most {largest:,} are read"
        )
    return length


def _record(header: bytes, stream: _Readable, position: int, largest: int) -> bytes:
    length = _length(header, position, largest)
    body = stream.read(length + 4)
    if len(body) < length + 4:
        raise RecordError(f"the file ends within a record, at byte {position}")
    data = body[:length]
    if masked_crc(data) != int.from_bytes(body[length:], "little"):
        raise RecordError(f"wrong checksum of a record's data, at byte {position}")
    return data


class _Inflater:
    """``read`` over a compressed file.

    Unlike gzip's, it insists on the trailer. Gzip members may follow each other, as when files were
    joined; anything else after the end is an error.
    """

    def __init__(self, file: BinaryIO, wbits: int) -> None:
        self._file = file
        self._wbits = wbits
        self._inflate = zlib.decompressobj(wbits)
        self._buffer = bytearray()

    def read(self, size: int) -> bytes:
        while len(self._buffer) < size and self._fill():
            pass
        out = bytes(self._buffer[:size])
        del self._buffer[:size]
        return out

    def _fill(self) -> bool:
        """Inflates another piece; False at the end of the file."""
        left = self._inflate.unconsumed_tail
        chunk = left or self._inflate.unused_data or self._file.read(_CHUNK)
        if self._inflate.eof and chunk:
            if self._wbits != _WBITS["GZIP"]:
                raise RecordError("there are bytes after the end of the compressed stream")
            self._inflate = zlib.decompressobj(self._wbits)
        elif self._inflate.eof:
            return False
        try:
            # A megabyte may stand for a gigabyte. Without a chunk, this is what it still holds.
            found = self._inflate.decompress(chunk, _CHUNK)
        except zlib.error as error:
            raise RecordError(f"the compressed stream is damaged: {error}") from None
        if not chunk and not found and not self._inflate.eof:
            raise RecordError("the compressed stream ends before its trailer")
        self._buffer += found
        return True
