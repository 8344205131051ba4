"""The pieces of ImageNet in a source: tars as downloaded, and folders they are unpacked to."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NoReturn

from prep.errors import SourceError
from prep.sources.imagenet.file_systems import ArchiveFileSystem, FileSystem, FolderFileSystem
from prep.sources.imagenet.synsets import WNID
from prep.sources.layouts.base import Place
from prep.storage.locate import locate
from prep.storage.location import Location
from prep.text import opening, quoted

#: The splits of ImageNet, as its files are named, and outputs of them.
Split = Literal["train", "val", "test"]
#: How images lie in a piece: in a tar, in a folder of class tars, in class folders, or side by side
#: in one folder.
Kind = Literal["tar", "class tars", "class folders", "flat"]

_SPLITS: dict[str, Split] = {
    "train": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}
_NAMED = re.compile(rf"(ILSVRC20\d\d_img_)?({'|'.join(_SPLITS)})(?:_v\d+)?(\.tar)?", re.IGNORECASE)
#: ImageNet-21k; what is called .tar.gz there may not be compressed.
WHOLE = re.compile(r"(?:winter21|fall11)_whole\.tar(?:\.gz)?")
_CLASS_TAR = re.compile(rf"(?:.*/)?{WNID.pattern}\.tar")
# Of tars, no deeper folders: images of these names lie in subsets and trees of ImageNet, too.
_TRAIN_IMAGE = re.compile(
    rf"(?:\./)?(?:{WNID.pattern}/)?{WNID.pattern}_\d+(?:_{WNID.pattern})?\.jpe?g", re.IGNORECASE
)
_NUMBERED = re.compile(
    rf"(?:\./)?(?:(?:val|test)/)?ILSVRC20\d\d_(val|test)_\d{{8}}(?:_{WNID.pattern})?\.jpe?g",
    re.IGNORECASE,
)
# Folders in which the images of Kaggle's tree, and of ILSVRC2015's, lie.
_ABOVE = re.compile(r"ILSVRC(?:20\d\d)?|Data|CLS-LOC")
_HINT = re.compile(r"ilsvrc|imagenet|cls-loc|devkit|^LOC_", re.IGNORECASE)
# Names that the first of an archive's files are below, or have, if it holds Kaggle's tree.
_HINTS_IN_ARCHIVE = (b"ILSVRC/", b"ILSVRC20", b"CLS-LOC/", b"LOC_")
_BLOCK = 512  # bytes, of a tar
_NOT_A_FILE = frozenset((b"5", b"x", b"g", b"L", b"K"))  # Folders, and more about the next member.


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """The images of one split.

    Attributes:
        path: of the tar or the folder, relative to the source; empty for the source itself.
        at: the absolute path or URL of the same.
    """

    split: Split
    kind: Kind
    path: str
    at: str

    @property
    def location(self) -> Location:
        """The tar or the folder."""
        return locate(self.at)

    def __str__(self) -> str:
        return quoted(self.path or self.at)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadTar:
    """A file that is called like a tar of ImageNet, and does not begin like one.

    Attributes:
        path: relative to the source.
        head: the first bytes.
    """

    path: str
    head: bytes

    def refuse(self) -> NoReturn:
        """Raise the SourceError that says what it is."""
        told = "is empty" if not self.head else opening(self.head)
        packed = self.head.startswith(b"\x1f\x8b")
        remedy = "unpack it with gunzip" if packed else "download it again, or remove it"
        raise SourceError(
            f"source: {quoted(self.path)} {told}; expected a tar file of ImageNet: {remedy}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundPieces:
    """The pieces in a source, and the folders of it that were looked through for them.

    Attributes:
        fs: what they lie in; None if the source is one tar.
        folders: their paths relative to the source.
        unread: files that are called like pieces, and are none.
    """

    pieces: tuple[Piece, ...]
    fs: FileSystem | None = None
    folders: tuple[str, ...] = ()
    unread: tuple[UnreadTar, ...] = ()

    def special(self) -> Piece | None:
        """Return a piece that no reader of class folders understands, if there is one.

        Tars that lie beside the class folders that they were unpacked to are none.
        """
        plain = {
            piece.split
            for piece in self.pieces
            if piece.kind == "class folders" and "/" not in piece.path
        }
        for piece in self.pieces:
            packed = piece.kind in ("tar", "class tars")
            unpacked = piece.split in plain or (piece.split == "test" and plain == {"train", "val"})
            deep = piece.kind == "class folders" and "/" in piece.path
            if deep or piece.kind == "flat" or (packed and not unpacked):
                return piece
        return None

    def of_splits(self, splits: Sequence[str] | None) -> dict[str, Piece]:
        """Return the piece of each split that is wanted, or there, in this order.

        Raises:
            SourceError: a split is absent, or there twice, or a tar of one is none.
        """
        for tar in self.unread:
            tar.refuse()
        by_split: defaultdict[str, list[Piece]] = defaultdict(list)
        for piece in self.pieces:
            by_split[piece.split].append(piece)
        absent = [name for name in splits or () if name not in by_split]
        if absent:
            raise SourceError(
                f"splits: no {' and no '.join(map(quoted, absent))} of ImageNet in the source; "
                f"splits found: {', '.join(map(quoted, sorted(by_split))) or 'none'}"
            )
        chosen = {name: by_split[name] for name in splits or sorted(by_split)}
        for name, pieces in chosen.items():
            if len(pieces) > 1:
                raise SourceError(
                    f"source: the images of {name} are there more than once: in "
                    f"{' and in '.join(map(str, pieces))}; remove all but one, or name the "
                    "tar or folder of each split as the source: {train: …, val: …}"
                )
        return {name: pieces[0] for name, pieces in chosen.items()}


def find_pieces(root: Place) -> FoundPieces:
    """Find the pieces of ImageNet in a folder, or take a tar for one.

    Raises:
        SourceError: a folder can't be listed.
        StorageUnavailable: it is in a storage that does not answer.
    """
    split = _split_of_tar(root.head)
    if split:
        pieces = (Piece(split=split, kind="tar", path="", at=root.name),)
        return FoundPieces(pieces=pieces)
    if root.is_folder:
        return _pieces_on(FolderFileSystem(root))
    if ArchiveFileSystem.may_hold(root, _HINTS_IN_ARCHIVE):
        return _pieces_on(ArchiveFileSystem(root))
    return FoundPieces(pieces=())


def _pieces_on(fs: FileSystem) -> FoundPieces:
    folders = tuple(_folders(fs, ""))
    found = [piece for path in folders for piece in _pieces_in(fs, path)]
    tars = [tar for path in folders for tar in _tars_in(fs, path)]
    found += [tar for tar in tars if isinstance(tar, Piece)]
    return FoundPieces(
        pieces=tuple(sorted(found, key=lambda piece: piece.path)),
        fs=fs,
        folders=folders,
        unread=tuple(tar for tar in tars if isinstance(tar, UnreadTar)),
    )


def label_folders(root: Place, found: FoundPieces) -> list[tuple[FileSystem, str]]:
    """Return the folders in which files with labels and names of classes may lie.

    For a part of the set, or of Kaggle's tree, they may lie above the source.
    """
    folders = [] if found.fs is None else [(found.fs, path) for path in found.folders]
    above = root.location
    if any(not piece.path for piece in found.pieces):
        above = above.parent
        folders += _readable(above)
    while _ABOVE.fullmatch(above.name):
        above = above.parent
        folders += _readable(above)
    return folders


def names_a_piece(name: str) -> bool:
    """Return whether a file or folder of this name is an image, a class tar or a class folder.

    >>> names_a_piece("n01440764"), names_a_piece("n01440764.tar"), names_a_piece("readme.txt")
    (True, True, False)
    """
    return any(_contents([name], "train"))


def _readable(folder: Location) -> Iterator[tuple[FileSystem, str]]:
    """Yield a folder above the source, unless it can't be listed."""
    try:
        yield FolderFileSystem(Place(name=str(folder), location=folder, is_folder=True)), ""
    except SourceError:
        return


