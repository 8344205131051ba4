"""Where the images of a table are: the offsets of entries that are read by their rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple
from zlib import crc32

import numpy as np
import numpy.typing as npt

from prep.sources.base import How

# An offset holds the row in its lower 32 bits, then the group, then the column of the images.
_ROW_BITS, _GROUP_BITS = 32, 20
MOST_GROUPS, MOST_COLUMNS = 1 << _GROUP_BITS, 1 << 11


class GroupPlace(NamedTuple):
    """A group of rows: the number of the column of images in its file, and that of the group."""

    column: int
    group: int

    @classmethod
    def of(cls, offset: int) -> GroupPlace:
        """Return the group of an image, by the offset of its entry.

        >>> GroupPlace.of(GroupPlace(3, 7).offset(9))
        GroupPlace(column=3, group=7)
        """
        above = offset >> _ROW_BITS
        return cls(above >> _GROUP_BITS, above & MOST_GROUPS - 1)

    def offset(self, row: int) -> int:
        """Return the offset of the entry of a row."""
        return (self.column << _GROUP_BITS | self.group) << _ROW_BITS | row


def row_of(offset: int) -> int:
    """Return the row within its group, by the offset of an entry."""
    return offset & (1 << _ROW_BITS) - 1


def offsets_of(place: GroupPlace, rows: int) -> npt.NDArray[np.int64]:
    """Return the offsets of the entries of all rows of a group."""
    return place.offset(0) + np.arange(rows, dtype=np.int64)


def units_of(offsets: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return a number for each offset that the rows of a group share, within their file."""
    return offsets >> _ROW_BITS


def group_mark(*numbers: int) -> int:
    """Return 32 bits that change with numbers that describe a group: its rows, place and bytes."""
    return crc32(b" ".join(b"%d" % number for number in numbers))


@dataclass(frozen=True, slots=True, kw_only=True)
class TablePlaces:
    """Where the images of one table are, a row each.

    Attributes:
        offsets: int64; of bytes in the file, or of entries that are read by their rows.
        sizes: int64; in bytes; of rows, the mean of their group, which is known without reading.
        marks: int64; see :func:`prep.sources.archives.members.mark`.
        how: how all of them lie there.
        absent: how many rows have no image, as far as is known without reading them.
        groups: how many groups of rows there are.
        largest: bytes of the largest group that has to be read whole.
    """

    offsets: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]
    marks: npt.NDArray[np.int64]
    how: How
    absent: int
    groups: int
    largest: int
