"""Listings of folders: the interface that a tree reads, and the one of disks and storages."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

from prep.sources.folders.plain_folders import (
    PlainFolder,
    read_plain_folder,
    read_plain_folders,
)
from prep.storage.location import Location, Status

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class StoredEntry(NamedTuple):
    """A file or folder in a storage or an archive, and what its listing says of it.

    Its name is empty where keys of an object store have an empty part (``folder//image``): no path
    leads to what lies there.
    """

    name: bytes
    status: Status

    def is_dir(self) -> bool:
        return self.status.is_folder

    def is_symlink(self) -> bool:
        return False  # No storage tells of them.

    def stat(self) -> Status:
        return self.status


class PackedFiles(NamedTuple):
    """The files in one folder of an archive, in any order; columns of one length.

    Attributes:
        archive: the file that holds them, as the source names it.
        names: relative to the folder.
        sizes, marks, offsets, hows: as in :class:`prep.sources.archives.members.Members`.
    """

    archive: bytes
    names: list[bytes]
    sizes: npt.NDArray[np.int64]
    marks: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]
    hows: npt.NDArray[np.uint8]


Entry: TypeAlias = "os.DirEntry[bytes] | StoredEntry"

_FEW = 8  # folders for which no process is started
_MOST_PROCESSES = 8


class Listing(Protocol):
    """Lists folders by their path in a source; files in an archive are in folders, too."""

    def entries(self, folder: bytes) -> Iterable[Entry]:
        """Return what is in a folder, but for ``packed``; raise OSError if it can't be listed."""

    def plain(
        self, folders: Sequence[bytes], extensions: Collection[bytes]
    ) -> Iterator[PlainFolder | None]:
        """Yield the contents of each folder; None for one that is to be listed by ``entries``.

        Args:
            extensions: of the files that are images, in lower case.
        """

    def packed(self, folder: bytes) -> PackedFiles | None:
        """Return the files in a folder that is in an archive, or is one; None for any other."""

    def prepare(self, folders: Sequence[bytes]) -> None:
        """List folders that will be asked for next, if that takes requests."""

    def real(self, folder: bytes) -> bytes:
        """Return the path of a folder with all links followed."""

    def is_archive(self, folder: bytes) -> bool:
        """Return whether a folder is an archive as a whole."""

    def read(self, file: bytes) -> bytes:
        """Return the contents of a file; raise OSError if it can't be read."""


class FolderListing:
    """Lists folders on a disk or in a storage, many at the same time.

    An object store gives a thousand names in an answer, with size and time. So listing takes as
    many requests as there are thousands of objects, or folders, and never one an object.
    """

    def __init__(self, root: Location) -> None:
        self._root = root
        self._local = os.fsencode(root.local) if root.local else None
        self._known: dict[bytes, list[StoredEntry]] = {}

    def entries(self, folder: bytes) -> Iterator[Entry]:
        if self._local is not None:
            with os.scandir(os.path.join(self._local, folder)) as entries:
                yield from entries
        elif folder in self._known:
            yield from self._known.pop(folder)
        else:
            yield from self._list(folder)

    def prepare(self, folders: Sequence[bytes]) -> None:
        if self._local is None:
            missing = [folder for folder in folders if folder not in self._known]
            found = self._root.each(self._list, missing)
            self._known.update(zip(missing, found, strict=True))

    def plain(
        self, folders: Sequence[bytes], extensions: Collection[bytes]
    ) -> Iterator[PlainFolder | None]:
        if self._local is None:
            yield from [None] * len(folders)
            return
        paths = [os.path.join(self._local, folder) for folder in folders]
        if len(paths) < _FEW:
            yield from (read_plain_folder(path, extensions) for path in paths)
            return
        processes = min(max(2, os.cpu_count() or 1), _MOST_PROCESSES)
        yield from read_plain_folders(paths, extensions, processes)

    def real(self, folder: bytes) -> bytes:
        if self._local is None:
            return folder
        path = os.path.join(self._local, folder)
        try:
            return os.path.realpath(path)
        except OSError:  # It has just vanished, say: whoever lists it is told.
            return path

    def packed(self, folder: bytes) -> None:
        return None

    def is_archive(self, folder: bytes) -> bool:
        return False

    def read(self, file: bytes) -> bytes:
        return self.place(file).read_patiently()

    def place(self, file: bytes) -> Location:
        """Return the location of a file or folder."""
        return self._root / os.fsdecode(file) if file else self._root

    def _list(self, folder: bytes) -> list[StoredEntry]:
        listed = self.place(folder).listed()
        return [StoredEntry(os.fsencode(name), status) for name, status in listed]
