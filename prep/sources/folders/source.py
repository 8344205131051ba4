"""Class folders as a source: ``SOURCE/<split>/<class>/*``, or ``SOURCE/<class>/*``."""

from __future__ import annotations

import os
from collections.abc import Iterator

from prep.errors import ConfigError, LabelError
from prep.sources.base import Catalog, ImageEntry, Source, Wanted
from prep.sources.folders.names import LABEL_MAP
from prep.sources.labels import LabelMap
from prep.storage.locate import absolute, locate, read_file, read_in_pieces, stamp_of
from prep.storage.location import Location, Stamp
from prep.storage.urls import is_url
from prep.text import quoted


class FolderSource(Source):
    """A folder of images, on this machine or in a storage.

    Args:
        name: its absolute path or its URL.
    """

    def __init__(self, name: str, _folder: Location | None = None) -> None:
        self.name = self.storage = name
        self._place = locate(name)
        self._root = os.path.join(os.fsencode(str(self._place)), b"")

    @staticmethod
    def claims(name: str) -> bool:
        """Return whether a plan's source is a folder."""
        return is_url(name) or os.path.isabs(name)

    def require_there(self) -> None:
        from prep.sources.folders.tree import require_images_folder  # It takes a while to load.

        require_images_folder(self.name)

    def catalog(self, wanted: Wanted) -> Catalog:
        from prep.sources.folders.scan import scan_folders  # It loads what workers don't need.

        if _real(self.name) == _real(wanted.output):
            raise ConfigError(
                f"output: {quoted(wanted.output)} is also the source; choose another folder"
            )
        inside = _inside(self.name, wanted.output)
        catalog = scan_folders(
            self.name,
            wanted.splits,
            wanted.image_type,
            layout=wanted.layout,
            on_stray=wanted.on_stray,
            output=inside,
        )
        if inside is None:
            _require_no_split(self.name, wanted.output, catalog)
        else:
            _require_outside_classes(inside, wanted.output, catalog)
        return catalog

    def label_map(self) -> tuple[LabelMap, str] | None:
        beside = os.path.join(self.name, LABEL_MAP)
        place = locate(beside)
        if place.is_file():
            return LabelMap.read(beside), f"from {beside}"
        if place.exists() or place.is_symlink():
            found = "something else" if place.exists() else "a broken link"
            raise LabelError(
                f"label map {quoted(beside)}: expected a file, found {found}; remove it, or name "
                "another with `label_map`"
            )
        return None

    def read(self, entry: ImageEntry) -> bytes:
        return read_file(self._root + entry.file, entry.stamp)

    def read_in_pieces(self, entry: ImageEntry) -> Iterator[bytes]:
        return read_in_pieces(self._root + entry.file)

    def stamp(self, entry: ImageEntry) -> Stamp:
        return stamp_of(self._root + entry.file)

    def location(self, file: bytes) -> str | None:
        return os.path.join(self.name, os.fsdecode(file))

    def is_visible(self) -> bool:
        return is_url(self.name) or self._place.exists()


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

    parts = inside.split(b"/")
    paths = catalog.images["path"]
    depth = paths[0].as_py().count(b"/")  # Of class folders: with splits, or without.
    folder = b"/".join(parts[:depth])
    if len(parts) >= depth and pc.any(pc.starts_with(paths, folder + b"/")).as_py():
        raise ConfigError(
            f"output: {quoted(output)} lies in {quoted(os.fsdecode(folder))}, a class folder of "
            "the source; choose a folder outside it"
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
