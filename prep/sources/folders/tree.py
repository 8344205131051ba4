"""The folders of a source, each read once; in a storage, many at the same time."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from prep.errors import SourceError
from prep.sources.folders.ignored import OTHER, Passed
from prep.sources.folders.names import EXTENSIONS, LABEL_MAP, SYSTEM_FOLDERS, is_document
from prep.storage.locate import locate
from prep.storage.location import Location, Status
from prep.text import quoted, reason_and_file


def require_images_folder(source: str) -> None:
    """Raise SourceError unless there is such a folder; StorageUnavailable if nobody answers."""
    place = locate(source)
    try:
        found = place.is_dir()
        absent = None if found else place.absent_bucket()
    except OSError as error:
        place.require_answer(error, "source: can't be opened")
        raise SourceError(f"source: can't be opened: {reason_and_file(error)}") from None
    if absent:
        raise SourceError(f"source: {quoted(source)}: {absent} does not exist; expected a bucket")
    if not found:
        raise SourceError(
            f"source: {quoted(source)} {_instead(place)}; expected a folder of images"
        )


def _instead(place: Location) -> str:
    """Say what there is in place of a folder."""
    if place.exists():
        return "is a file" if place.is_file() else "is not a folder"
    return "is a broken link" if place.is_symlink() else "does not exist"


class StoredEntry(NamedTuple):
    """A file or folder in a storage, and what its listing says of it.

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


Entry: TypeAlias = "os.DirEntry[bytes] | StoredEntry"


class Listing:
    """Lists the folders of a source, by their path in it; in a storage, many at the same time.

    An object store gives a thousand names in an answer, with size and time. So listing takes as
    many requests as there are thousands of objects, or folders, and never one an object.
    """

    def __init__(self, root: Location) -> None:
        self._root = root
        self._local = os.fsencode(root.local) if root.local else None
        self._known: dict[bytes, list[StoredEntry]] = {}

    def entries(self, folder: bytes) -> Iterator[Entry]:
        """Yield what is in a folder; raise OSError if it can't be listed."""
        if self._local is not None:
            with os.scandir(os.path.join(self._local, folder)) as entries:
                yield from entries
        elif folder in self._known:
            yield from self._known.pop(folder)
        else:
            yield from self._list(folder)

    def prepare(self, folders: Sequence[bytes]) -> None:
        """List folders that will be asked for next, if that takes requests."""
        if self._local is None:
            missing = [folder for folder in folders if folder not in self._known]
            found = self._root.each(self._list, missing)
            self._known.update(zip(missing, found, strict=True))

    def real(self, folder: bytes) -> bytes:
        """Return the path of a folder with all links followed."""
        if self._local is None:
            return folder
        path = os.path.join(self._local, folder)
        try:
            return os.path.realpath(path)
        except OSError:  # It has just vanished, say: whoever lists it is told.
            return path

    def _list(self, folder: bytes) -> list[StoredEntry]:
        place = self._root / os.fsdecode(folder) if folder else self._root
        listed = place.listed()
        return [StoredEntry(os.fsencode(name), status) for name, status in listed]


@dataclass(slots=True, kw_only=True)
class Folder:
    """The contents of a folder, by name.

    Attributes:
        path: relative to the root; so are those of its images.
        images: files that are named like images, with ``sizes`` in bytes and ``mtimes`` in ns:
            zeros for a link that leads nowhere, which is refused when it is read.
        folders: names of the folders in it.
        broken: names of links that lead nowhere, and might have led to a folder.
        files: names of other files.
        passed: what of all that is no part of the set, wherever this folder belongs.
    """

    path: bytes
    images: list[bytes] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    mtimes: list[int] = field(default_factory=list)
    folders: list[bytes] = field(default_factory=list)
    broken: list[bytes] = field(default_factory=list)
    files: list[bytes] = field(default_factory=list)
    passed: Passed = field(default_factory=Passed)

    def below(self) -> list[bytes]:
        """Return the paths of the folders in it."""
        return [os.path.join(self.path, name) for name in self.folders]


