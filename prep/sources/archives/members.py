"""The index of an archive: a row for each member that is a file, with its place in the archive."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from zlib import crc32

import numpy as np
import numpy.typing as npt

from prep.sources.folders.ignored import Passed
from prep.storage.location import TIME_UNITS, Stamp

#: Why a member is passed over.
REPLACED = "replaced by a later member of the same name"
BROKEN = "broken link"
LINK_OUT = "link out of the archive"
LINK_TO_FOLDER = "link to a folder that is read already"
#: Bytes that the name of a member may have, as a path may on Linux. Each folder in a longer one
#: would be listed, which may take more memory than there is.
LONGEST_NAME = 4096
#: Links that are followed one after another, as many as Linux does; a longer chain is broken.
MOST_LINKS = 40
#: The ``contents`` of a :func:`mark` of which only the archive's part is compared.
UNCHECKED = 0
_SECOND = 1_000_000_000  # nanoseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Members:
    """The files in an archive, in the order in which they lie there; columns of one length.

    Attributes:
        names: their paths in the archive, as bytes: no leading ``./`` or ``/``, no empty part, no
            ``..``. A member of an archive in the archive is below the name of that one:
            ``n01440764.tar/x.JPEG``.
        offsets: int64; where the bytes begin in the outermost file.
        sizes: int64; how many bytes lie there.
        marks: int64; what changes with the contents: see :func:`mark`.
        hows: uint8; positions in ``base.HOWS``.
        passed: what is no file, or was replaced by a later member of the same name; by reason.
        outside: names that lead out of the archive, as they are written.
    """

    names: list[bytes]
    offsets: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]
    marks: npt.NDArray[np.int64]
    hows: npt.NDArray[np.uint8]
    passed: Passed = field(default_factory=Passed)
    outside: tuple[bytes, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    def marked_as_of(self, archive: Stamp) -> Members:
        """Return the same members with marks of another archive, which these were unpacked from."""
        return replace(self, marks=marks_of(contents_of_each(self.marks), archive))


def mark(contents: int, archive: Stamp) -> int:
    """Return what takes the place of a file's time in the stamp of a member.

    Args:
        contents: 32 bits that change with the contents: of a tar, the CRC-32C of the header of 512
            bytes before them; of a zip, the CRC-32 of the unpacked contents; or ``UNCHECKED``.
        archive: the stamp of the archive.

    Returns:
        ``contents`` in the upper 32 of 64 bits, and those of the archive in the lower; signed.
    """
    value = (contents & 0xFFFFFFFF) << 32 | archive_bits(archive)
    return value - (1 << 64) if value >> 63 else value


def marks_of(contents: npt.NDArray[np.int64], archive: Stamp) -> npt.NDArray[np.int64]:
    """Return the :func:`mark` of each of many contents."""
    upper = contents.astype(np.uint64) << np.uint64(32)
    return (upper | np.uint64(archive_bits(archive))).view(np.int64)


def archive_bits(archive: Stamp) -> int:
    """Return 32 bits that change with the archive: 16 with its size and second, 16 with the rest.

    So they can be compared where another host sees the time in a coarser unit; see
    :meth:`prep.storage.location.Stamp.require`.
    """
    seconds, fraction = divmod(archive.mtime, _SECOND)
    return _hashed(archive.size, seconds) << 16 | _hashed(fraction, 0)


@lru_cache(maxsize=256)
def _possible_bits(archive: Stamp) -> frozenset[int] | int:
    """Return all bits that an archive may have been listed with; the upper 16 if any will do."""
    fraction = archive.mtime % _SECOND
    bits = archive_bits(archive)
    if any(fraction % unit == 0 for unit in TIME_UNITS):
        return bits >> 16
    known = (fraction, *(fraction // unit * unit for unit in TIME_UNITS))
    return frozenset(bits & ~0xFFFF | _hashed(each, 0) for each in known)


def is_of(mark: int, archive: Stamp) -> bool:
    """Return whether a mark was made of an archive with this stamp, be its time in other units."""
    possible = _possible_bits(archive)
    bits = mark & 0xFFFFFFFF
    return bits >> 16 == possible if isinstance(possible, int) else bits in possible


def _hashed(*numbers: int) -> int:
    return crc32(b"%d %d" % numbers) & 0xFFFF


def contents_of(mark: int) -> int:
    """Return the ``contents`` that a mark was made of."""
    return mark >> 32 & 0xFFFFFFFF


def contents_of_each(marks: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the ``contents`` that each of many marks was made of."""
    return marks >> 32 & 0xFFFFFFFF


def folders_above(names: Iterable[bytes]) -> set[bytes]:
    """Return the folders that some paths are in, and all above them; an empty path is the top.

    >>> sorted(folders_above([b"a/b/c.jpg", b"a/d.jpg"]))
    [b'', b'a', b'a/b']
    """
    found: set[bytes] = {b""}
    for name in names:
        folder = name.rpartition(b"/")[0]
        while folder not in found:
            found.add(folder)
            folder = folder.rpartition(b"/")[0]
    return found


def path_within(name: bytes) -> bytes | None:
    """Return a name without needless parts; None if it leads out of the archive.

    >>> path_within(b"./a//b.jpg"), path_within(b"/a/../b.jpg"), path_within(b"a/../../b.jpg")
    (b'a/b.jpg', b'b.jpg', None)
    """
    parts: list[bytes] = []
    for part in name.split(b"/"):
        if part == b"..":
            if not parts:
                return None
            parts.pop()
        elif part not in (b"", b"."):
            parts.append(part)
    return b"/".join(parts)
