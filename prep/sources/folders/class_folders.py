"""Class folders as a layout: ``SOURCE/<split>/<class>/*``, or ``SOURCE/<class>/*``."""

from __future__ import annotations

import os

from prep.errors import ConfigError
from prep.sources.base import Catalog, Wanted
from prep.sources.folders.roles.shape import asked_of
from prep.sources.layouts.base import Place
from prep.storage.locate import absolute
from prep.storage.urls import is_url
from prep.text import quoted


class Folders:
    """Class folders, with or without splits above them."""

    title = "class folders"

    def recognizes(self, place: Place) -> str | None:
        """Return nothing: folders are what a folder is taken for if it is nothing else."""
        return None

    def catalog(self, place: Place, wanted: Wanted) -> Catalog:
        # They load what workers don't need.
        from prep.sources.archives.archive_folders import scan_archives
        from prep.sources.folders.scan import extensions_of, scan_tree
        from prep.sources.folders.tree import Tree, require_images_folder

        if _real(place.name) == _real(wanted.output):
            raise ConfigError(
                f"output: {quoted(wanted.output)} is also the source; choose another folder"
            )
        inside = _inside(place.name, wanted.output)
        require_images_folder(place.name)
        tree = Tree(place.name, extensions_of(wanted.image_type))
        packed = scan_archives(place, tree, wanted) if wanted.layout != "folders" else None
        catalog = packed or scan_tree(
            tree,
            asked_of(wanted),
            image_type=wanted.image_type,
            output=inside,
        )
        if inside is None:
            _require_no_split(place.name, wanted.output, catalog)
        else:
            _require_outside_classes(inside, wanted.output, catalog)
        return catalog


def _real(path: str) -> str:
    name = absolute(path)
    return name if is_url(name) else os.path.realpath(name)


def _inside(source: str, output: str) -> bytes | None:
    """Return the path of the output relative to the source; None if it does not lie in there."""
    root, path = (os.path.join(_real(place), "") for place in (source, output))
    return os.fsencode(path.removeprefix(root)).rstrip(b"/") if path.startswith(root) else None


def _require_outside_classes(inside: bytes, output: str, catalog: Catalog) -> None:
    """Raise ConfigError if shards would lie among the images of a class."""
    import pyarrow.compute as pc

    for split in catalog.splits:
        above = os.path.join(catalog.split_folders.get(split, b""), b"")
        name = inside.removeprefix(above).split(b"/")[0]
        folder = above + name
        if inside.startswith(above) and name and catalog.classes:
            within = pc.starts_with(catalog.images["path"], os.path.join(folder, b""))
            if pc.any(within).as_py():
                raise ConfigError(
                    f"output: {quoted(output)} lies in {quoted(os.fsdecode(folder))}, a class "
                    "folder of the source; choose a folder outside it"
                )


def _require_no_split(source: str, output: str, catalog: Catalog) -> None:
    """Raise ConfigError if the output is a folder of images beside the source.

    So it is when a shell has made the two splits in ``photos`` of ``photos/*``.
    """
    root, place = _real(source), _real(output)
    if is_url(place) or os.path.dirname(root) != os.path.dirname(place):
        return
    classes = (name for name in catalog.classes if os.path.isdir(os.path.join(place, name)))
    name = next(classes, None)
    if name is not None and not os.path.exists(os.path.join(place, ".prep")):
        raise ConfigError(
            f"output: {quoted(output)}, beside the source, has a folder {quoted(name)}, too, so it "
            "seems to hold images of another split; give the folder that both are in as the "
            "source, or choose another output"
        )
