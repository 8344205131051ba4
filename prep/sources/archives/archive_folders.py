"""The catalog of archives: the paths in them mean what folders mean."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from prep.errors import SourceError
from prep.sources.archives.archive_layout import (
    archive_kind,
    empty_kind,
    executable_kind,
    index_of,
    is_archive_name,
    kind_of_archive,
)
from prep.sources.archives.packed_folders import Packed, PackedListing
from prep.sources.archives.solid import solid_kind, stamp_of_archive, unpack_archive
from prep.sources.base import Catalog, Wanted
from prep.sources.folders.listing import FolderListing
from prep.sources.folders.output_place import output_inside, require_apart
from prep.sources.folders.roles.shape import asked_of, unwrapped
from prep.sources.folders.survey import Survey
from prep.sources.folders.tree import Tree
from prep.sources.layouts.base import Place
from prep.sources.naming import SourceName
from prep.storage.locate import locate
from prep.text import counted, quoted

_LABEL_FILE = b".cls"  # https://github.com/webdataset/webdataset


def catalog_of_archives(place: Place, wanted: Wanted) -> Catalog:
    """List the images of a tar or zip file, or of all such files in a folder.

    Raises:
        SourceError: there are none.
    """
    if not place.is_folder:
        return _catalog(place, [b""], wanted)
    inside = output_inside(place.name, wanted.output)
    found = _archives_below(Tree(place.name), inside)
    if not found:
        raise SourceError(
            f"source: {quoted(place.name)} holds no tar or zip file; leave `layout` out, or "
            "give another source"
        )
    catalog = _catalog(place, found, wanted)
    require_apart(inside, wanted.output, catalog)
    return catalog


def scan_archives(place: Place, tree: Tree, wanted: Wanted) -> Catalog | None:
    """List the images of a folder that has archives, but no images beside them.

    Each archive is taken for a folder that is called by its stem.

    Args:
        tree: the folder.

    Returns:
        None if there are no archives, or images beside them.
    """
    if tree.holds_images_below(b""):
        return None
    inside = output_inside(place.name, wanted.output)
    found = _archives_below(tree, inside)
    return _catalog(place, found, wanted) if found else None


def _archives_below(tree: Tree, output: bytes | None) -> list[bytes]:
    """Return the paths of archives in a folder, but for shards in the output."""
    seen = set() if output is None else {tree.real(output)}
    return [
        os.path.join(folder.path, name)
        for folder in tree.walk(b"", seen)
        for name in folder.files
        if is_archive_name(name)
    ]


def _catalog(place: Place, files: Sequence[bytes], wanted: Wanted) -> Catalog:
    """List the images of some archives in a place, or of the one that it is.

    Args:
        files: paths of the archives in the place; an empty one is the place itself.
    """
    from prep.sources.folders.scan import extensions_of, scan_tree  # They take a while to load.

    archives = [packed_at(place, file, wanted) for file in files]
    inside = output_inside(place.name, wanted.output) if place.is_folder else None
    around = FolderListing(place.location) if place.is_folder else None
    tree = Tree(place.name, extensions_of(wanted.image_type), PackedListing(archives, around))
    asked = asked_of(wanted)
    if not asked.by_name:
        _require_no_labels(archives)
    also = Survey()
    for archive in archives:
        also.passed.add(archive.passed())
        also.strays.add(archive.outside())
    catalog = scan_tree(
        tree,
        asked,
        top=b"" if place.is_folder else unwrapped(tree, b"", asked.splits, asked.layout),
        image_type=wanted.image_type,
        output=inside,
        also=also,
    )
    kind = f"{kind_of_archive(place)} file" if files == [b""] else counted(len(files), "archive")
    unpacked = tuple(archive.unpacked for archive in archives if archive.unpacked)
    source = str(SourceName(given=place.name, unpacked=unpacked))
    return replace(catalog, source=source, read_as=f"{kind} of {catalog.read_as}")


def packed_at(place: Place, file: bytes, wanted: Wanted, *, may_be_empty: bool = False) -> Packed:
    """Return an archive in a place, with its index; of one compressed as a whole, unpacked.

    Args:
        file: its path in the place; empty if it is the place itself.
        may_be_empty: take a tar file without members for one, and not for one that was lost.

    Raises:
        SourceError: it is none, is damaged, or may not be unpacked.
        StorageUnavailable: it is in a storage that does not answer.
    """
    location = place.location / os.fsdecode(file) if file else place.location
    head = Place.at(os.path.join(place.name, os.fsdecode(file))).head if file else place.head
    kind = archive_kind(head) or executable_kind(head, location)
    if kind is None and may_be_empty:
        kind = empty_kind(head, location)
    if kind is None and (solid := solid_kind(head)) is not None:
        return _unpacked(place, file, solid, wanted)
    if kind is None:
        raise SourceError(
            f"source: {quoted(str(location))} is no archive, as it begins; expected a tar or zip "
            "file; move it away, or get it again"
        )
    return Packed(
        file=file or os.fsencode(place.name),
        path=str(location),
        at=file,
        members=index_of(location, kind),
    )


def _unpacked(place: Place, file: bytes, kind: str, wanted: Wanted) -> Packed:
    """Return an archive that is compressed as a whole, if it may be unpacked."""
    name = os.path.join(place.name, os.fsdecode(file)) if file else place.name
    location = locate(name)
    unpacked, here = unpack_archive(
        location, kind, name=name, allowed=wanted.unpack, output=wanted.output
    )
    inner = archive_kind(Place.at(str(here)).head)
    if inner is None:
        raise SourceError(
            f"source: {quoted(name)} holds no tar or zip file once it is unpacked; unpack it, and "
            "give what it holds"
        )
    members = index_of(here, inner)
    return Packed(
        file=os.fsencode(name),
        path=str(here),
        at=file,
        members=members.marked_as_of(stamp_of_archive(location)),
        unpacked=unpacked,
    )


def _require_no_labels(archives: Sequence[Packed]) -> None:
    """Raise SourceError for shards of WebDataset, whose labels are in members beside the images."""
    for archive in archives:
        for name in archive.members.names:
            if name.endswith(_LABEL_FILE):
                raise SourceError(
                    f"source: {quoted(os.fsdecode(os.path.join(archive.at, name)))} holds the "
                    "label of an image, as in shards of WebDataset; pass `layout='webdataset'`, or "
                    "`labels.from` if names tell the classes"
                )
