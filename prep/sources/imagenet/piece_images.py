"""The images of one piece of ImageNet: their names and places, and what their names tell."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import Any

import numpy as np

from prep.sources.archives.members import HOWS, Members
from prep.sources.archives.tar import index_tar
from prep.sources.folders.ignored import OTHER, Passed
from prep.sources.folders.names import SYSTEM_FOLDERS, extension_of
from prep.sources.folders.tree import Tree
from prep.sources.imagenet.pieces import Piece
from prep.sources.imagenet.synsets import WNID

_WNID = WNID.pattern.encode()
# The last folder, or tar, of a path that is called like a class.
_CLASS_FOLDER = re.compile(rb"(?:.*/)?(" + _WNID + rb")(?:\.tar)?(?:/.*)?", re.DOTALL)
_CLASS_IN_NAME = re.compile(rb"(" + _WNID + rb")_\d+\.[^.]+")
_NUMBER = re.compile(rb"ILSVRC20\d\d_val_(\d{8})\.[^.]+", re.IGNORECASE)
_DEEPER = "folder that is not read"


@dataclass(slots=True, kw_only=True)
class PieceImages:
    """The images of a piece, in any order; columns of one length.

    Attributes:
        paths: their names, relative to the source.
        sizes, times: the stamps.
        files: the file of each, or None if all are whole files.
        offsets, hows: where in it, if there are files.
        passed: what is no image.
        outside: names that lead out of an archive.
    """

    paths: list[bytes] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    files: list[bytes] | None = None
    offsets: list[int] = field(default_factory=list)
    hows: list[bytes] = field(default_factory=list)
    passed: Passed = field(default_factory=Passed)
    outside: list[bytes] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.paths)

    def keep(self, chosen: Sequence[bool]) -> None:
        """Keep the chosen images alone."""
        self.paths = [*compress(self.paths, chosen)]
        self.sizes = [*compress(self.sizes, chosen)]
        self.times = [*compress(self.times, chosen)]
        if self.files is not None:
            self.files = [*compress(self.files, chosen)]
            self.offsets = [*compress(self.offsets, chosen)]
            self.hows = [*compress(self.hows, chosen)]

    def columns(self, *, places: bool) -> dict[str, Sequence[Any]]:
        """Return the columns of a catalog, but split and class.

        Args:
            places: whether to tell the places of whole files, too.
        """
        found: dict[str, Sequence[Any]] = {
            "path": self.paths,
            "size": self.sizes,
            "mtime": self.times,
        }
        if self.files is not None:
            return found | {"file": self.files, "offset": self.offsets, "how": self.hows}
        if not places:
            return found
        count = len(self)
        return found | {"file": self.paths, "offset": [-1] * count, "how": [b"bytes"] * count}


def list_piece(piece: Piece, source: str, extensions: frozenset[bytes]) -> PieceImages:
    """List the images of a piece.

    Args:
        source: the absolute path or URL that names are relative to.
        extensions: of images, in lower case.

    Raises:
        SourceError: it can't be listed, or a tar is damaged.
        StorageUnavailable: it is in a storage that does not answer.
    """
    if piece.kind == "tar":
        file = os.fsencode(piece.path or piece.at)
        prefix = os.path.join(os.fsencode(piece.path), b"")
        found = PieceImages(files=[])
        _add_members(found, index_tar(piece.location), prefix, file, extensions)
        return found
    if piece.kind == "class tars":
        return _in_class_tars(piece, extensions)
    return _in_folders(piece, source, extensions)


def wnids_in(paths: Iterable[bytes]) -> Iterator[str | None]:
    """Yield the classes that the folders or tars of images are called by; None for the others."""
    known = dict[bytes, str | None]()
    for path in paths:
        folder = path.rpartition(b"/")[0]
        if folder not in known:
            match = _CLASS_FOLDER.fullmatch(folder)
            known[folder] = match[1].decode() if match else None
        yield known[folder]


def wnid_in_name(path: bytes) -> str | None:
    """Return the class that the name of a training image begins with: ``n01440764_10026.JPEG``."""
    match = _CLASS_IN_NAME.fullmatch(path.rpartition(b"/")[2])
    return match[1].decode() if match else None


def number_in_name(path: bytes) -> int | None:
    """Return the number of a validation image: 1 of ``ILSVRC2012_val_00000001.JPEG``."""
    match = _NUMBER.fullmatch(path.rpartition(b"/")[2])
    return int(match[1]) if match else None


def _in_class_tars(piece: Piece, extensions: frozenset[bytes]) -> PieceImages:
    found = PieceImages(files=[])
    names = [n for n in piece.location.names() if n.endswith(".tar") and WNID.fullmatch(n[:-4])]
    tars = [piece.location / name for name in names]
    for name, members in zip(names, piece.location.each(index_tar, tars), strict=True):
        file = os.fsencode(os.path.join(piece.path, name))
        _add_members(found, members, file + b"/", file, extensions)
    return found


def _add_members(
    found: PieceImages, members: Members, prefix: bytes, file: bytes, extensions: frozenset[bytes]
) -> None:
    """Add the members of a tar that are images.

    Args:
        prefix: of their names.
        file: the tar, as the source names it.
    """
    assert found.files is not None
    found.passed.add(members.passed)
    found.outside += [prefix + name for name in members.outside]
    kept = []
    for row, name in enumerate(members.names):
        reason = _not_an_image(name, extensions)
        if reason is None:
            kept.append(row)
        else:
            found.passed.note(reason, prefix + name)
    names = members.names if len(kept) == len(members) else [members.names[row] for row in kept]
    rows = np.array(kept, np.int64)
    hows = [how.encode() for how in HOWS]
    found.paths += [prefix + name for name in names] if prefix else names
    found.sizes += members.sizes[rows].tolist()
    found.times += members.marks[rows].tolist()
    found.files += [file] * len(kept)
    found.offsets += members.offsets[rows].tolist()
    found.hows += [hows[how] for how in members.hows[rows].tolist()]


def _not_an_image(name: bytes, extensions: frozenset[bytes]) -> str | None:
    folders, _, last = name.rpartition(b"/")
    if last.startswith(b"."):
        return "hidden"
    if extension_of(last) not in extensions:
        return OTHER
    if folders and not SYSTEM_FOLDERS.isdisjoint(folders.split(b"/")):
        return "folder of a system"
    return None


def _in_folders(piece: Piece, source: str, extensions: frozenset[bytes]) -> PieceImages:
    tree = Tree(source, extensions)
    path = os.fsencode(piece.path)
    top = tree.folder(path)
    found = PieceImages()
    if piece.kind == "flat":
        folders = [top]
        for below in top.below():
            found.passed.note(_DEEPER, below)
    elif path:
        folders = [*tree.walk(path, set())]
    else:  # What else lies beside the classes is no part of them.
        classes = [name for name in top.folders if WNID.fullmatch(os.fsdecode(name))]
        tree.prepare(classes)
        seen = set[bytes]()
        folders = [folder for name in classes for folder in tree.walk(name, seen)]
    for folder in folders:
        found.passed.add(folder.passed)
        found.paths += folder.images
        found.sizes += folder.sizes
        found.times += folder.mtimes
    return found
