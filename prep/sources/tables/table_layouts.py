"""Tables that hold images as layouts, and which sources show one."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

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
    """

    keys = ("columns",)

    def __init__(self, word: str) -> None:
        self._word = word
        self.title = f"images in {word.capitalize()}"

    def recognizes(self, place: Place) -> str | None:
        """Return what shows that a file, or the first one in a folder, holds images in its rows."""
        if not place.is_folder:
            return "its rows hold images" if self._shows_images(place) else None
        first = _first_table(place.location, self._word, _DEPTH)
        if first is None:
            return None
        table = Place.at(f"{place.name.rstrip('/')}/{first}")
        shows = self._shows_images(table, unreadable=True)  # Its error is to be told.
        return f"the rows of {quoted(first)} hold images" if shows else None

    def _shows_images(self, place: Place, *, unreadable: bool = False) -> bool:
        if not place.head.startswith(_HEADS[self._word]):
            return False
        from prep.sources.tables.table_catalog import holds_images  # It takes a while to load.

        return holds_images(place, unreadable=unreadable)

    def catalog(self, place: Place, wanted: Wanted) -> Catalog:
        from prep.sources.tables.table_catalog import catalog_of_tables

        return catalog_of_tables(place, self._word, wanted)


def _first_table(folder: Location, word: str, depth: int) -> str | None:
    """Return the path of a table below a folder; None without one, or if there are images, too.

    Folders of classes are not looked into.
    """
    found = sorted(_names_in(folder))
    if any(extension_of(name) in IMAGES for name, is_folder in found if not is_folder):
        return None
    for name, is_folder in found:
        if not is_folder and extension_of(name) in EXTENSIONS[word]:
            return os.fsdecode(name)
    folders = [os.fsdecode(name) for name, is_folder in found if is_folder]
    folders = [name for name in folders if not name.startswith(".")]
    if not depth or not 0 < len(folders) <= _MOST_FOLDERS:
        return None
    if folder.is_remote:  # Each listing takes a while.
        folders = [name for name in folders if _may_hold_tables(name)]
    for below in folders:
        first = _first_table(folder / below, word, depth - 1)
        if first is not None:
            return f"{below}/{first}"
    return None


def _may_hold_tables(name: str) -> bool:
    return name in ("data", "default") or is_container(name) or is_plainly_a_split(name)


def _names_in(folder: Location) -> Iterator[tuple[bytes, bool]]:
    """Yield the first names in a folder, and whether each is a folder."""
    if folder.local is None:
        names = ((name, status.is_folder) for name, status in folder.listed() if name)
        yield from ((os.fsencode(name), is_folder) for name, is_folder in names)
        return
    with os.scandir(os.fsencode(str(folder.local))) as entries:
        for entry in itertools.islice(entries, _MOST_NAMES):
            yield entry.name, entry.is_dir()
