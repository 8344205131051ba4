"""Tables that hold images as layouts, and which sources show one."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator, Mapping

from prep.sources.base import Catalog, Wanted
from prep.sources.folders.names import EXTENSIONS as IMAGES
from prep.sources.folders.names import extension_of, is_container, is_plainly_a_split
from prep.sources.layouts.base import Place
from prep.sources.tables.table_files import EXTENSIONS
from prep.storage.location import Location
from prep.text import quoted

_HEADS = {"parquet": (b"PAR1",), "arrow": (b"ARROW1", b"\xff\xff\xff\xff")}
# How far a folder is looked into: names in a folder, folders in it, and levels.
_MOST_NAMES, _MOST_FOLDERS, _DEPTH = 64, 8, 3


class TableLayout:
    """Images in the rows of Parquet or Arrow files.

    Args:
        word: ``parquet`` or ``arrow``.
        look: finds the first tables in a folder; the layouts of all words share it.
    """

    keys = ("columns", "label_offset")

    def __init__(self, word: str, look: FirstTables) -> None:
        self._word = word
        self._look = look
        self.title = f"images in {word.capitalize()}"

    def recognizes(self, place: Place) -> str | None:
        """Return what shows that a file, or the first one in a folder, holds images in its rows."""
        if not place.is_folder:
            return "its rows hold images" if self._shows_images(place) else None
        first = self._look.in_folder(place).get(self._word)
        if first is None:
            return None
        table = Place.at(f"{place.name.rstrip('/')}/{first}")
        shows = self._shows_images(table, unreadable=True)  # Its error is to be told.
        return f"the rows of {quoted(first)} hold images" if shows else None

    def _shows_images(self, place: Place, *, unreadable: bool = False) -> bool:
        if not place.head.startswith(_HEADS[self._word]):
            return False
        from prep.sources.tables.table_opening import embeds_images  # It takes a while to load.

        return embeds_images(place, unreadable=unreadable)

    def catalog(self, place: Place, wanted: Wanted) -> Catalog:
        from prep.sources.tables.table_catalog import catalog_of_tables

        return catalog_of_tables(place, self._word, wanted)


class FirstTables:
    """Finds the first table of each kind in a folder, or in folders that it consists of.

    It remembers the place that was looked at last: in a storage, long lists take long.
    """

    def __init__(self) -> None:
        self._last: tuple[Place, dict[str, str]] | None = None

    def in_folder(self, place: Place) -> dict[str, str]:
        """Return the paths of the first tables by layout; none where images lie beside folders."""
        if self._last is None or self._last[0] is not place:
            self._last = place, _first_tables(place.location, place.entries, _DEPTH)
        return self._last[1]


def _first_tables(folder: Location, names: Mapping[str, bool], depth: int) -> dict[str, str]:
    """Return the paths of the first tables below a folder, by layout.

    Args:
        folder: the folder.
        names: what is in it, and whether each is a folder.
        depth: how many levels of folders below it are looked into. Those of classes are not.
    """
    extensions = {extension_of(os.fsencode(n)) for n, is_folder in names.items() if not is_folder}
    if not extensions.isdisjoint(IMAGES):
        return {}
    found = {
        word: next(
            name
            for name, is_folder in names.items()
            if not is_folder and extension_of(os.fsencode(name)) in known
        )
        for word, known in EXTENSIONS.items()
        if not extensions.isdisjoint(known)
    }
    folders = [n for n, is_folder in names.items() if is_folder and not n.startswith(".")]
    if found or not depth or not 0 < len(folders) <= _MOST_FOLDERS:
        return found
    if folder.is_remote:  # Each listing takes a while.
        folders = [name for name in folders if _may_hold_tables(name)]
    first: dict[str, str] = {}
    for below in folders:
        inside = folder / below
        with contextlib.suppress(PermissionError, FileNotFoundError):  # Its reader says so.
            first = _first_tables(inside, dict(sorted(_names_in(inside))), depth - 1)
        if first:
            return {word: f"{below}/{path}" for word, path in first.items()}
    return {}


def _may_hold_tables(name: str) -> bool:
    return name in ("data", "default") or is_container(name) or is_plainly_a_split(name)


def _names_in(folder: Location) -> Iterator[tuple[str, bool]]:
    """Yield the first names in a folder, and whether each is a folder."""
    if folder.local is None:
        yield from ((name, status.is_folder) for name, status in folder.listed() if name)
        return
    with os.scandir(folder.local) as entries:
        for entry in itertools.islice(entries, _MOST_NAMES):
            yield entry.name, entry.is_dir()
