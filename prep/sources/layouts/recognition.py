"""The registry of layouts, and the choice of the one that a source has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from prep.errors import ConfigError, SourceError
from prep.settings.choices import Layout
from prep.sources.archives.archive_layout import ArchiveLayout
from prep.sources.base import Catalog, Wanted
from prep.sources.folders.class_folders import ClassFoldersLayout
from prep.sources.folders.unread_forms import unread_form
from prep.sources.imagenet.imagenet_layout import ImageNetLayout
from prep.sources.layouts.base import LayoutReader, Place
from prep.sources.layouts.merging import AllSplits
from prep.sources.lists.image_lists import ListLayout
from prep.sources.naming import paths_of
from prep.sources.records.tfrecord_layout import TFRecordLayout
from prep.sources.tables.table_layouts import FirstTables, TableLayout
from prep.sources.webdataset.webdataset_layout import WebDatasetLayout
from prep.storage.locate import open_alike
from prep.text import quoted

_FIRST_TABLES = FirstTables()
# By the word in a configuration; "classes" and "splits" are folders of which more is known.
_LAYOUTS: Mapping[Layout, LayoutReader] = {
    "folders": ClassFoldersLayout(),
    "archive": ArchiveLayout(),
    "imagenet": ImageNetLayout(),
    "list": ListLayout(),
    "webdataset": WebDatasetLayout(),
    "tfrecord": TFRecordLayout(),
    "parquet": TableLayout("parquet", _FIRST_TABLES),
    "arrow": TableLayout("arrow", _FIRST_TABLES),
}


def read_catalog(path: str, wanted: Wanted, split: str | None = None) -> Catalog:
    """Return the catalog of one folder, archive or list, as its layout tells it.

    Args:
        path: absolute, or a URL.
        split: what the configuration gives it for, if anything.

    Raises:
        SourceError, ConfigError, StorageUnavailable: as ``Source.catalog``.
    """
    place = Place.at(path)
    reader = choose_layout(place, wanted)
    word = next(word for word, known in _LAYOUTS.items() if known is reader)
    if not isinstance(wanted, AllSplits):  # The keys may be meant for another source.
        _require_keys_apply(place, reader, wanted)
    catalog = reader.catalog(place, wanted)
    doubts = catalog.doubts if split else (*catalog.split_doubts, *catalog.doubts)
    as_keys = {"layout": word, **catalog.as_keys}
    catalog = replace(catalog, as_keys=as_keys, doubts=doubts, split_doubts=())
    for root in paths_of(catalog.source):
        open_alike(root, path)
    return catalog


# Keys that only some layouts have a use for, and the sources that they are for, in words.
_KEYS_OF_SOME = {
    "columns": "lists of images and sets of records",
    "images": "lists of images",
    "extension": "lists of images",
    "label_offset": "records and samples with numbers for labels",
}


def _require_keys_apply(place: Place, reader: LayoutReader, wanted: Wanted) -> None:
    """Raise ConfigError for a key that is given, and that the layout has no use for."""
    for key, sources in _KEYS_OF_SOME.items():
        if key not in reader.keys and getattr(wanted, key) not in (None, 0):
            raise ConfigError(
                f"{key}: is for {sources}, and {quoted(place.name)} is read as {reader.title}; "
                "leave it out, or give such a source"
            )


def choose_layout(place: Place, wanted: Wanted) -> LayoutReader:
    """Return the reader of the layout that was asked for, or that a place shows.

    Raises:
        SourceError: it shows two, or none, or is a file of a form that is not read.
    """
    told = None if place.is_folder else unread_form(place.head)
    if told is not None:
        raise SourceError(f"source: {quoted(place.name)} {told}")
    asked: Layout = wanted.layout
    if asked in _LAYOUTS:
        return _LAYOUTS[asked]
    if asked != "auto" and place.is_folder:
        return _LAYOUTS["folders"]
    found = {
        name: why
        for name, layout in _LAYOUTS.items()
        if (why := layout.recognizes(place)) is not None
    }
    if len(found) > 1:  # A known set may lie in archives, but no archive is more than that.
        found.pop("archive", None)
    if "parquet" in found or "arrow" in found:  # A table that holds images lists none.
        found.pop("list", None)
    if len(found) > 1:
        (one, why), (other, why_other) = list(found.items())[:2]
        raise SourceError(
            f"source: {quoted(place.name)} can be read as {_LAYOUTS[one].title} ({why}) and as "
            f"{_LAYOUTS[other].title} ({why_other}); pass `layout='{one}'` or `layout='{other}'`"
        )
    if not found and not place.is_folder:
        raise SourceError(
            f"source: {quoted(place.name)} is a file, and no archive or list that is known; "
            "expected a folder of images, a tar or zip file, a TFRecord file, or a CSV, TSV, JSON "
            "Lines, Parquet or Arrow file"
        )
    return _LAYOUTS[next(iter(found), "folders")]