def _folders(fs: FileSystem, path: str) -> Iterator[str]:
    """Yield a folder and those in it that images of Kaggle's tree lie below."""
    yield path
    for name, is_folder in fs.entries(path).items():
        if is_folder and _ABOVE.fullmatch(name):
            yield from _folders(fs, os.path.join(path, name))


def _pieces_in(fs: FileSystem, path: str) -> Iterator[Piece]:
    entries = fs.entries(path)
    for split, kind in _contents(entries, "train"):
        yield Piece(split=split, kind=kind, path=path, at=fs.at(path))
    # In a storage, a long list takes long.
    hinted = not fs.is_remote or any(map(_HINT.search, (fs.at(path), *entries)))
    for name, is_folder in entries.items():
        named = _NAMED.fullmatch(name)
        if named and is_folder and not named[3] and hinted:
            below = os.path.join(path, name)
            yield from _pieces_of_split(fs, below, _SPLITS[named[2].lower()])


def _tars_in(fs: FileSystem, path: str) -> Iterator[Piece | UnreadTar]:
    """Yield the tars that are pieces, and those that are called like one and are none."""
    for name, is_folder in fs.entries(path).items():
        named, whole = _NAMED.fullmatch(name), WHOLE.fullmatch(name)
        if not is_folder and (whole or (named and named[3])):
            below = os.path.join(path, name)
            head = fs.head(below)
            split = _split_of_tar(head)
            if split:
                yield Piece(split=split, kind="tar", path=below, at=fs.at(below))
            elif whole or (named and named[1]):
                yield UnreadTar(path=below, head=head)


