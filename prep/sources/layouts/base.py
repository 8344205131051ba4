"""The interface of a layout, and what it looks at to recognize itself."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from prep.errors import ConfigError, SourceError
from prep.sources.base import Catalog, Wanted
from prep.sources.folders.names import role_of
from prep.storage.locate import locate
from prep.storage.location import Location
from prep.text import quoted, reason_and_file

# Enough for the magic bytes of all archives and tables, and for the header of a tar.
_HEAD = 4096
# Names in a folder that are looked at, and folders of which they are.
_FEW = 16
_MOST_FOLDERS = 20


@dataclass(frozen=True, kw_only=True)
class Place:
    """A folder or a file that may hold images.

    Attributes:
        name: its absolute path or its URL.
        location: where it is from here.
        is_folder: whether it is a folder.
        head: the first 4,096 bytes of a file, or all it has; nothing of a folder.
    """

    name: str
    location: Location
    is_folder: bool
    head: bytes = field(default=b"", repr=False)

    @classmethod
    def at(cls, name: str) -> Place:
        """Look at what is there.

        Raises:
            SourceError: there is nothing, or it can't be read.
            StorageUnavailable: it is in a storage that does not answer.
        """
        location = locate(name)
        try:
            if location.is_dir():
                return cls(name=name, location=location, is_folder=True)
            if location.is_file():
                return cls(name=name, location=location, is_folder=False, head=_head_of(location))
            absent = location.absent_bucket()
        except OSError as error:
            location.require_answer(error, "source: can't be opened")
            raise SourceError(f"source: can't be opened: {reason_and_file(error)}") from None
        if absent:
            raise SourceError(f"source: {quoted(name)}: {absent} does not exist; expected a bucket")
        broken = location.is_symlink() and not location.exists()
        there = "is neither a file nor a folder" if location.exists() else "does not exist"
        raise SourceError(
            f"source: {quoted(name)} {'is a broken link' if broken else there}; expected a folder "
            "of images, an archive or a list"
        )

    @cached_property
    def entries(self) -> dict[str, bool]:
        """The names in a folder, by name, and whether each is a folder; empty for a file.

        Raises:
            SourceError: it can't be listed.
        """
        if not self.is_folder:
            return {}
        try:
            found = dict(self.location.listed())
        except OSError as error:
            self.location.require_answer(error, "source: can't list a folder")
            raise SourceError(f"source: can't list a folder: {reason_and_file(error)}") from None
        return {name: found[name].is_folder for name in sorted(found) if name}

    @cached_property
    def few_below(self) -> dict[str, tuple[str, ...]]:
        """A few names of what lies in each folder of a place; nothing of many folders.

        It is a glance at sets of shards: of a folder of images, as good as nothing is read. A
        storage is asked only for names that begin as the folder does, in folders for splits.
        """
        folders = [name for name, is_folder in self.entries.items() if is_folder and name[0] != "."]
        if len(folders) > _MOST_FOLDERS:
            return {}
        if not self.location.is_remote:
            return {folder: _few_in(self.location / folder) for folder in folders}
        folders = [folder for folder in folders if role_of(folder) is not None]
        names = self.location.each(lambda name: (self.location / name).names(f"{name}-"), folders)
        return {folder: tuple(found[:_FEW]) for folder, found in zip(folders, names, strict=True)}


def _few_in(folder: Location) -> tuple[str, ...]:
    try:
        with os.scandir(str(folder)) as entries:
            return tuple(entry.name for entry in itertools.islice(entries, _FEW))
    except OSError:  # It is told by whoever lists the folder.
        return ()


def _head_of(location: Location) -> bytes:
    with location.open_regular() as file:
        return bytes(file.read(_HEAD))


class LayoutReader(Protocol):
    """Recognizes one layout, and lists its images."""

    @property
    def title(self) -> str:
        """The name of the layout in messages, such as "ImageNet (ILSVRC2012 tars)"."""

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of a configuration that this layout reads, and that not all layouts do."""

    def recognizes(self, place: Place) -> str | None:
        """Return what shows that a place is of this layout, in words; None if nothing does.

        It reads little: names in a folder, the head of a file.
        """

    def catalog(self, place: Place, wanted: Wanted) -> Catalog:
        """List the images, with the labels that the layout itself tells.

        What ``labels``, ``exclude`` and ``unlabelled`` say is applied to all layouts alike
        afterwards: images without a label have the class -1 here.

        Raises:
            SourceError, ConfigError, StorageUnavailable: as ``Source.catalog``.
        """


def columns_given(wanted: Wanted) -> Mapping[str, Any]:
    """Return the names of columns that are given, by role.

    Raises:
        ConfigError: two are given for the groups.
    """
    given = wanted.columns or {}
    group = wanted.group_column
    if group is None:
        return given
    if given.get("group", group) != group:
        raise ConfigError(
            f"columns.group: got {quoted(given['group'])}, and split.group is {quoted(group)}; "
            "leave one of them out"
        )
    return {**given, "group": group}
