"""The folders of a source, each read once; in a storage, many at the same time."""

from __future__ import annotations

import os
import time
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from prep.errors import SourceError
from prep.sources.folders.ignored import OTHER, Passed
from prep.sources.folders.listing import Entry, FolderListing, Listing, PackedFiles
from prep.sources.folders.names import EXTENSIONS, LABEL_MAP, SYSTEM_FOLDERS, is_document
from prep.sources.folders.plain_folders import PlainFolder, is_named_like_image
from prep.storage.locate import locate
from prep.text import quoted, reason_and_file, reason_of

_PATIENCE = 0.1  # seconds after which the rest of many folders is shared among processes


@dataclass(slots=True, kw_only=True)
class Folder:
    """The contents of a folder, by name.

    Attributes:
        path: relative to the root; so are those of its images.
        images: files that are named like images, with ``sizes`` in bytes and ``mtimes`` in ns:
            zeros for a link that leads nowhere, which is refused when it is read.
        archive: the file that holds the images, as the source names it; None if each is a file.
        offsets, hows: where and how they lie in it, as in ``Members``.
        folders: names of the folders in it.
        broken: names of links that lead nowhere, and might have led to a folder.
        files: names of other files.
        passed: what of all that is no part of the set, wherever this folder belongs.
    """

    path: bytes
    images: list[bytes] = field(default_factory=list)
    sizes: array[int] = field(default_factory=lambda: array("q"))
    mtimes: array[int] = field(default_factory=lambda: array("q"))
    archive: bytes | None = None
    offsets: list[int] = field(default_factory=list)
    hows: list[int] = field(default_factory=list)
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

    Args:
        source: the name of the source, for messages.
        extensions: of the files that are images.
        listing: lists the folders; by default those on a disk or in a storage.
    """

    def __init__(
        self,
        source: str,
        extensions: frozenset[bytes] = EXTENSIONS,
        listing: Listing | None = None,
    ) -> None:
        self.source = source
        self._listing = listing or FolderListing(locate(source))
        self._extensions = extensions
        self._read: dict[bytes, Folder] = {}
        self._filled: dict[bytes, bool] = {}
        self._used: set[bytes] = {LABEL_MAP.encode()} if not self.is_packed else set()

    @property
    def is_packed(self) -> bool:
        """True if some of the folders are in archives, or are archives."""
        return not isinstance(self._listing, FolderListing)

    def shown(self, path: bytes) -> str:
        """Return the path of a folder or file as messages show it."""
        return os.path.join(self.source, os.fsdecode(path)) if path else self.source

    def is_archive(self, path: bytes) -> bool:
        """Return whether a folder is an archive as a whole."""
        return self._listing.is_archive(path)

    def title(self, path: bytes) -> bytes:
        """Return what a split or a class is called that lies in a folder; no ``.tar`` is in it."""
        name = os.path.basename(path)
        return os.path.splitext(name)[0] if self.is_archive(path) else name

    def read(self, file: bytes) -> bytes:
        """Return the contents of a file that is part of the set, such as a list of labels.

        Such a file is not counted as passed over.

        Raises:
            SourceError: it can't be read.
            StorageUnavailable: it is in a storage that does not answer.
        """
        self._used.add(file)
        self._read.pop(os.path.dirname(file), None)  # It has counted the file.
        try:
            return self._listing.read(file)
        except OSError as error:
            what = f"source: can't read {quoted(self.shown(file))}"
            locate(self.source).require_answer(error, what)
            raise SourceError(f"{what}: {reason_of(error)}") from None

    def folder(self, path: bytes) -> Folder:
        """Read a folder, unless it was read before."""
        if path not in self._read:
            (plain,) = self._listing.plain([path], self._extensions)
            self._read[path] = self._list_whole(path, plain)
        return self._read[path]

    def folders(self, paths: Sequence[bytes]) -> list[Folder]:
        """Read some folders, all at the same time where that is faster."""
        self.prepare(paths)
        rest, began = iter(paths), time.monotonic()
        for path in rest:
            self.folder(path)
            if time.monotonic() - began > _PATIENCE:
                break
        missing = [path for path in dict.fromkeys(rest) if path not in self._read]
        plain = self._listing.plain(missing, self._extensions)
        for path, found in zip(missing, plain, strict=True):
            self._read[path] = self._list_whole(path, found)
        return [self._read[path] for path in paths]

    def holds_images(self, path: bytes) -> bool:
        """Return whether images lie in a folder; read no more of it than necessary."""
        if path in self._read:
            return bool(self._read[path].images)
        if self._listing.packed(path) is not None:
            return bool(self.folder(path).images)
        return any(
            not entry.name.startswith(b".") and self._is_image(entry) for entry in self._list(path)
        )

    def holds_images_below(self, path: bytes) -> bool:
        """Return whether images lie in a folder, however deep; read no more than necessary."""
        if path not in self._filled:
            self._filled[path] = self.holds_images(path) or any(
                folder.images for folder in self.walk(path, set())
            )
        return self._filled[path]

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
            self._listing.prepare([path for path in paths if path not in self._read])
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

    def _list_whole(self, path: bytes, plain: PlainFolder | None) -> Folder:
        """Return a folder from its contents, or by its entries if these are not known yet."""
        folder = Folder(path=path)
        if plain is not None:
            self._add_plain(folder, plain)
            return folder
        images: list[Entry] = []
        for entry in self._list(path):
            name = entry.name
            if name.startswith(b"."):
                folder.passed.note("hidden", os.path.join(path, name))
            elif not name:
                folder.passed.note("folder without a name", path + b"//")
            elif self._is_image(entry):
                images.append(entry)
            elif not _is_folder(entry):
                if _leads_nowhere(entry):
                    _add_broken(folder, name)
                else:
                    self._add_file(folder, name)
            elif name in SYSTEM_FOLDERS:
                folder.passed.note("folder of a system", os.path.join(path, name))
            else:
                folder.folders.append(name)
        packed = self._listing.packed(path)
        if packed is None:
            _add_images(folder, images)
        else:
            self._add_packed(folder, packed)
        for names in (folder.folders, folder.broken, folder.files):
            names.sort()
        return folder

    def _add_plain(self, folder: Folder, files: PlainFolder) -> None:
        prefix = os.path.join(folder.path, b"")
        folder.images = [prefix + name for name in files.images]
        folder.sizes, folder.mtimes = files.sizes, files.mtimes
        for name in files.others:
            if name[:1] == b".":
                folder.passed.note("hidden", prefix + name)
            else:
                self._add_file(folder, name)

    def _add_packed(self, folder: Folder, files: PackedFiles) -> None:
        """Add files in an archive, of which there may be a million in one folder."""
        images = []
        for row in sorted(range(len(files.names)), key=files.names.__getitem__):
            name = files.names[row]
            if name[:1] == b".":
                folder.passed.note("hidden", os.path.join(folder.path, name))
            elif self.is_image(name):
                images.append(row)
            else:
                self._add_file(folder, name)
        prefix = os.path.join(folder.path, b"")
        folder.archive = files.archive
        folder.images = [prefix + files.names[row] for row in images]
        folder.sizes = array("q", files.sizes[images].tolist())
        folder.mtimes = array("q", files.marks[images].tolist())
        folder.offsets = files.offsets[images].tolist()
        folder.hows = files.hows[images].tolist()

    def _add_file(self, folder: Folder, name: bytes) -> None:
        folder.files.append(name)
        path = os.path.join(folder.path, name)
        if path in self._used:
            return
        folder.passed.note(OTHER, path)
        _, dot, extension = name.rpartition(b".")
        folder.passed.extensions[os.fsdecode(extension) if dot else ""] += 1

    def _is_image(self, entry: Entry) -> bool:
        """Return whether a file is named like an image; its contents are looked at later."""
        return self.is_image(entry.name) and not _is_folder(entry)

    def is_image(self, name: bytes) -> bool:
        """Return whether a file of this name is an image that is wanted."""
        return is_named_like_image(name, self._extensions)


def _add_images(folder: Folder, images: list[Entry]) -> None:
    images.sort(key=lambda entry: entry.name)
    prefix = os.path.join(folder.path, b"")
    sizes_and_times = list(map(_size_and_time, images))
    folder.images.extend(prefix + entry.name for entry in images)
    folder.sizes.extend(size for size, _ in sizes_and_times)
    folder.mtimes.extend(mtime for _, mtime in sizes_and_times)


def _add_broken(folder: Folder, name: bytes) -> None:
    folder.passed.note("broken link", os.path.join(folder.path, name))
    if not is_document(name):
        folder.broken.append(name)


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
