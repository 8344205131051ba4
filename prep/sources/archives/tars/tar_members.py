"""Members of a tar file as they would lie in a folder: names, links, and the last of each name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from prep.sources.archives.members import (
    BROKEN,
    LINK_OUT,
    LINK_TO_FOLDER,
    MOST_LINKS,
    REPLACED,
    folders_above,
    path_within,
)
from prep.sources.archives.tars.tar_scan import RawMembers
from prep.sources.folders.ignored import Passed

_CHUNK = 4096  # names that are looked at together
# A part of a path that is empty, ``.`` or ``..``; paths are separated by NUL.
_ODD = re.compile(rb"[/\0]\.{0,2}[/\0]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Files in a tar file; see :class:`prep.sources.archives.members.Members`.

    Attributes:
        checksums: int64; CRC-32C of the header before the contents.
    """

    names: list[bytes]
    offsets: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]
    checksums: npt.NDArray[np.int64]
    passed: Passed = field(default_factory=Passed)
    outside: tuple[bytes, ...] = ()

    def below(self, prefix: bytes) -> Found:
        """Return the same files with a prefix to their names."""
        if not prefix:
            return self
        return replace(
            self,
            names=[prefix + name for name in self.names],
            passed=self.passed.below(prefix),
            outside=tuple(prefix + name for name in self.outside),
        )

    def spliced(self, inner: Iterable[tuple[int, Found]]) -> Found:
        """Return these files, with some replaced by those that lie in them.

        Args:
            inner: rows in their order, and the files in each.
        """
        pieces: list[Found] = []
        begin = 0
        for row, found in inner:
            pieces += [self._rows(begin, row), found]
            begin = row + 1
        pieces.append(self._rows(begin, len(self.names)))
        passed = Passed()
        for each in (self, *pieces[1::2]):
            passed.add(each.passed)
        return Found(
            names=[name for piece in pieces for name in piece.names],
            offsets=np.concatenate([piece.offsets for piece in pieces]),
            sizes=np.concatenate([piece.sizes for piece in pieces]),
            checksums=np.concatenate([piece.checksums for piece in pieces]),
            passed=passed,
            outside=self.outside + tuple(n for piece in pieces[1::2] for n in piece.outside),
        )

    def _rows(self, begin: int, end: int) -> Found:
        rows = slice(begin, end)
        return Found(
            names=self.names[rows],
            offsets=self.offsets[rows],
            sizes=self.sizes[rows],
            checksums=self.checksums[rows],
        )


def settle(raw: RawMembers) -> Found:
    """Return the files that unpacking a tar file would leave.

    The last member of a name wins. A hard link is the member of that name before it, a symbolic one
    that of the name at the end. Names that lead out are kept apart.
    """
    passed = Passed()
    passed.add(raw.passed)
    names, outside = _normalized(raw.names, passed)
    columns = (raw.offsets, raw.sizes, raw.checksums)
    offsets, sizes, checksums = (np.frombuffer(column, np.int64) for column in columns)
    if raw.links or b"" in names or not _are_unique(names):
        places = _places(raw, names, passed)
        rows = [*places.values()]
        names = [names[row] for row in places]
        offsets, sizes, checksums = offsets[rows], sizes[rows], checksums[rows]
    return Found(
        names=names,
        offsets=offsets,
        sizes=sizes,
        checksums=checksums,
        passed=passed,
        outside=tuple(outside),
    )


def _normalized(names: list[bytes], passed: Passed) -> tuple[list[bytes], list[bytes]]:
    """Return paths in the archive, empty for those that are none, and the names that lead out."""
    found: list[bytes] = []
    outside: list[bytes] = []
    for begin in range(0, len(names), _CHUNK):
        chunk = [n[2:] if n[:2] == b"./" else n for n in names[begin : begin + _CHUNK]]
        if _ODD.search(b"\0" + b"\0".join(chunk) + b"\0"):
            for row, name in enumerate(chunk):
                written = names[begin + row]
                path = path_within(name)
                if path is None:
                    outside.append(written)
                elif not path and not written.endswith(b"/"):
                    passed.note("member without a name", written)
                chunk[row] = b"" if written.endswith(b"/") else path or b""  # None of a folder.
        found += chunk
    return found, outside


def _are_unique(names: list[bytes]) -> bool:
    # A set of them would take as much memory as they do.
    hashes = np.fromiter(map(hash, names), np.int64, len(names))
    hashes.sort()
    return not bool((hashes[1:] == hashes[:-1]).any())


def _places(raw: RawMembers, names: list[bytes], passed: Passed) -> dict[int, int]:
    """Return the rows of the files that remain, and for each the row that has its contents."""
    latest: dict[bytes, int] = {}
    hard: dict[int, int | None] = {}
    for row, name in enumerate(names):
        if not name:
            continue
        link = _link_of(raw, row)
        if link is not None and not link[1]:
            to = latest.get(path_within(link[0]) or b"")
            hard[row] = hard.get(to, to) if to is not None else None
        if name in latest:
            passed.note(REPLACED, name)
        latest[name] = row
    follow = _Links(raw, names, latest, hard)
    places: dict[int, int] = {}
    for row in sorted(latest.values()):
        found = follow(row)
        if isinstance(found, str):
            passed.note(found, names[row])
        else:
            places[row] = found
    return places


def _link_of(raw: RawMembers, row: int) -> tuple[bytes, bool] | None:
    offset = raw.offsets[row]
    return None if offset >= 0 else raw.links[-1 - offset]


@dataclass(slots=True)
class _Links:
    """Follows links.

    Attributes:
        latest: the last row of each name.
        hard: the row that a hard link leads to, if there is one.
    """

    raw: RawMembers
    names: list[bytes]
    latest: dict[bytes, int]
    hard: dict[int, int | None]
    _folders: set[bytes] | None = None

    def __call__(self, row: int) -> int | str:
        """Return the row with the contents that a row leads to, or why there is none."""
        seen: set[int] = set()
        while row not in seen and len(seen) <= MOST_LINKS:
            seen.add(row)
            to = self.hard.get(row, row)
            if to is None:
                return self._why_not(path_within(self.raw.links[-1 - self.raw.offsets[row]][0]))
            link = _link_of(self.raw, to)
            if link is None:
                return to
            beside = self.names[to].rpartition(b"/")[0]
            path = None if link[0].startswith(b"/") else path_within(beside + b"/" + link[0])
            if path not in self.latest:
                return self._why_not(path)
            row = self.latest[path]
        return BROKEN

    def _why_not(self, path: bytes | None) -> str:
        if path is None:
            return LINK_OUT
        if self._folders is None:
            self._folders = folders_above(self.latest)
        return LINK_TO_FOLDER if path in self._folders else BROKEN
