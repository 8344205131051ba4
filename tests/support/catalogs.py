"""Catalogs of sources, and what is in them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import prep
from prep.errors import PrepError
from prep.settings.choices import OnStray
from prep.sources.base import Catalog
from prep.sources.file_source import FileSource
from prep.sources.folders.names import FolderLayout
from prep.sources.folders.roles.shape import Asked
from prep.sources.folders.scan import extensions_of, scan_tree
from prep.sources.folders.tree import Tree
from prep.sources.layouts.base import Place
from prep.sources.manifest import entries_of


def scan_folders(
    source: str,
    splits: Sequence[str] | None = None,
    image_type: str | None = None,
    *,
    layout: FolderLayout = "auto",
    on_stray: OnStray = "fail",
    output: bytes | None = None,
) -> Catalog:
    """List the images of a folder of class folders."""
    tree = Tree(Place.at(source).name, extensions_of(image_type))
    asked = Asked(splits=splits, layout=layout, on_stray=on_stray)
    return scan_tree(tree, asked, image_type=image_type, output=output)


def catalog_of(source: Path | str, **config: Any) -> Catalog:
    """List the images of a source as a plan does, with some keys of a configuration."""
    values = {"source": str(source), "output": "/nowhere/shards", **config}
    return FileSource(str(source)).catalog(prep.Config(**values))


def catalog_or_error(source: Path | str, **config: Any) -> Catalog | PrepError:
    """Return the catalog of a source, or the error that users are told."""
    try:
        return catalog_of(source, **config)
    except PrepError as error:
        return error


def rows_of(catalog: Catalog) -> list[tuple[str, str, str]]:
    """Return split, name and class of each image."""
    splits = [catalog.splits[number] for number in catalog.images["split"].to_pylist()]
    entries = entries_of(catalog.images.drop_columns(["split"]), catalog.classes)
    return [(s, e.name, e.class_name) for s, e in zip(splits, entries, strict=True)]


def contents_of(catalog: Catalog) -> list[bytes]:
    """Return the bytes of each image, as workers read them."""
    source = FileSource(catalog.source)
    images = catalog.images.drop_columns(["split"])
    return [source.read(entry) for entry in entries_of(images, catalog.classes)]
