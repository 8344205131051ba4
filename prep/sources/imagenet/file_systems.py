"""The folders that ImageNet may lie in: on a disk, in a storage, or packed in one archive."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from prep.errors import SourceError
from prep.parsing import LARGEST
from prep.sources.archives.archive_layout import archive_kind, index_of
from prep.sources.folders.ignored import Passed
from prep.sources.folders.tree import Tree
from prep.sources.layouts.base import Place
from prep.storage.location import Location
from prep.text import quoted, reason_of

if TYPE_CHECKING:
    from prep.sources.archives.packed_folders import Packed, PackedListing


class FileSystem(Protocol):
    """Folders and files by their paths relative to a root; the root itself has an empty one."""

    @property
    def is_remote(self) -> bool:
        """True if listing a folder takes requests."""

    def at(self, path: str) -> str:
        """Return the absolute path or URL of a file or folder, which goes on within an archive."""

    def entries(self, path: str) -> Mapping[str, bool]:
        """Return the names in a folder, and whether each is a folder; raise SourceError."""

    def names(self, path: str) -> Iterable[str]:
        """Return the names in a folder; none if it is absent."""

    def head(self, path: str) -> bytes:
        """Return the first bytes of a file; raise SourceError if it can't be read."""

    def read(self, path: str) -> bytes:
        """Return the contents of a small file; raise SourceError if it can't be read."""

    def tree(self, extensions: frozenset[bytes]) -> Tree:
        """Return the tree of all folders, with files of some extensions as images."""

    def passed(self) -> Passed:
        """Return what no folder lists, but is there: members of an archive that are no files."""

    def outside(self) -> Passed:
        """Return the names that lead out of an archive."""


class FolderFileSystem:
    """A folder on a disk or in a storage."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._listed: dict[str, Mapping[str, bool]] = {"": place.entries}

    @property
    def is_remote(self) -> bool:
        return self._place.location.is_remote

    def at(self, path: str) -> str:
        return os.path.join(self._place.name, path) if path else self._place.name

    def entries(self, path: str) -> Mapping[str, bool]:
        if path not in self._listed:
            place = Place(name=self.at(path), location=self._location(path), is_folder=True)
            self._listed[path] = place.entries
        return self._listed[path]

    def names(self, path: str) -> Iterable[str]:
        return self._location(path).names()

    def head(self, path: str) -> bytes:
        return Place.at(self.at(path)).head

    def read(self, path: str) -> bytes:
        file = self._location(path)
        try:
            return file.read_at_most(LARGEST)
        except (OSError, ValueError) as error:
            if isinstance(error, OSError):
                file.require_answer(error, "source: can't read a file of labels")
            raise SourceError(
                f"source: {quoted(self.at(path))} can't be read: {reason_of(error)}"
            ) from None

    def tree(self, extensions: frozenset[bytes]) -> Tree:
        return Tree(self._place.name, extensions)

    def passed(self) -> Passed:
        return Passed()

    def outside(self) -> Passed:
        return Passed()

    def _location(self, path: str) -> Location:
        return self._place.location / path if path else self._place.location


class ArchiveFileSystem:
    """The folders and files in a tar or zip file."""

    is_remote = False

    def __init__(self, place: Place) -> None:
        self._place = place

    @staticmethod
    def may_hold(place: Place, hints: Iterable[bytes]) -> bool:
        """Return whether a file is an archive with one of some names among its first bytes."""
        return archive_kind(place.head) is not None and any(hint in place.head for hint in hints)

    def at(self, path: str) -> str:
        return os.path.join(self._place.name, path) if path else self._place.name

    def entries(self, path: str) -> Mapping[str, bool]:
        folder = self._tree.folder(os.fsencode(path))
        images = (os.path.basename(image) for image in folder.images)
        found = {os.fsdecode(name): False for name in (*images, *folder.files)}
        return found | {os.fsdecode(name): True for name in folder.folders}

    def names(self, path: str) -> Iterable[str]:
        return self.entries(path)

    def head(self, path: str) -> bytes:
        return b""  # A tar in an archive is a folder of it.

    def read(self, path: str) -> bytes:
        return self._tree.read(os.fsencode(path))

    def tree(self, extensions: frozenset[bytes]) -> Tree:
        return Tree(self._place.name, extensions, self._listing)

    def passed(self) -> Passed:
        return self._packed.passed()

    def outside(self) -> Passed:
        return self._packed.outside()

    @cached_property
    def _packed(self) -> Packed:
        from prep.sources.archives.packed_folders import Packed  # It takes a while to load.

        location = self._place.location
        kind = archive_kind(self._place.head)
        assert kind is not None
        return Packed(
            file=os.fsencode(self._place.name),
            path=str(location),
            at=b"",
            members=index_of(location, kind),
        )

    @cached_property
    def _listing(self) -> PackedListing:
        from prep.sources.archives.packed_folders import PackedListing

        return PackedListing([self._packed])

    @cached_property
    def _tree(self) -> Tree:
        return Tree(self._place.name, listing=self._listing)
