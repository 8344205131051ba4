"""Class folders as a layout: ``SOURCE/<split>/<class>/**``, or ``SOURCE/<class>/**``."""

from __future__ import annotations

from prep.errors import SourceError
from prep.sources.base import Catalog, Wanted
from prep.sources.folders.output_place import output_inside, require_apart
from prep.sources.folders.roles.shape import asked_of
from prep.sources.layouts.base import Place
from prep.text import quoted


class ClassFoldersLayout:
    """Class folders, with or without splits above them."""

    title = "class folders"
    keys = ()

    def recognizes(self, place: Place) -> str | None:
        """Return nothing: folders are what a folder is taken for if it is nothing else."""
        return None

    def catalog(self, place: Place, wanted: Wanted) -> Catalog:
        # They load what workers don't need.
        from prep.sources.archives.archive_layout import shows_archives
        from prep.sources.folders.scan import extensions_of, scan_tree
        from prep.sources.folders.tree import Tree

        if not place.is_folder:
            raise SourceError(
                f"source: {quoted(place.name)} is a file; expected a folder of images"
            )
        inside = output_inside(place.name, wanted.output)
        tree = Tree(place.name, extensions_of(wanted.image_type))
        catalog = None
        if wanted.layout != "folders" and shows_archives(tree):
            from prep.sources.archives.archive_folders import scan_archives

            catalog = scan_archives(place, tree, wanted)
        if catalog is None:
            asked, image_type = asked_of(wanted), wanted.image_type
            catalog = scan_tree(tree, asked, image_type=image_type, output=inside)
        require_apart(inside, wanted.output, catalog)
        return catalog
