"""Headers of members of a tar file: ustar, GNU, pax and older ones.

Formats: https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html and
https://www.gnu.org/software/tar/manual/html_node/Standard.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from zlib import adler32

#: Bytes of a header; members begin at a multiple of it.
BLOCK = 512
ZEROS = bytes(BLOCK)
#: Bytes that the names and attributes of one member may take.
LARGEST_EXTENSION = 8 << 20  # 8 MiB
_MOST_DIGITS = 20
FILES = frozenset(b"0\0007")
LINK, SYMLINK, FOLDER = b"125"
#: The types of headers that tell more of the member after them, or of all (``g``).
EXTENSIONS = frozenset(b"LKxXg")


class TarHeader(NamedTuple):
    """A member, as its header and extended headers tell.

    Attributes:
        kind: the byte of its type; see POSIX.
        name: as it is written.
        size: bytes of its contents, of a file.
        link: the name that a link refers to.
    """

    kind: int
    name: bytes
    size: int
    link: bytes


def number_in(field: bytes) -> int:
    """Return the number in a field: octal digits, or in GNU's base 256.

    Raises:
        ValueError: it is none.
    """
    digits = field.rstrip(b"\0 ")  # As most are written.
    if digits.isdigit():
        return int(digits, 8)
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    if field[0] == 0xFF:
        return int.from_bytes(field, "big", signed=True)
    return int(text_in(field).strip() or b"0", 8)


def text_in(field: bytes) -> bytes:
    """Return the text in a field, which ends with it or at a NUL."""
    return field.partition(b"\0")[0]


def has_checksum(header: bytes) -> bool:
    """Return whether a block of 512 bytes is a header, by its checksum."""
    try:
        told = number_in(header[148:156])
    except ValueError:
        return False
    # The lower half of Adler-32 is 1 and the sum of the bytes, if that is not very large.
    if told - 255 == adler32(header[156:], adler32(header[:148])) & 0xFFFF:
        return True
    rest = header[:148] + header[156:]
    plain = sum(rest) + 8 * ord(" ")
    # Some old programs took the bytes for signed ones.
    return told in (plain, plain - 256 * sum(byte > 127 for byte in rest))


def parse_header(header: bytes, told: Mapping[bytes, bytes]) -> TarHeader:
    """Return what a header tells, with what extensions have told of its member.

    Args:
        header: 512 bytes with the right checksum.
        told: the values of ``path``, ``linkpath`` and ``size``, if they were told.

    Raises:
        ValueError: its size is malformed.
    """
    kind = header[156]
    name = told.get(b"path") or _name_in(header)
    size = size_in(header) if not told.get(b"size") else _decimal(told[b"size"])
    if kind in FILES and name.endswith(b"/"):  # Before ustar, folders had no type.
        kind = FOLDER
    return TarHeader(kind, text_in(name), size, text_in(told.get(b"linkpath") or header[157:257]))


def size_in(header: bytes) -> int:
    """Return the size that a header tells; raise ValueError if it is malformed."""
    try:
        size = number_in(header[124:136])
    except ValueError:
        size = -1
    if size < 0:
        raise ValueError("a malformed size")
    return size


def _decimal(digits: bytes) -> int:
    if not digits.isdigit() or len(digits) > _MOST_DIGITS:
        raise ValueError("a malformed size")
    return int(digits)


def _name_in(header: bytes) -> bytes:
    name = text_in(header[:100])
    if header[257:263] != b"ustar\0":  # GNU's has times there, and the oldest nothing.
        return name
    prefix = text_in(header[345:476] if header[508:] == b"tar\0" else header[345:500])
    return prefix + b"/" + name if prefix else name


def pax_records(data: bytes) -> dict[bytes, bytes]:
    """Return the records of an extended header of pax, by key.

    Raises:
        ValueError: they are malformed; the message is one line.
    """
    found = {}
    at = 0
    while at < len(data) and data[at]:
        digits, blank, _ = data[at : at + 20].partition(b" ")
        end = at + int(digits) if blank and digits.isdigit() else 0
        key, equals, value = data[at + len(digits) + 1 : end - 1].partition(b"=")
        if not at < end <= len(data) or not equals or data[end - 1] != ord("\n"):
            raise ValueError(f"a malformed record in its extended header, at byte {at}")
        found[key] = value
        at = end
    return found
