"""Lists of images as a layout: files of any known format, and folders that hold one."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prep.errors import SourceError
from prep.sources.base import Catalog, Wanted
from prep.sources.folders.names import (
    EXTENSIONS,
    SYSTEM_FOLDERS,
    extension_of,
    is_container,
    is_sample,
    named_like_splits,
)
from prep.sources.layouts.base import Place
from prep.storage.location import Location
from prep.text import quoted, some

if TYPE_CHECKING:
    from prep.sources.lists.list_table import ListTable

_CUB = ("images.txt", "image_class_labels.txt", "classes.txt")
# What Hugging Face's ``imagefolder`` and the exports of Roboflow have in the folder of a split.
_METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
_ROBOFLOW = ("_classes.csv", "_annotations.csv", "_annotations.coco.json")
_LISTS = frozenset([b"csv", b"tsv", b"jsonl", b"ndjson", b"parquet"])
# More folders than this beside a list are classes.
_MOST_FOLDERS = 20


class ListLayout:
    """A list of images, with their labels."""

    title = "a list of images"
    keys = ("columns", "images", "extension")

    def recognizes(self, place: Place) -> str | None:
        """Return what shows that a file is a list, or that a folder has one beside its images."""
        if place.is_folder:
            found = _lists_in(place)
            return None if found is None else f"by {some([*map(quoted, found.files)])}"
        from prep.sources.lists.formats.list_forms import form_of

        return form_of(place.head)

    def catalog(self, place: Place, wanted: Wanted) -> Catalog:
        """List the images of a list, in its order."""
        from prep.sources.lists.list_catalog import catalog_of_list  # Workers don't need it.

        folder = place.name
        if not place.is_folder:
            folder = place.name.rpartition("/")[0] or "/"
            beside = Place.at(folder) if os.path.basename(place.name) in _CUB else None
            if beside is None or not _is_cub(beside):
                table = _read(place, wanted.columns or {})
                return catalog_of_list(place, table, folder, wanted)
            place = beside
        found = _lists_in(place, asked=wanted.layout == "list")
        if found is None:
            raise SourceError(
                f"source: {quoted(place.name)} is a folder, in which no one list is plainly that "
                "of its images; give the list itself as the source"
            )
        return catalog_of_list(place, found.table(place, wanted.columns or {}), folder, wanted)


@dataclass(frozen=True, kw_only=True)
class _Lists:
    """The lists in a folder that are plainly those of its images.

    Attributes:
        files: their names in the folder.
        in_splits: whether each is in the folder of a split, and is of the images there.
    """

    files: Sequence[str]
    in_splits: bool = False

    def table(self, place: Place, given: Mapping[str, Any]) -> ListTable:
        """Return the table of all of them."""
        if tuple(self.files) == _CUB:
            from prep.sources.lists.formats.line_lists import cub_table

            return cub_table(place)
        tables = [_read(_inside(place, name), given) for name in self.files]
        if not self.in_splits:
            return tables[0]
        from prep.sources.lists.list_table import in_one

        return in_one(tables, [name.partition("/")[0] for name in self.files], place.name, given)


def _read(place: Place, given: Mapping[str, Any]) -> ListTable:
    from prep.sources.lists.formats.list_forms import read_list  # It takes a while to load.

    return read_list(place, given)


def _inside(place: Place, name: str) -> Place:
    return Place.at(f"{place.name.rstrip('/')}/{name}")


def _lists_in(place: Place, *, asked: bool = False) -> _Lists | None:
    """Return the lists in a folder that are plainly those of its images; None if none is.

    Args:
        asked: whether a list was asked for; otherwise, class folders are none of it.
    """
    if _is_cub(place):
        return _Lists(files=_CUB)
    splits = _folders_of(place)
    if 0 < len(splits) <= _MOST_FOLDERS and named_like_splits(splits) == splits:
        found = [_metadata_in(place, name, asked) for name in splits]
        if all(found):
            return _Lists(files=[name for name in found if name], in_splits=True)
    there = [name for name in _METADATA if place.entries.get(name) is False]
    if len(there) == 1 and (asked or _are_outside_classes(place)):
        inside = _inside(place, there[0])
        if asked or _has_images_and_labels(inside):
            return _Lists(files=there)
    return _list_beside_images(place)


def _folders_of(place: Place) -> list[str]:
    return [
        name
        for name, is_folder in place.entries.items()
        if is_folder and not name.startswith(".") and os.fsencode(name) not in SYSTEM_FOLDERS
    ]


def _is_cub(place: Place) -> bool:
    """Return whether a folder is that of CUB-200.

    https://www.vision.caltech.edu/datasets/cub_200_2011/
    """
    return all(place.entries.get(name) is False for name in _CUB) and bool(
        place.entries.get("images")
    )


def _metadata_in(place: Place, folder: str, asked: bool) -> str | None:
    """Return the list of a split as Hugging Face or Roboflow have it; None if there is none.

    https://huggingface.co/docs/datasets/image_dataset#imagefolder
    """
    inside = place.location / folder
    known = _METADATA + _ROBOFLOW
    if inside.is_remote:
        names = {*inside.names("metadata."), *inside.names("_")}
        there = [name for name in known if name in names]
    else:
        there = [name for name in known if (inside / name).is_file()]
    if len(there) != 1 or not (asked or _has_flat_images(inside)):
        return None
    found = f"{folder}/{there[0]}"
    return found if asked or _has_images_and_labels(_inside(place, found)) else None


def _list_beside_images(place: Place) -> _Lists | None:
    """Return the only list with images and labels beside images that are in no class folders."""
    names = [
        name
        for name, is_folder in place.entries.items()
        if not is_folder and extension_of(os.fsencode(name)) in _LISTS and not name.startswith(".")
    ]
    names = [name for name in names if not is_sample(name)]
    if not 0 < len(names) <= _MOST_FOLDERS or not _are_outside_classes(place):
        return None
    found = [name for name in names if _has_images_and_labels(_inside(place, name))]
    return _Lists(files=found) if len(found) == 1 else None


def _are_outside_classes(place: Place) -> bool:
    """Return whether images in a folder seem to be in no class folders."""
    folders = _folders_of(place)
    if not folders:
        names = (os.fsencode(name) for name in place.entries)
        return any(extension_of(name) in EXTENSIONS for name in names)
    if len(folders) > _MOST_FOLDERS:
        return False
    held: list[str] = []
    for name in folders:
        has_images = _has_flat_images(place.location / name)
        held += [name] if has_images else []
        like_splits = named_like_splits(held)
        unlike = all(is_container(n) or n in like_splits for n in held)
        if has_images is None or (len(held) > 1 and not unlike):
            return False
    return bool(held)


def _has_flat_images(folder: Location, depth: int = 2) -> bool | None:
    """Return whether images lie in a folder; None if there may be class folders in it."""
    if folder.local is None:
        entries = [(name, status.is_folder) for name, status in folder.listed() if name]
    else:
        with os.scandir(folder.local) as found:
            entries = [(entry.name, entry.is_dir()) for entry in found]
    below = [name for name, is_folder in entries if is_folder]
    if below and not (depth and all(map(is_container, below))):
        return None
    inside = [_has_flat_images(folder / name, depth - 1) for name in below]
    if None in inside:
        return None
    here = (extension_of(os.fsencode(n)) for n, is_folder in entries if not is_folder)
    return any(inside) or not EXTENSIONS.isdisjoint(here)


def _has_images_and_labels(place: Place) -> bool:
    """Return whether the first rows of a list show columns of images and of labels."""
    from prep.sources.lists.formats.list_forms import first_rows, has_annotations
    from prep.sources.lists.roles import are_images_and_labels

    return has_annotations(place.head) or are_images_and_labels(*first_rows(place))
