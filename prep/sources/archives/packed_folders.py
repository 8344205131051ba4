"""Listings of the folders in archives, and of folders that archives lie in."""

from __future__ import annotations

import errno
import os
import stat
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from prep.sources.archives.member_reading import read_member
from prep.sources.archives.members import Members
from prep.sources.base import HOWS, ImageEntry
from prep.sources.folders.ignored import Passed
from prep.sources.folders.listing import Entry, Listing, PackedFiles, StoredEntry
from prep.sources.folders.plain_folders import PlainFolder
from prep.sources.naming import UnpackedArchive
from prep.storage.location import Stamp, Status

_FOLDER = Status(stat.S_IFDIR, 0, 0)
_SUFFIXES = (b".tar", b".zip")


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """An archive, and its place among folders.

    Attributes:
        file: what the source calls it: a path relative to the source, an absolute path or a URL.
        path: where this process reads it.
        at: the path of the folder that it is taken for; empty if it is the source.
        members: its index.
        unpacked: the file that it was unpacked to, if it is compressed as a whole.
    """

    file: bytes
    path: str
    at: bytes
    members: Members
    unpacked: UnpackedArchive | None = None

    def passed(self) -> Passed:
        """Return what is in it, but is no file that can be read, or has no name of its own."""
        return self.members.passed.below(self.at)

    def outside(self) -> Passed:
        """Return names that lead out of it."""
        found = Passed()
        for name in self.members.outside:
            found.note("name that leads out of the archive", os.path.join(self.at, name))
        return found


class PackedListing:
    """Lists archives as if they were folders, with what is in them.

    Args:
        archives: the archives.
        around: lists the folders that they lie in; None if there is one archive, the source.
    """

    def __init__(self, archives: Sequence[Packed], around: Listing | None = None) -> None:
        self._around = around
        self._contents = {archive.at: _Contents(archive) for archive in archives}
        self._longest = max(archive.at.count(b"/") for archive in archives)

    def entries(self, folder: bytes) -> Iterator[Entry]:
        contents = self._contents_of(folder)
        if contents is not None:
            yield from contents.entries(folder)
        elif self._around is not None:
            for entry in self._around.entries(folder):
                is_archive = os.path.join(folder, entry.name) in self._contents
                yield StoredEntry(entry.name, _FOLDER) if is_archive else entry

    def prepare(self, folders: Sequence[bytes]) -> None:
        if self._around is not None:
            self._around.prepare([f for f in folders if self._contents_of(f) is None])

    def plain(
        self, folders: Sequence[bytes], extensions: Collection[bytes]
    ) -> Iterator[PlainFolder | None]:
        yield from [None] * len(folders)  # Any of them may hold an archive.

    def real(self, folder: bytes) -> bytes:
        if self._around is None or self._contents_of(folder) is not None:
            return folder
        return self._around.real(folder)

    def packed(self, folder: bytes) -> PackedFiles | None:
        contents = self._contents_of(folder)
        return contents.files(folder) if contents else None

    def is_archive(self, folder: bytes) -> bool:
        if folder in self._contents:
            return bool(folder)
        inside = self._contents_of(folder) is not None
        return inside and os.path.splitext(folder)[1].lower() in _SUFFIXES

    def read(self, file: bytes) -> bytes:
        contents = self._contents_of(os.path.dirname(file))
        if contents is not None:
            return contents.read(file)
        assert self._around is not None  # Else all is in one archive.
        return self._around.read(file)

    def _contents_of(self, folder: bytes) -> _Contents | None:
        """Return the archive that a folder is, or is in."""
        if self._around is None:
            return self._contents[b""]
        parts = folder.split(b"/")
        for number in range(1, min(len(parts), self._longest + 1) + 1):
            found = self._contents.get(b"/".join(parts[:number]))
            if found is not None:
                return found
        return None


class _Contents:
    """The members of an archive, by folder."""

    def __init__(self, archive: Packed) -> None:
        self.archive = archive
        self._rows, self._folders = _by_folder(archive.members.names)
        self._begin = len(archive.at) + 1 if archive.at else 0

    def entries(self, folder: bytes) -> Iterator[Entry]:
        for name in self._folders.get(folder[self._begin :], ()):
            yield StoredEntry(name, _FOLDER)

    def files(self, folder: bytes) -> PackedFiles:
        inner = folder[self._begin :]
        members, rows = self.archive.members, self._rows.get(inner, [])
        begin = len(inner) + 1 if inner else 0
        return PackedFiles(
            archive=self.archive.file,
            names=[members.names[row][begin:] for row in rows],
            sizes=members.sizes[rows],
            marks=members.marks[rows],
            offsets=members.offsets[rows],
            hows=members.hows[rows],
        )

    def read(self, file: bytes) -> bytes:
        members, name = self.archive.members, file[self._begin :]
        rows = self._rows.get(os.path.dirname(name), [])
        row = next((row for row in rows if members.names[row] == name), None)
        if row is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), file)
        stamp = Stamp(int(members.sizes[row]), int(members.marks[row]))
        how = HOWS[members.hows[row]]
        offset = int(members.offsets[row])
        entry = ImageEntry(file, "", stamp, self.archive.file, offset, how)
        return read_member(self.archive.path, entry, self.archive.unpacked is not None)


def _by_folder(
    names: Iterable[bytes],
) -> tuple[Mapping[bytes, list[int]], Mapping[bytes, list[bytes]]]:
    """Return the rows of the files in each folder, and the names of the folders in each."""
    rows = defaultdict[bytes, list[int]](list)
    for row, name in enumerate(names):
        rows[name.rpartition(b"/")[0]].append(row)
    folders = defaultdict[bytes, list[bytes]](list)
    known = {b""}
    for folder in [*rows]:
        while folder not in known:
            known.add(folder)
            folder, _, name = folder.rpartition(b"/")
            folders[folder].append(name)
    return rows, folders
