"""TFRecord framing, written and read without TensorFlow.

Importing TensorFlow costs a worker seconds and hundreds of megabytes, and its writer a fifth of the
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
from collections.abc import Callable, Iterator, Mapping
from typing import BinaryIO, Protocol

from prep.errors import RecordError
from prep.settings.choices import Compression
from prep.settings.image_settings import ImageSettings
from prep.settings.record_features import DEFAULT_FEATURES, RecordFeatures
from prep.shards.formats.base import (
    LARGEST_RECORD,
    Encoder,
    Pieces,
    Record,
    RecordFormat,
    Values,
    Writable,
    every,
)
from prep.shards.formats.example_parsing import example_values, features_among, parse_example
from prep.shards.formats.feature_entries import example_encoder
from prep.sources.labels import LabelMap
from prep.sources.records.record_frames import HEADER, TRAILER, masked_crc

# zlib's wbits: 15 is the 32 KiB window; adding 16 asks for the gzip wrapper.
_WBITS: dict[str, int] = {"GZIP": 31, "ZLIB": 15}
# JPEG bytes don't compress; what is gained lies in the headers that repeat from image to image
# (2.5 %), and level 1 finds as much of that as level 6 does.
_COMPRESSION_LEVEL = 1
_CHUNK = 1 << 18  # 256 KiB


_LENGTH, _CHECKSUM = struct.Struct("<Q").pack, struct.Struct("<I").pack


def frame(*data: bytes) -> bytes:
    """Return one TFRecord: length, its CRC, data (in pieces), its CRC.

    >>> frame(b"abc").hex()
    '0300000000000000b099490e6162636e57f121'
    """
    return b"".join(_framed(data))


def _framed(data: Pieces) -> Pieces:
    """Return the pieces of one TFRecord, those of the data among them."""
    length = _LENGTH(sum(map(len, data)))
    return length, _CHECKSUM(masked_crc(length)), *data, _CHECKSUM(masked_crc(*data))


class TFRecordWriter:
    """Writes TFRecords, compressed as a whole if asked."""

    def __init__(self, file: Writable, compression: Compression | None = None) -> None:
        self._file = file
        self._compressor = (
            zlib.compressobj(_COMPRESSION_LEVEL, zlib.DEFLATED, _WBITS[compression])
            if compression
            else None
        )

    def write(self, record: Pieces) -> int:
        """Write a record in its frame, and return the length of both together."""
        if self._compressor:
            self._file.write(self._compressor.compress(frame(*record)))
        else:
            self._file.writelines(_framed(record))
        return sum(map(len, record)) + HEADER + TRAILER

    def finish(self) -> None:
        """Write what the compression still holds."""
        if self._compressor:
            self._file.write(self._compressor.flush())


def detect_compression(head: bytes) -> Compression | None:
    """Tell from the first 12 bytes of a TFRecord file how it is compressed.

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


class TFRecord(RecordFormat):
    """TFRecord files of tf.train.Examples."""

    framing = HEADER + TRAILER

    def encoder(
        self,
        settings: ImageSettings,
        labels: LabelMap,
        features: RecordFeatures = DEFAULT_FEATURES,
    ) -> Encoder:
        """Return the function that makes a serialized Example."""
        return example_encoder(settings, labels, features)

    def writer(self, file: Writable, compression: Compression | None = None) -> TFRecordWriter:
        """Return the writer of a new file."""
        return TFRecordWriter(file, compression)

    def scan(
        self, file: BinaryIO, largest: int = LARGEST_RECORD, wanted: Callable[[int], bool] = every
    ) -> Iterator[bytes | None]:
        """Yield the data of each record; the file's compression is detected."""
        compression = self.compression_of(file)
        stream = _Inflater(file, _WBITS[compression]) if compression else file
        position = number = 0
        while header := stream.read(12):
            length = _length(header, position, largest)
            if wanted(number):
                yield _data(stream, length, position)
            else:
                stream.seek(length + 4, os.SEEK_CUR)
                yield None
            position += length + 16
            number += 1

    def parse(self, record: bytes) -> Record:
        """Return the image and label of an Example, whatever else it has."""
        return parse_example(record)

    def unframe(self, framed: bytes) -> bytes:
        """Return the data of a record, whose two checksums are checked."""
        length = _length(framed[:HEADER], 0, len(framed))
        if length != len(framed) - HEADER - TRAILER:
            raise RecordError(
                f"expected {len(framed) - HEADER - TRAILER:,} bytes of data, found {length:,}"
            )
        data = framed[HEADER:-TRAILER]
        if masked_crc(data) != int.from_bytes(framed[-TRAILER:], "little"):
            raise RecordError("wrong checksum of a record's data")
        return data

    def others(self, record: bytes) -> Mapping[str, Values]:
        """Return the values of each feature of an Example but its image and label."""
        values = example_values(record)
        keys = features_among(values)
        return {n: v for n, v in values.items() if n not in (keys.image, keys.label)}

    def compression_of(self, file: BinaryIO) -> Compression | None:
        """Return how an open file is compressed."""
        head = file.read(12)
        file.seek(0)
        return detect_compression(head)


FORMAT = TFRecord()


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...

    def seek(self, size: int, whence: int, /) -> object: ...


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


def _data(stream: _Readable, length: int, position: int) -> bytes:
    data, checksum = stream.read(length), stream.read(4)
    if len(checksum) < 4:
        raise RecordError(f"the file ends within a record, at byte {position}")
    if masked_crc(data) != int.from_bytes(checksum, "little"):
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

    def seek(self, size: int, whence: int) -> None:
        """Pass over ``size`` bytes from here on."""
        assert whence == os.SEEK_CUR
        self.read(size)

    def _fill(self) -> bool:
        """Inflate another piece; return False at the end of the file."""
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