def _pieces_of_split(fs: FileSystem, path: str, split: Split) -> Iterator[Piece]:
    """Yield what is in a folder called like a split, or in one of that name in it."""
    names = [*fs.names(path)]
    inner = next((name for name in names if name.lower() == split), None)
    if inner is not None and all(name == inner or name.startswith(".") for name in names):
        path = os.path.join(path, inner)
        names = [*fs.names(path)]
    for held, kind in _contents(names, split):
        yield Piece(split=held, kind=kind, path=path, at=fs.at(path))


def _contents(names: Iterable[str], split: Split) -> Iterator[tuple[Split, Kind]]:
    """Yield the split and kind of each piece that files and folders in one folder are."""
    found = dict[tuple[Split, Kind], None]()
    for name in names:
        if numbered := _NUMBERED.fullmatch(name):
            found[_SPLITS[numbered[1].lower()], "flat"] = None
        elif _TRAIN_IMAGE.fullmatch(name):
            found["train", "flat"] = None
        elif WNID.fullmatch(name):
            found[split, "class folders"] = None
        elif _CLASS_TAR.fullmatch(name):
            found[split, "class tars"] = None
    yield from found


def _split_of_tar(head: bytes) -> Split | None:
    """Return the split that a tar holds, by its first member; None if it is none of ImageNet."""
    name = _first_file(head)
    if numbered := _NUMBERED.fullmatch(name):
        return _SPLITS[numbered[1].lower()]
    return "train" if _CLASS_TAR.fullmatch(name) or _TRAIN_IMAGE.fullmatch(name) else None


def _first_file(head: bytes) -> str:
    """Return the name of the first file in a tar; none if its header is beyond the first bytes."""
    at = 0
    while len(header := head[at : at + _BLOCK]) == _BLOCK and header[257:262] == b"ustar":
        if header[156:157] not in _NOT_A_FILE:
            return os.fsdecode(header[:100].rstrip(b"\0"))
        try:
            size = int(header[124:136].strip(b" \0") or b"0", 8)
        except ValueError:
            return ""
        at += _BLOCK + -(-size // _BLOCK) * _BLOCK
    return ""
