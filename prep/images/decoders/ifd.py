"""Image file directories: the tags of a TIFF, and of Exif, which is made like one.

Formats: TIFF 6.0, section 2; BigTIFF; Exif 2.3 (CIPA DC-008), section 4.6. Nothing is read but what
is asked for, and never more than there is.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

ORIENTATION = 0x0112
_EXIF = b"Exif\0\0"
_MOST_TAGS = 4096  # Real directories hold some dozens.
_MOST_VALUES = 1 << 20  # of a tag: the largest images have fewer strips or tiles
_INTEGERS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q"}


class _Layout(NamedTuple):
    """How directories are laid out: in which byte order, and how wide counts and offsets are."""

    order: str
    number: struct.Struct  # of entries
    entry: struct.Struct  # tag, type, how many values
    offset: struct.Struct
    first: int  # where the offset of the first directory is


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
        at: where it is.
        next: where the one after it is; 0 after the last.
        order: ``<`` or ``>``, as in ``struct``.
        whole: whether all of its entries are there.
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
        """Whether a tag is there, whatever it holds."""
        return tag in self._entries

    def integers(self, tag: int, default: Sequence[int] = ()) -> Sequence[int]:
        """The values of a tag; ``default``, if it is absent, cut off, endless, or no integers."""
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
        """The first value of a tag."""
        return next(iter(self.integers(tag)), default)

    def place(self, tag: int) -> tuple[int, str]:
        """(where the only value of a tag is, its form in ``struct``); an empty form if nowhere."""
        kind, number, where = self._entries.get(tag, (0, 0, 0))
        return where, _INTEGERS.get(kind, "") if number == 1 else ""

    def entry(self, tag: int) -> int:
        """Where the entry of a tag is that is there; it begins with the tag's number."""
        return self._entries[tag][2] - self._layout.entry.size

    @property
    def orientation(self) -> int:
        """1 to 8 as Exif counts; 1, upright, where it is absent or makes no sense."""
        value = self.integer(ORIENTATION, 1)
        return value if 1 <= value <= 8 else 1


def first_directory(data: bytes) -> Directory | None:
    """The first directory of a TIFF; None if there is none, or it is cut off."""
    layout = _LAYOUTS.get(data[:4])
    if layout is None:
        return None
    try:
        (at,) = layout.offset.unpack_from(data, layout.first)
        return Directory(data, layout, at)
    except (struct.error, OverflowError):
        return None


def next_directory(data: bytes, directory: Directory) -> Directory | None:
    """The directory after another one; None after the last, or if it is cut off."""
    try:
        return Directory(data, _LAYOUTS[data[:4]], directory.next) if directory.next else None
    except (struct.error, OverflowError):
        return None


def exif_orientation(exif: bytes) -> int:
    """The orientation, 1 to 8, that Exif tells of: one reading for all formats.

    Whatever integer holds it will do. Malformed metadata says nothing about the pixels: it counts
    as 1, upright.

    Args:
        exif: with or without the ``Exif`` mark that JPEG has before it.
    """
    directory = first_directory(exif.removeprefix(_EXIF))
    return directory.orientation if directory else 1
