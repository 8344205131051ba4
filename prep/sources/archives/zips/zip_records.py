"""The records of a zip file's central directory, by column.

The format is that of PKWARE's APPNOTE.TXT 6.3.10, sections 4.3.12 and 4.5.
"""

from __future__ import annotations

import os
import re
import struct
import zlib
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from prep.sources.archives.members import LONGEST_NAME
from prep.sources.archives.zips.central_directory import JOIN, RECORD_MARK, CentralDirectory
from prep.text import quoted

Numbers: TypeAlias = "npt.NDArray[np.int64]"

ENCRYPTED, DESCRIPTOR, UTF8 = 1 << 0, 1 << 3, 1 << 11  # Flags.
DOS, UNIX, NTFS, VFAT, MACOS = 0, 3, 10, 14, 19  # Systems that archives are made on.
# The fixed part of a record: where each value is, and its type.
_VALUES = {
    "system": (5, "u1"),
    "flags": (8, "<u2"),
    "method": (10, "<u2"),
    "checksum": (16, "<u4"),
    "packed": (20, "<u4"),
    "size": (24, "<u4"),
    "name_length": (28, "<u2"),
    "extra_length": (30, "<u2"),
    "disk": (34, "<u2"),
    "attributes": (38, "<u4"),
    "header": (42, "<u4"),
}
_FIXED = np.dtype(
    {
        "names": [*_VALUES],
        "offsets": [offset for offset, _ in _VALUES.values()],
        "formats": [form for _, form in _VALUES.values()],
        "itemsize": 46,
    }
)
_LENGTHS = struct.Struct("<3H")  # Of name, extra fields and comment, which follow the rest.
_LENGTHS_AT = 28
_FULL16, _FULL32 = 0xFFFF, 0xFFFFFFFF  # The value is in the zip64 field.
_ZIP64 = 0x0001
_UNICODE_PATH = 0x7075  # Info-ZIP's extra field, with the name in UTF-8.
_LARGEST = 1 << 60  # Of any number in an archive, so that sums of them are numbers, too.
_WRAP16, _WRAP32 = 1 << 16, 1 << 32
_UNUSUAL = re.compile(rb"[\\\x80-\xff]")


