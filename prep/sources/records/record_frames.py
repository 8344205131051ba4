"""The frames of TFRecord files: a length, its checksum, the data, and their checksum.

Format: https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details
"""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Iterator
from typing import Literal

import google_crc32c

from prep.errors import SourceError
from prep.sources.archives.archive_bytes import Read
from prep.text import quoted

#: How a file of records is compressed as a whole; an empty text if it is not.
Packing = Literal["", "gzip", "zlib"]

#: Bytes before the data of a record: its length and the checksum of that; and after it.
HEADER, TRAILER = 12, 4
_MASK_DELTA = 0xA282EAD8
_EXAMPLE = 0x0A  # The first byte of a ``tf.train.Example``, and of a ``SequenceExample``.
_DAMAGED = "the file is damaged; get it again"
# Bytes that are kept from before a place, for marks are made of these; and read from there on: of
# small records many at once, and of large ones what stands before and after the image.
_BEFORE = 512
_SMALL, _AHEAD_OF_SMALL, _AHEAD = 32 << 10, 64 << 10, 4 << 10


def masked_crc(*pieces: bytes) -> int:
    """Return the CRC-32C, rotated right by 15 bits and offset, as TFRecord stores it."""
    crc = 0
    for piece in pieces:
        crc = google_crc32c.extend(crc, piece)
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFF_FFFF


def packing_of(head: bytes) -> Packing | None:
    """Return how a file is compressed that holds records with examples; None of other files.

    Args:
        head: its first bytes; a kilobyte is enough.
    """
    if _is_frame(head):
        return ""
    packings: tuple[tuple[Packing, int], ...] = (("gzip", 31), ("zlib", 15))
    for packing, wbits in packings:
        begin = b""
        with contextlib.suppress(zlib.error):
            begin = zlib.decompressobj(wbits=wbits).decompress(head, HEADER + 1)
        if _is_frame(begin):
            return packing
    return None


def _is_frame(head: bytes) -> bool:
    if len(head) <= HEADER or head[HEADER] != _EXAMPLE:
        return False
    return masked_crc(head[:8]) == int.from_bytes(head[8:HEADER], "little")


class RecordBytes:
    """The bytes of a file of records, of which only those around a place are read.

    Args:
        read: reads the file.
        size: of the file, in bytes.
        shown: the path of the file, for messages.
    """

    def __init__(self, read: Read, size: int, shown: str) -> None:
        self._read = read
        self._start, self._data = 0, b""
        self._ahead = _AHEAD
        self.size = size
        self.shown = shown

    def frames(self) -> Iterator[tuple[int, int]]:
        """Yield where the data of each record begin and end.

        Raises:
            SourceError: a length has a wrong checksum, or the file ends within a record.
        """
        begin = 0
        while begin < self.size:
            header = self.at(begin, HEADER)
            if len(header) < HEADER:
                raise self.error(begin, "the file ends within the header of a record")
            if masked_crc(header[:8]) != int.from_bytes(header[8:], "little"):
                raise self.error(begin, "the checksum of a record's length is wrong")
            length = int.from_bytes(header[:8], "little")
            end = begin + HEADER + length
            if end + TRAILER > self.size:
                raise self.error(begin, "the file ends within a record")
            self._ahead = _AHEAD_OF_SMALL if length < _SMALL else _AHEAD
            yield begin + HEADER, end
            begin = end + TRAILER

    def error(self, position: int, told: str) -> SourceError:
        """Return the error for a file with damage at some byte."""
        return SourceError(
            f"source: {quoted(self.shown)} can't be read at byte {position:,}: {told}; {_DAMAGED}"
        )

    def at(self, position: int, length: int) -> bytes:
        """Return some bytes; fewer where the file ends before."""
        at = position - self._start
        if at < 0 or at + length > len(self._data):
            at = self._load(position, length)
        return self._data[at : at + length]

    def varint(self, position: int) -> tuple[int, int]:
        """Return the number at a place, of 7 bits a byte, and where it ends.

        Raises:
            ValueError: it has more than 64 bits, or the file ends.
        """
        at = position - self._start
        if at < 0 or at + 10 > len(self._data):
            at = self._load(position, 10)
        data = self._data
        if at < len(data) and data[at] < 0x80:
            return data[at], position + 1
        value = 0
        for place, byte in enumerate(data[at : at + 10]):
            value |= (byte & 0x7F) << 7 * place
            if byte < 0x80:
                return value, position + place + 1
        raise ValueError("a malformed number")

    def _load(self, position: int, length: int) -> int:
        """Read what lies around a place; return where that is in it."""
        self._start = max(0, position - _BEFORE)
        before = position - self._start
        self._data = self._read(before + max(length, self._ahead), self._start)
        return before
