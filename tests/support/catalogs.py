"""Catalogs of class folders, without a configuration."""

from __future__ import annotations

from collections.abc import Sequence

from prep.settings.choices import OnStray
from prep.sources.base import Catalog
from prep.sources.folders.names import FolderLayout
from prep.sources.folders.roles.shape import Asked
from prep.sources.folders.scan import extensions_of, scan_tree
from prep.sources.folders.tree import Tree
from prep.sources.layouts.base import Place


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