class Records:
    """The records of a directory, by column.

    Attributes:
        names: as paths: with slashes, and in UTF-8 if their encoding is known.
        name_lengths: of the names as they are stored, in bytes.
        systems: that they were made on.
        attributes: of the files, as their systems have them.
        flags, methods, checksums: what is said of the contents.
        packed, sizes: bytes of the contents, as they lie there and unpacked.
        headers: where the local headers begin in the file.
        extra_lengths: bytes of the extra fields.

    Raises:
        ValueError: the directory is damaged; the message says so in words.
    """

    def __init__(self, directory: CentralDirectory) -> None:
        self._data = data = directory.data
        self._starts = _starts(directory)
        fixed = _fixed(data, self._starts)
        self.name_lengths = fixed["name_length"].astype(np.int64)
        self.extra_lengths = fixed["extra_length"].astype(np.int64)
        self.systems, self.flags, self.methods = fixed["system"], fixed["flags"], fixed["method"]
        self.attributes = fixed["attributes"]
        self.checksums = fixed["checksum"].astype(np.int64)
        self.packed = fixed["packed"].astype(np.int64)
        self.sizes = fixed["size"].astype(np.int64)
        self.headers = fixed["header"].astype(np.int64)
        self._complete(fixed["disk"])
        self.headers = _in_file(self.headers, directory.prefix)
        self.names = [*map(self._name, range(len(fixed)))]
        long = self.name_lengths > LONGEST_NAME
        if long.any():
            number = int(long.argmax())
            raise ValueError(
                f"has the name {self.quoted(number)} of {self.name_lengths[number]:,} bytes; "
                f"expected at most {LONGEST_NAME:,}; give it another in the archive"
            )
        beyond = self.headers + self.packed > directory.start
        if beyond.any():
            raise ValueError(f"is damaged: {self.quoted(int(beyond.argmax()))} lies beyond its end")

    def quoted(self, number: int) -> str:
        """Return the name of a member for messages."""
        return quoted(os.fsdecode(self.names[number]))

    def _complete(self, disks: npt.NDArray[np.uint16]) -> None:
        """Take from zip64 fields what has no room elsewhere."""
        if not np.isin(disks, (0, _FULL16)).all():
            raise ValueError(f"is one of several parts of an archive; {JOIN}")
        columns = (self.sizes, self.packed, self.headers)
        full = np.any([column == _FULL32 for column in columns], axis=0) | (disks == _FULL16)
        for number in np.flatnonzero(full).tolist():
            field = self._extra(number, _ZIP64)
            wide = [column for column in columns if column[number] == _FULL32]
            for position, column in enumerate(wide[: len(field) // 8]):
                (value,) = struct.unpack_from("<Q", field, 8 * position)
                column[number] = min(value, _LARGEST)

    def _name(self, number: int) -> bytes:
        at = self._starts[number] + _FIXED.itemsize
        name = self._data[at : at + int(self.name_lengths[number])]
        return self._path(number, name) if _UNUSUAL.search(name) else name

    def _path(self, number: int, name: bytes) -> bytes:
        """Return a name with slashes, in UTF-8 if its encoding is known.

        Without the flag, the format knows code page 437 alone. But programs on Unix and macOS write
        names as they are there, and so do some on Windows if the name is UTF-8.
        """
        system = self.systems[number]
        given = self._extra(number, _UNICODE_PATH)
        if given[:5] == b"\1" + zlib.crc32(name).to_bytes(4, "little") and _is_utf8(given[5:]):
            name = given[5:]
        elif system not in (UNIX, MACOS) and not self.flags[number] & UTF8 and not _is_utf8(name):
            name = name.decode("cp437").encode()
        if b"/" not in name and system in (DOS, NTFS, VFAT):
            name = name.replace(b"\\", b"/")
        return name

    def _extra(self, number: int, wanted: int) -> bytes:
        """Return an extra field of a record; nothing if it has none."""
        at = self._starts[number] + _FIXED.itemsize + int(self.name_lengths[number])
        stop = at + int(self.extra_lengths[number])
        while at + 4 <= stop:
            found, length = struct.unpack_from("<HH", self._data, at)
            at += 4 + length
            if found == wanted and at <= stop:
                return self._data[at - length : at]
        return b""


def _starts(directory: CentralDirectory) -> list[int]:
    """Return where the records begin."""
    data, lengths = directory.data, _LENGTHS.unpack_from
    starts, at, fixed = list[int](), 0, _FIXED.itemsize
    last = len(data) - fixed
    while at <= last and data.startswith(RECORD_MARK, at):
        starts.append(at)
        name, extra, comment = lengths(data, at + _LENGTHS_AT)
        at += fixed + name + extra + comment
    if at != len(data):
        raise ValueError(f"is damaged: its directory breaks off at byte {directory.start + at:,}")
    if (len(starts) - directory.count) % _WRAP16:
        raise ValueError(
            f"is damaged: its directory lists {len(starts):,} files instead of {directory.count:,}"
        )
    return starts


def _fixed(data: bytes, starts: list[int]) -> npt.NDArray[np.void]:
    """Return the fixed part of each record, as one structured array."""
    if not starts:
        return np.empty(0, _FIXED)
    windows = np.lib.stride_tricks.sliding_window_view(
        np.frombuffer(data, np.uint8), _FIXED.itemsize
    )
    return windows[starts].reshape(-1).view(_FIXED)


def _in_file(headers: Numbers, prefix: int) -> Numbers:
    """Return where headers are in the file, from where they are in the archive.

    Programs that know no zip64, such as macOS's Archive Utility, leave the upper bits out.
    """
    if prefix and prefix % _WRAP32 == 0 and len(headers):
        wraps: Numbers = np.cumsum(np.append(0, np.diff(headers) < 0))
        if wraps[-1] <= prefix // _WRAP32:
            headers, prefix = headers + wraps * _WRAP32, 0
    absolute: Numbers = headers + prefix
    return absolute


def _is_utf8(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True
