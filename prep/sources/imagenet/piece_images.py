"""The images of one piece of ImageNet: their names and places, and what their names tell."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from prep.sources.archives.members import Members
from prep.sources.archives.tar import index_tar
from prep.sources.columns import hows_of, joined, place_columns, places_of_files, table_of
from prep.sources.folders.ignored import OTHER, Passed
from prep.sources.folders.names import SYSTEM_FOLDERS, extension_of
from prep.sources.folders.tree import Tree
from prep.sources.imagenet.file_systems import FileSystem
from prep.sources.imagenet.pieces import Piece
from prep.sources.imagenet.synsets import WNID

_WNID = WNID.pattern.encode()
# The last folder, or tar, of a path that is called like a class.
_CLASS_FOLDER = re.compile(rb"(?:.*/)?(" + _WNID + rb")(?:\.tar)?(?:/.*)?", re.DOTALL)
# Copies of ImageNet have the class at the end, too: ``ILSVRC2012_val_00000293_n01751748.JPEG``.
_LAST = rb"(?:_(" + _WNID + rb"))?\.[^.]+"
_CLASS_IN_NAME = re.compile(rb"(?:(" + _WNID + rb")_\d+|(?i:ILSVRC20\d\d_val)_\d{8})" + _LAST)
_NUMBER = re.compile(rb"ILSVRC20\d\d_val_(\d{8})" + _LAST, re.IGNORECASE)
_TEST = re.compile(rb"ILSVRC20\d\d_test_\d{8}\.[^.]+", re.IGNORECASE)
_DEEPER = "folder that is not read"
_COLUMNS = ("path", "size", "mtime", "file", "offset", "how")
_NO_ROWS = table_of(dict.fromkeys(_COLUMNS, ()))


@dataclass(slots=True, kw_only=True)
class PieceImages:
    """The images of a piece, in any order.

    Attributes:
        paths: their names, relative to the source.
        rows: the columns of a catalog, but ``split`` and ``class``.
        passed: what is no image.
        outside: names that lead out of an archive.
    """

    paths: list[bytes]
    rows: pa.Table
    passed: Passed
    outside: list[bytes] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def has_places(self) -> bool:
        """True if images are parts of files."""
        return "file" in self.rows.column_names

    def keep(self, chosen: list[bool]) -> None:
        """Keep the chosen images alone."""
        self.paths = [*compress(self.paths, chosen)]
        self.rows = self.rows.filter(pa.array(chosen))

    def with_places(self) -> pa.Table:
        """Return the rows with the places of whole files, too."""
        if self.has_places:
            return self.rows
        columns = dict(zip(self.rows.column_names, self.rows.columns, strict=True))
        return pa.table(columns | places_of_files(pa.array(self.paths, pa.binary())))


def list_piece(piece: Piece, fs: FileSystem | None, extensions: frozenset[bytes]) -> PieceImages:
    """List the images of a piece.

    Args:
        fs: what it lies in; None if it is the source itself.
        extensions: of images, in lower case.

    Raises:
        SourceError: it can't be listed, or a tar is damaged.
        StorageUnavailable: it is in a storage that does not answer.
    """
    if piece.kind == "tar":
        file = os.fsencode(piece.path or piece.at)
        prefix = os.path.join(os.fsencode(piece.path), b"")
        return _members_of([(file, prefix, index_tar(piece.location))], extensions)
    if piece.kind == "class tars":
        return _members_of(_class_tars(piece), extensions)
    assert fs is not None  # A folder is one.
    return _in_folders(piece, fs.tree(extensions))


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
    """Return the class in the name of an image: ``n01440764_10026.JPEG``; None if it has none."""
    match = _CLASS_IN_NAME.fullmatch(path.rpartition(b"/")[2])
    wnid = match and (match[1] or match[2])
    return wnid.decode() if wnid else None


def is_test_image(path: bytes) -> bool:
    """Return whether an image is named like one of the test split."""
    return _TEST.fullmatch(path.rpartition(b"/")[2]) is not None


def number_in_name(path: bytes) -> int | None:
    """Return the number of a validation image: 1 of ``ILSVRC2012_val_00000001.JPEG``."""
    match = _NUMBER.fullmatch(path.rpartition(b"/")[2])
    return int(match[1]) if match else None


def _class_tars(piece: Piece) -> Iterator[tuple[bytes, bytes, Members]]:
    """Yield the tars in a folder: the name of each, the prefix of those in it, and its index."""
    names = [n for n in piece.location.names() if n.endswith(".tar") and WNID.fullmatch(n[:-4])]
    tars = [piece.location / name for name in names]
    for name, members in zip(names, piece.location.each(index_tar, tars), strict=True):
        file = os.fsencode(os.path.join(piece.path, name))
        yield file, file + b"/", members


def _members_of(
    tars: Iterable[tuple[bytes, bytes, Members]], extensions: frozenset[bytes]
) -> PieceImages:
    """Return the members of tars that are images."""
    passed, outside, paths = Passed(), list[bytes](), list[bytes]()
    tables = [_NO_ROWS]
    for file, prefix, members in tars:
        passed.add(members.passed)
        outside += [prefix + name for name in members.outside]
        names = pa.array(members.names, pa.large_binary())
        chosen = _are_images(names, extensions)
        for name in names.filter(pc.invert(chosen)).to_pylist():
            passed.note(_why_not(name, extensions), prefix + name)
        places = place_columns(pa.array([file], pa.binary()), members.offsets, members.hows)
        rows = {
            "path": joined(prefix, names),
            "size": members.sizes,
            "mtime": members.marks,
            **places,
        }
        tables.append(pa.table(rows, schema=_NO_ROWS.schema).filter(chosen))
        paths += tables[-1]["path"].to_pylist()
    rows = pa.concat_tables(tables).unify_dictionaries()
    return PieceImages(paths=paths, rows=rows, passed=passed, outside=outside)


def _are_images(names: pa.Array, extensions: frozenset[bytes]) -> pa.Array:
    """Return of each member whether it is named like an image, and nothing in its path hides it."""
    known = "|".join(re.escape(os.fsdecode(each)) for each in sorted(extensions))
    system = "|".join(re.escape(os.fsdecode(each)) for each in sorted(SYSTEM_FOLDERS))
    plain = rf"(?is)^(?:[^./][^/]*/)*[^./][^/]*\.(?:{known})$"
    return pc.and_not(
        pc.match_substring_regex(names, pattern=plain),
        pc.match_substring_regex(names, pattern=rf"(?:^|/)(?:{system})/"),
    )


def _why_not(name: bytes, extensions: frozenset[bytes]) -> str:
    parts = name.split(b"/")
    if not SYSTEM_FOLDERS.isdisjoint(parts[:-1]):
        return "folder of a system"
    hidden = any(part.startswith(b".") for part in parts)
    return "hidden" if hidden and extension_of(name) in extensions else OTHER


def _in_folders(piece: Piece, tree: Tree) -> PieceImages:
    path = os.fsencode(piece.path)
    top = tree.folder(path)
    passed = Passed()
    if piece.kind == "flat":
        folders = [top]
        for below in top.below():
            passed.note(_DEEPER, below)
    elif path:
        folders = [*tree.walk(path, set())]
    else:  # What else lies beside the classes is no part of them.
        classes = [name for name in top.folders if WNID.fullmatch(os.fsdecode(name))]
        tree.prepare(classes)
        seen = set[bytes]()
        folders = [folder for name in classes for folder in tree.walk(name, seen)]
    for folder in folders:
        passed.add(folder.passed)
    paths = [path for folder in folders for path in folder.images]
    sizes = [size for folder in folders for size in folder.sizes]
    times = [time for folder in folders for time in folder.mtimes]
    columns: dict[str, Sequence[Any]] = {"path": paths, "size": sizes, "mtime": times}
    if tree.is_packed:
        columns["file"] = [folder.archive for folder in folders for _ in folder.images]
        columns["offset"] = [offset for folder in folders for offset in folder.offsets]
        columns["how"] = hows_of([how for folder in folders for how in folder.hows])
    return PieceImages(paths=paths, rows=table_of(columns), passed=passed)
