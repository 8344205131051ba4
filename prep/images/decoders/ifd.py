"""Image file directories (IFDs): the tags of TIFF, and of Exif, which has the same structure.

Formats: TIFF 6.0, section 2; BigTIFF; Exif 2.3 (CIPA DC-008), section 4.6. Values are read when
they are asked for, and never beyond the end of the data.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

ORIENTATION = 0x0112
_EXIF = b"Exif\0\0"
_MOST_TAGS = 4096  # Real directories hold some dozens.
_MOST_VALUES = 1 << 20  # of one tag; the largest images have fewer strips or tiles
_INTEGERS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q"}


class _Layout(NamedTuple):
    """The byte order of directories, and the widths of counts and offsets."""

    order: str
    number: struct.Struct  # of entries
    entry: struct.Struct  # tag, type, number of values
    offset: struct.Struct
    first: int  # position of the offset of the first directory


def _layout(order: str, number: str, offset: str, first: int) -> _Layout:
    number_, entry, offset_ = (
        struct.Struct(order + form) for form in (number, "HH" + offset, offset)
    )
    return _Layout(order, number_, entry, offset_, first)


_LAYOUTS = {
    b"II*\0": _layout("<", "H", "I", 4),
    b"MM\0*": _layout(">", "H", "I", 4),
    b"II+\0": _layout("<", "Q", "Q", 8),
    b"MM\0+": _layout(">", "Q", "Q", 8),
}


class Directory:
    """A directory, whose values are read when they are asked for.

    Attributes:
        at: its offset in the file.
        next: the offset of the next directory; 0 after the last.
        order: ``<`` or ``>``, as in ``struct``.
        whole: whether none of its entries is cut off.
    """

    def __init__(self, data: bytes, layout: _Layout, at: int) -> None:
        self._data, self._layout = data, layout
        self.at, self.order, self.next, self.whole = at, layout.order, 0, True
        (count,) = layout.number.unpack_from(data, at)
        start, step = at + layout.number.size, layout.entry.size + layout.offset.size
        self._entries: dict[int, tuple[int, int, int]] = {}
        for where in range(start, start + step * min(count, _MOST_TAGS), step):
            if where + step > len(data):
                self.whole = False
                return
            tag, kind, number = layout.entry.unpack_from(data, where)
            self._entries.setdefault(tag, (kind, number, where + layout.entry.size))
        if start + step * count + layout.offset.size <= len(data):
            (self.next,) = layout.offset.unpack_from(data, start + step * count)

    def has(self, tag: int) -> bool:
        """Return whether the directory has a tag, whatever its value."""
        return tag in self._entries

    def integers(self, tag: int, default: Sequence[int] = ()) -> Sequence[int]:
        """Return the values of a tag; ``default`` if absent, cut off, too many, or no integers."""
        kind, number, where = self._entries.get(tag, (0, 0, 0))
        form = _INTEGERS.get(kind)
        if form is None or not 0 < number <= _MOST_VALUES:
            return default
        size = struct.calcsize(f"={form}") * number
        if size > self._layout.offset.size:
            (where,) = self._layout.offset.unpack_from(self._data, where)
        if where + size > len(self._data):
            return default
        values: tuple[int, ...] = struct.unpack_from(
            f"{self._layout.order}{number}{form}", self._data, where
        )
        return values

    def integer(self, tag: int, default: int = 0) -> int:
        """Return the first value of a tag."""
        return next(iter(self.integers(tag)), default)

    def place(self, tag: int) -> tuple[int, str]:
        """Return (offset, ``struct`` format) of a tag's only value; an empty format if none."""
        kind, number, where = self._entries.get(tag, (0, 0, 0))
        return where, _INTEGERS.get(kind, "") if number == 1 else ""

    def entry(self, tag: int) -> int:
        """Return the offset of the entry of a tag; it begins with the tag's number."""
        return self._entries[tag][2] - self._layout.entry.size

    @property
    def orientation(self) -> int:
        """Exif orientation, 1 to 8; 1 (upright) if absent or malformed."""
        value = self.integer(ORIENTATION, 1)
        return value if 1 <= value <= 8 else 1


def first_directory(data: bytes) -> Directory | None:
    """Return the first directory of a TIFF; None if it is absent or cut off."""
    try:
        layout = _LAYOUTS[data[:4]]
        (at,) = layout.offset.unpack_from(data, layout.first)
        return Directory(data, layout, at)
    except (KeyError, struct.error, OverflowError):
        return None


def next_directory(data: bytes, directory: Directory) -> Directory | None:
    """Return the directory after another one; None after the last, or if it is cut off."""
    try:
        return Directory(data, _LAYOUTS[data[:4]], directory.next) if directory.next else None
    except (struct.error, OverflowError):
        return None


def exif_orientation(exif: bytes) -> int:
    """Return the Exif orientation, 1 to 8, for any format; 1 (upright) if absent or malformed.

    Args:
        exif: with or without the identifier that precedes it in JPEG.
    """
    directory = first_directory(exif.removeprefix(_EXIF))
    return directory.orientation if directory else 1
