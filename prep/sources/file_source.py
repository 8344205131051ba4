"""Sources of files: whole ones, or parts of an archive, on a disk or in a storage."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Generator, Iterable, Iterator
from functools import lru_cache
from itertools import groupby

from prep.errors import LabelError, SourceError
from prep.sources.base import Catalog, ImageEntry, Kept, Source, Wanted
from prep.sources.folders.names import LABEL_MAP
from prep.sources.labels import LabelMap
from prep.sources.naming import SourceName, is_absolute, leads_below
from prep.storage.locate import locate, read_file, read_in_pieces, stamp_of
from prep.storage.location import Location, Stamp
from prep.storage.urls import is_url
from prep.text import quoted, some

_FILES = 1024  # whose paths here are kept


class FileSource(Source):
    """Files that hold images: a folder, an archive, a list, or several of these.

    An entry's ``file`` is relative to the folder, or to that of the images of a list. Anything else
    has absolute paths or URLs, at or below one that the name of the source has.

    Args:
        name: an absolute path or a URL, or one of :class:`prep.sources.naming.SourceName`.
        folder: of the plan and its manifest; archives that had to be unpacked are there.
    """

    def __init__(self, name: str, folder: Location | None = None) -> None:
        self._folder = folder
        self._open(name)

    def _open(self, name: str) -> None:
        found = SourceName.parse(name)
        if found is None:
            raise ValueError(f"expected a path, a URL or the name of sources, got {name!r}")
        self.name = name
        self._known = found
        self._unpacked = {each.archive: each for each in found.unpacked}
        self._paths = found.paths
        self.storage = found.base
        self._root = os.path.join(os.fsencode(str(locate(self.storage))), b"")
        # Of an archive, all images have one file; finding it takes as long as reading one.
        self._path_of = lru_cache(maxsize=_FILES)(self._located)

    @staticmethod
    def claims(name: str) -> bool:
        """Return whether a plan's source consists of files."""
        return SourceName.parse(name) is not None

    @property
    def kept(self) -> tuple[Kept, ...]:  # type: ignore[override]
        """The files that archives had to be unpacked to."""
        if not self._unpacked:
            return ()
        from prep.sources.archives.solid import kept_archive

        return tuple(map(kept_archive, self._known.unpacked))

    def require_there(self) -> None:
        from prep.sources.layouts.base import Place  # It takes a while to load.

        for path in self._paths:
            if not is_url(path):
                Place.at(path)

    def catalog(self, wanted: Wanted) -> Catalog:
        # They load what workers don't need.
        from prep.sources.labelling.labelling import labelled
        from prep.sources.layouts.merging import AllSplits, merge_catalogs
        from prep.sources.layouts.recognition import read_catalog
        from prep.sources.manifest import require_readable

        given = self._known.given
        if isinstance(given, str):
            catalog = read_catalog(given, wanted)
        else:
            every = AllSplits.of(wanted)
            parts = [read_catalog(path, every, split) for split, path in given.parts]
            catalog = merge_catalogs(given, parts, wanted)
        self._open(catalog.source)  # From now on, it reads what it has listed.
        listed = labelled(catalog, wanted)
        try:
            require_readable(listed.images, listed.source)
        except ValueError as error:
            raise SourceError(f"source: {error}") from None
        return listed

    def label_map(self) -> tuple[LabelMap, str] | None:
        if not isinstance(self._known.given, str) or not locate(self._known.given).is_dir():
            return None
        beside = os.path.join(self._known.given, LABEL_MAP)
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
        if entry.offset is None or entry.how == "row":
            return self.fetch(entry)
        from prep.sources.archives.member_reading import read_member

        return read_member(self._path(entry.file), entry, self._is_kept(entry))

    def fetch(self, entry: ImageEntry) -> bytes:
        if entry.offset is None:
            return read_file(self._path(entry.file), entry.stamp)
        if entry.how == "row":
            from prep.sources.tables.row_groups import read_row

            return read_row(self._path(entry.file), entry)
        from prep.sources.archives.member_reading import fetch_member

        return fetch_member(self._path(entry.file), entry, self._is_kept(entry))

    def read_ahead(
        self, entries: Iterable[ImageEntry]
    ) -> Generator[tuple[ImageEntry, Callable[[], bytes]]]:
        for are_rows, run in groupby(entries, lambda entry: entry.how == "row"):
            if are_rows:
                from prep.sources.tables.row_groups import read_rows_ahead

                yield from read_rows_ahead(run, self._path)
            else:
                yield from super().read_ahead(run)

    def unpack(self, entry: ImageEntry, data: bytes, most: int) -> bytes:
        if entry.how != "deflate":
            return data
        from prep.sources.archives.member_reading import unpack_member

        return unpack_member(entry, data, most)

    def read_in_pieces(self, entry: ImageEntry) -> Iterator[bytes]:
        if entry.offset is None:
            yield from read_in_pieces(self._path(entry.file))
        elif entry.how != "deflate":
            yield self.fetch(entry)
        else:
            from prep.sources.archives.member_reading import unpack_in_pieces

            yield from unpack_in_pieces(entry, self.fetch(entry))

    def stamp(self, entry: ImageEntry) -> Stamp:
        if entry.offset is None:
            return stamp_of(self._path(entry.file))
        if entry.how == "row":
            from prep.sources.tables.row_groups import stamp_of_row

            return stamp_of_row(self._path(entry.file), entry)
        from prep.sources.archives.member_reading import stamp_of_member

        return stamp_of_member(self._path(entry.file), entry, self._is_kept(entry))

    def location(self, file: bytes) -> str | None:
        path = os.fsdecode(file)
        return path if is_absolute(file) else os.path.join(self.storage, path)

    def is_visible(self) -> bool:
        paths = (path for path in self._paths if path not in self._unpacked)
        return all(is_url(path) or locate(path).exists() for path in paths)

    @property
    def reach(self) -> str:
        return f"in {some([quoted(path) for path in self._paths])}"

    def _path(self, file: bytes) -> bytes:
        """Return where this host sees a file; raise OSError if it is none of this source."""
        return self._path_of(file) if is_absolute(file) else self._root + file

    def _is_kept(self, entry: ImageEntry) -> bool:
        """Return whether an image is read from a file that its archive was unpacked to."""
        return bool(self._unpacked) and os.fsdecode(entry.file) in self._unpacked

    def _located(self, file: bytes) -> bytes:
        """Return where this host sees a file with an absolute path or a URL."""
        path = os.fsdecode(file)
        if path in self._unpacked:
            from prep.sources.archives.solid import path_of_unpacked

            return os.fsencode(path_of_unpacked(self._unpacked[path], self._folder))
        if not any(leads_below(path, root) for root in self._paths):
            raise OSError(errno.EINVAL, "not a file of this source", path)
        return os.fsencode(str(locate(path)))
