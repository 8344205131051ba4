"""The places that images of a list are in: what is there, with size and time."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from prep.errors import ConfigError, SourceError
from prep.sources.archives.members import Members
from prep.sources.columns import joined, place_columns
from prep.sources.folders.tree import Tree
from prep.storage.locate import locate
from prep.storage.location import Location, Stamp
from prep.text import quoted, reason_and_file

#: The type of names of files, of which arrays are passed around here.
NAMES = pa.large_binary()
_HEAD = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamped:
    """Files of a list that are there.

    Attributes:
        there: for each name that was asked for, whether it is a file.
        columns: of a manifest (``prep.sources.columns.table_of``) but for the names, for those
            that are there.
    """

    there: npt.NDArray[np.bool_]
    columns: dict[str, Any]


class ImageFiles(Protocol):
    """Files below one place. Their names are relative to it."""

    def near(self, names: pa.Array) -> pa.Array:
        """Return the names of all that is in the folders of some files."""

    def everywhere(self) -> pa.Array:
        """Return the names of all images in any folder."""

    def stamped(self, names: pa.Array) -> Stamped:
        """Return size, time and place of files."""


class FolderFiles:
    """Files in a folder and below it. Each folder that a list names is listed once.

    Args:
        root: the folder.
        name: its path or URL, as users know it.
    """

    def __init__(self, root: Location, name: str) -> None:
        self._root = root
        self._name = name
        self._listed: dict[bytes, pa.Array] = {}
        self._stamps: dict[bytes, Stamp] = {}  # Of a storage, whose listings tell them.

    def near(self, names: pa.Array) -> pa.Array:
        """Return the names of all that is in the folders of some files."""
        folders = sorted(pc.unique(pc.replace_substring_regex(names, "[^/]*$", "")).to_pylist())
        new = [folder for folder in folders if folder not in self._listed]
        for folder, found in zip(new, self._root.each(self._list, new), strict=True):
            self._listed[folder] = joined(folder, pa.array(found, NAMES))
        return pa.concat_arrays([pa.array([], NAMES), *(self._listed[name] for name in folders)])

    def everywhere(self) -> pa.Array:
        """Return the names of all images in any folder."""
        return self._everywhere

    @cached_property
    def _everywhere(self) -> pa.Array:
        names: list[bytes] = []
        for folder in Tree(self._name).walk(b"", set()):
            names += folder.images
            if self._root.is_remote:
                stamps = map(Stamp, folder.sizes, folder.mtimes)
                self._stamps.update(zip(folder.images, stamps, strict=True))
        return pa.array(sorted(names), NAMES)

    def stamped(self, names: pa.Array) -> Stamped:
        """Return size and time of files."""
        found = list(map(self._stamp, names.to_pylist()))
        there = np.array([stamp is not None for stamp in found], bool)
        kept = [stamp for stamp in found if stamp is not None]
        sizes = np.fromiter((stamp[0] for stamp in kept), np.int64, len(kept))
        times = np.fromiter((stamp[1] for stamp in kept), np.int64, len(kept))
        return Stamped(there=there, columns={"size": sizes, "mtime": times})

    def _stamp(self, name: bytes) -> tuple[int, int] | None:
        if self._local is None:
            return self._stamps.get(name)
        try:
            status = os.stat(self._local + name)
        except OSError:  # A link that leads nowhere, say.
            return None
        return (status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else None

    @cached_property
    def _local(self) -> bytes | None:
        local = self._root.local
        return None if local is None else os.path.join(os.fsencode(local), b"")

    def _list(self, folder: bytes) -> Sequence[bytes]:
        """Return the names in a folder; none if there is no such folder."""
        try:
            if self._local is not None:
                return os.listdir(self._local + folder)
            place = self._root / os.fsdecode(folder).rstrip("/") if folder else self._root
            listed = [(os.fsencode(n), status) for n, status in place.listed() if n]
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            what = "source: can't list a folder"
            self._root.require_answer(error, what)
            raise SourceError(f"{what}: {reason_and_file(error)}") from None
        files = [(name, status) for name, status in listed if not status.is_folder]
        self._stamps.update(
            (folder + name, Stamp(status.st_size, status.st_mtime_ns)) for name, status in files
        )
        return [name for name, _ in files]


class MemberFiles:
    """Files in an archive.

    Args:
        members: its index.
        file: its absolute path or URL.
    """

    def __init__(self, members: Members, file: str) -> None:
        self._members = members
        self._file = os.fsencode(file)
        self._names = pa.array(members.names, NAMES)

    def near(self, names: pa.Array) -> pa.Array:
        """Return the names of all members."""
        return self._names

    def everywhere(self) -> pa.Array:
        """Return the names of all members."""
        return self._names

    def stamped(self, names: pa.Array) -> Stamped:
        """Return size, mark and place of members."""
        found = pc.index_in(names, value_set=self._names)
        there = found.is_valid().to_numpy(zero_copy_only=False)
        at = found.drop_null().to_numpy()
        members, file = self._members, pa.array([self._file], pa.binary())
        places = place_columns(file, members.offsets[at], members.hows[at])
        return Stamped(
            there=there,
            columns={"size": members.sizes[at], "mtime": members.marks[at], **places},
        )


def files_at(name: str) -> ImageFiles:
    """Return the files in a folder, or in a tar or zip file.

    Args:
        name: its path or URL.

    Raises:
        ConfigError: there is no such place.
        StorageUnavailable: it is in a storage that does not answer.
    """
    location = locate(name)
    try:
        if location.is_dir():
            return FolderFiles(location, name)
        if location.is_file():
            return _members_of(location, name)
    except OSError as error:
        location.require_answer(error, "images: can't be opened")
        raise ConfigError(f"images: can't be opened: {reason_and_file(error)}") from None
    raise ConfigError(f"images: {quoted(name)} does not exist; expected a folder or an archive")


def _members_of(location: Location, name: str) -> MemberFiles:
    from prep.sources.archives.archive_layout import archive_kind, index_of

    with location.open_regular() as file:
        kind = archive_kind(bytes(file.read(_HEAD)))
    if kind is None:
        raise ConfigError(
            f"images: {quoted(name)} is a file, and no tar or zip file; expected a folder or an "
            "archive"
        )
    return MemberFiles(index_of(location, kind), name)
