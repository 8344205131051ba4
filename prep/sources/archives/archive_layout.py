"""Archives as a layout, and which kind of archive a file is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from prep.sources.archives.tars.tar_headers import BLOCK, has_checksum
from prep.sources.base import Catalog, Wanted
from prep.sources.folders.names import extension_of
from prep.sources.layouts.base import Place
from prep.storage.location import Location

if TYPE_CHECKING:
    from prep.sources.archives.members import Members
    from prep.sources.folders.tree import Tree

Kind = Literal["tar", "zip"]
_ZIP = (b"PK\3\4", b"PK\5\6")  # The latter is of an empty one.
_EMPTY_TAR = 20 * BLOCK  # Tar fills up its last record of that many bytes.
_PROGRAMS = (b"MZ", b"\x7fELF", b"#!")


class ArchiveLayout:
    """A tar or zip file of class folders, or a folder of such files."""

    title = "an archive"
    keys = ()

    def recognizes(self, place: Place) -> str | None:
        kind = None if place.is_folder else kind_of_archive(place)
        return kind and f"it begins as a {kind} file does"

    def catalog(self, place: Place, wanted: Wanted) -> Catalog:
        from prep.sources.archives.archive_folders import catalog_of_archives

        return catalog_of_archives(place, wanted)


def archive_kind(head: bytes) -> Kind | None:
    """Return which kind of archive a file is that begins so; None if it is none that is read."""
    if head.startswith(_ZIP):
        return "zip"
    header = head[:BLOCK]
    # The oldest kind of tar has no magic bytes.
    return "tar" if len(header) == BLOCK and any(header) and has_checksum(header) else None


def executable_kind(head: bytes, location: Location) -> Kind | None:
    """Return "zip" for a program that unpacks itself, with the archive behind it."""
    from prep.sources.archives.zips.central_directory import is_zip

    return "zip" if head.startswith(_PROGRAMS) and is_zip(location) else None


def empty_kind(head: bytes, location: Location) -> Kind | None:
    """Return "tar" for a tar file without members: zeros alone, and no more than tar writes."""
    zeros = bool(head) and not any(head)
    return "tar" if zeros and location.file_size() in (2 * BLOCK, _EMPTY_TAR) else None


def kind_of_archive(place: Place) -> str | None:
    """Return the kind of an archive, be it one that has to be unpacked first; None of others."""
    from prep.sources.archives.solid import solid_kind

    head = place.head
    return archive_kind(head) or executable_kind(head, place.location) or solid_kind(head)


def is_archive_name(name: bytes) -> bool:
    """Return whether a file is named like an archive that is read."""
    return extension_of(name) in (b"tar", b"zip")


def shows_archives(tree: Tree) -> bool:
    """Return whether a folder, or one in it, has files that are named like archives."""
    top = tree.folder(b"")
    return any(
        is_archive_name(name)
        for folder in (top, *tree.folders(top.below()))
        for name in folder.files
    )


def index_of(archive: Location, kind: Kind) -> Members:
    """Return the index of an archive.

    Raises:
        SourceError: it is damaged, truncated, or holds what can't be read.
        StorageUnavailable: it is in a storage that does not answer.
    """
    # They take a while to load, and most sources are folders.
    if kind == "zip":
        from prep.sources.archives.zip import index_zip

        return index_zip(archive)
    from prep.sources.archives.tar import index_tar

    return index_tar(archive)