class Tree:
    """The folders below a root.

    Names are handled as bytes, for on Linux they need not be text.
    """

    def __init__(self, source: str, extensions: frozenset[bytes] = EXTENSIONS) -> None:
        self.source = source
        self._listing = Listing(locate(source))
        self._extensions = extensions
        self._read: dict[bytes, Folder] = {}

    def folder(self, path: bytes) -> Folder:
        """Read a folder, unless it was read before."""
        if path not in self._read:
            self._read[path] = self._list_whole(path)
        return self._read[path]

    def folders(self, paths: Sequence[bytes]) -> list[Folder]:
        """Read some folders, all at the same time where that is faster."""
        self.prepare([path for path in paths if path not in self._read])
        return [self.folder(path) for path in paths]

    def holds_images(self, path: bytes) -> bool:
        """Return whether images lie in a folder; read no more of it than necessary."""
        if path in self._read:
            return bool(self._read[path].images)
        return any(
            not entry.name.startswith(b".") and self._is_image(entry) for entry in self._list(path)
        )

    def real(self, path: bytes) -> bytes:
        """Return the path of a folder with all links followed."""
        return self._listing.real(path)

    def walk(self, path: bytes, seen: set[bytes]) -> Iterator[Folder]:
        """Read a folder and all below it, but for those that were ``seen``, by their real names."""
        paths = [path]
        while paths:
            new = []
            for path in paths:
                real = self.real(path)
                if real not in seen:
                    seen.add(real)
                    new.append(path)
            found = self.folders(new)
            yield from found
            paths = [path for folder in found for path in folder.below()]

    def prepare(self, paths: Sequence[bytes]) -> None:
        """Announce which folders will be read next."""
        try:
            self._listing.prepare(paths)
        except OSError as error:
            raise self._not_listed(error) from None

    def _list(self, path: bytes) -> Iterator[Entry]:
        try:
            yield from self._listing.entries(path)
        except OSError as error:
            raise self._not_listed(error) from None

    def _not_listed(self, error: OSError) -> SourceError:
        what = "source: can't list a folder"
        locate(self.source).require_answer(error, what)
        return SourceError(f"{what}: {reason_and_file(error)}")

    def _list_whole(self, path: bytes) -> Folder:
        folder = Folder(path=path)
        images = []
        for entry in self._list(path):
            name = entry.name
            if name.startswith(b"."):
                folder.passed.note("hidden", os.path.join(path, name))
            elif not name:
                folder.passed.note("folder without a name", path + b"//")
            elif self._is_image(entry):
                images.append(entry)
            elif not _is_folder(entry):
                _add_file(folder, entry)
            elif name in SYSTEM_FOLDERS:
                folder.passed.note("folder of a system", os.path.join(path, name))
            else:
                folder.folders.append(name)
        _add_images(folder, images)
        for names in (folder.folders, folder.broken, folder.files):
            names.sort()
        return folder

    def _is_image(self, entry: Entry) -> bool:
        """Return whether a file is named like an image; its contents are looked at later."""
        _, dot, extension = entry.name.rpartition(b".")
        return bool(dot) and extension.lower() in self._extensions and not _is_folder(entry)


def _add_images(folder: Folder, images: list[Entry]) -> None:
    images.sort(key=lambda entry: entry.name)
    prefix = os.path.join(folder.path, b"")
    sizes_and_times = list(map(_size_and_time, images))
    folder.images.extend(prefix + entry.name for entry in images)
    folder.sizes.extend(size for size, _ in sizes_and_times)
    folder.mtimes.extend(mtime for _, mtime in sizes_and_times)


def _add_file(folder: Folder, entry: Entry) -> None:
    path = os.path.join(folder.path, entry.name)
    if _leads_nowhere(entry):
        folder.passed.note("broken link", path)
        if not is_document(entry.name):
            folder.broken.append(entry.name)
        return
    folder.files.append(entry.name)
    if path == LABEL_MAP.encode():  # It is part of the set.
        return
    folder.passed.note(OTHER, path)
    _, dot, extension = entry.name.rpartition(b".")
    folder.passed.extensions[os.fsdecode(extension) if dot else ""] += 1


def _is_folder(entry: Entry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # A link to itself, say. It is refused when it is read.
        return False


def _leads_nowhere(entry: Entry) -> bool:
    if not entry.is_symlink():
        return False
    try:
        entry.stat()
    except OSError:
        return True
    return False


def _size_and_time(entry: Entry) -> tuple[int, int]:
    try:
        status = entry.stat()
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns
