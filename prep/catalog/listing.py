"""What lies in the folders of a source: asked folder by folder, or many folders at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from prep import storage
from prep.locations import RemotePath, Status, locate


class StatusLike(Protocol):
    """As far as a catalog looks at it."""

    @property
    def st_size(self) -> int: ...
    @property
    def st_mtime_ns(self) -> int: ...


class Entry(Protocol):
    """A file or a folder in a folder; ``os.DirEntry`` is one.

    Its name is empty where keys of an object store have an empty part (``folder//image``): no path
    leads to what lies there.
    """

    @property
    def name(self) -> bytes: ...
    def is_dir(self) -> bool: ...
    def is_symlink(self) -> bool: ...
    def stat(self) -> StatusLike: ...


class Listing(Protocol):
    """The folders of a source, by their path relative to it."""

    def entries(self, folder: bytes) -> Iterator[Entry]:
        """What is in a folder; raises OSError where it can't be listed."""

    def prepare(self, folders: Sequence[bytes]) -> None:
        """Says which folders will be asked for next."""

    def real(self, folder: bytes) -> bytes:
        """What a folder is called where links have been followed."""


def listing_of(source: str) -> Listing:
    """The listing of a source: a folder of this machine, or one in a storage."""
    place = locate(source)
    return (
        StoreListing(place) if isinstance(place, RemotePath) else LocalListing(os.fsencode(place))
    )


class LocalListing:
    """Folders of this machine, each listed when it is asked for."""

    def __init__(self, root: bytes) -> None:
        self._root = root

    def entries(self, folder: bytes) -> Iterator[os.DirEntry[bytes]]:
        with os.scandir(os.path.join(self._root, folder)) as entries:
            yield from entries

    def prepare(self, folders: Sequence[bytes]) -> None:
        pass

    def real(self, folder: bytes) -> bytes:
        path = os.path.join(self._root, folder)
        try:
            return os.path.realpath(path)
        except OSError:  # It has just vanished, say: whoever lists it is told.
            return path


class StoredEntry(NamedTuple):
    """A file or folder in a storage, and what its listing says of it."""

    name: bytes
    status: Status

    def is_dir(self) -> bool:
        return self.status.is_folder

    def is_symlink(self) -> bool:
        return False  # No storage tells of them.

    def stat(self) -> Status:
        return self.status


class StoreListing:
    """Folders in a storage, many of them listed at the same time.

    What was prepared is handed out once: whoever asks keeps it.

    An object store gives a thousand names in an answer, with size and time. So listing takes as
    many requests as there are thousands of objects, or folders, and never one an object.
    """

    def __init__(self, root: RemotePath) -> None:
        self._root = root
        self._known: dict[bytes, list[StoredEntry]] = {}

    def entries(self, folder: bytes) -> Iterator[StoredEntry]:
        if folder in self._known:
            yield from self._known.pop(folder)
        else:
            yield from self._list(folder)

    def real(self, folder: bytes) -> bytes:
        return folder

    def prepare(self, folders: Sequence[bytes]) -> None:
        missing = [folder for folder in folders if folder not in self._known]
        found = storage.each(self._list, missing, locate(self._root))
        self._known.update(zip(missing, found, strict=True))

    def _list(self, folder: bytes) -> list[StoredEntry]:
        place = self._root / os.fsdecode(folder) if folder else self._root
        listed = storage.listing_of(place)
        return [StoredEntry(os.fsencode(name), status) for name, status in listed]
