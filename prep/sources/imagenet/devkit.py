"""Files beside the images of ImageNet that tell their classes: the devkit's, and Kaggle's."""

from __future__ import annotations

import io
import os
import re
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from prep.errors import SourceError
from prep.parsing import text_of
from prep.sources.imagenet.file_systems import FileSystem
from prep.sources.imagenet.synsets import Synsets, parse_map, parse_meta, parse_words
from prep.sources.imagenet.validation import (
    ValidationLabels,
    parse_ground_truth,
    parse_solution,
    parse_wnids,
)
from prep.text import MANY, quoted, reason_of, sentence_of, some

_MAP = "map_clsloc.txt"
_WORDS = ("LOC_synset_mapping.txt", "synset_words.txt")
_METAS = ("meta.mat", "meta_clsloc.mat")
_SOLUTION = "LOC_val_solution.csv"
_WNIDS = "imagenet_2012_validation_synset_labels.txt"
_GROUND_TRUTH = re.compile(r"ILSVRC20\d\d_(clsloc_)?validation_ground_truth\.txt")
_KNOWN = frozenset((_MAP, *_WORDS, *_METAS, _SOLUTION, _WNIDS))
_DEVKIT = re.compile(r".*devkit(?!_t3)[^.]*(?P<packed>\.tar|\.tar\.gz|\.tgz)?", re.IGNORECASE)
_LARGEST_UNPACKED = 1 << 28  # 256 MiB; that of 2012 takes 8 MB
_GZIP = zlib.MAX_WBITS | 16


@dataclass(frozen=True, slots=True)
class _Document:
    """A file: its absolute name, which goes on within an archive, and its contents when asked."""

    name: str
    read: Callable[[], bytes]

    def text(self) -> str:
        """Return the contents as text; raise SourceError if they can't be read."""
        try:
            return text_of(self.read())
        except ValueError as error:
            raise SourceError(
                f"source: {quoted(self.name)} can't be read: {reason_of(error)}"
            ) from None


_Documents = Mapping[str, _Document]


@dataclass(frozen=True, slots=True, kw_only=True)
class DevkitData:
    """Classes and labels from the files beside the images.

    Attributes:
        synsets: all classes, with the best names there are; None if no file lists them.
        validation: labels of the validation images, from each file that has them.
        files: absolute names of the files that were read.
    """

    synsets: Synsets | None = None
    validation: tuple[ValidationLabels, ...] = ()
    files: frozenset[str] = frozenset()


def read_devkits(
    folders: Sequence[tuple[FileSystem, str]], *, validation: bool, needed: bool
) -> DevkitData:
    """Read what files in some folders, and in devkits in these, tell of the classes.

    ``meta.mat`` is read only where no text file tells the same.

    Args:
        folders: each in its file system, by its path there.
        validation: whether to read labels of validation images.
        needed: whether nothing else tells these.

    Raises:
        SourceError: a file can't be read, or contradicts another.
    """
    kits = _Kits([documents for fs, path in folders for documents in _devkits(fs, path)])
    if not kits.lists():
        kits.read_metas()
    labels = kits.labels() if validation else []
    if needed and not labels and kits.ground_truths():
        kits.read_metas()
        labels = kits.labels()
    return DevkitData(
        synsets=_merged(kits.lists()), validation=tuple(labels), files=frozenset(kits.read)
    )


class _Kits:
    """Files by name, of each folder that may be a devkit, and what was read of them."""

    def __init__(self, kits: Sequence[_Documents]) -> None:
        self._kits = kits
        self.read: set[str] = set()
        self._maps = [self._parsed(kit, _MAP, parse_map) for kit in kits]
        self._words = [self._parsed(kit, name, parse_words) for kit in kits for name in _WORDS]
        self._metas: list[Synsets | None] = [None] * len(kits)

    def lists(self) -> list[Synsets]:
        """Return all lists of classes that were read, those with the best names first."""
        return [found for found in (*self._words, *self._metas, *self._maps) if found is not None]

    def read_metas(self) -> None:
        """Read the ``meta.mat`` of all kits."""
        for number, kit in enumerate(self._kits):
            document = next((kit[name] for name in _METAS if name in kit), None)
            if document is not None and self._maps[number] is None:
                self.read.add(document.name)
                self._metas[number] = parse_meta(document.name, document.read())

    def ground_truths(self) -> list[tuple[int, _Document]]:
        """Return the ground truths, each with the position of its kit."""
        return [
            (number, document)
            for number, kit in enumerate(self._kits)
            for name, document in kit.items()
            if _GROUND_TRUTH.fullmatch(name)
        ]

    def labels(self) -> list[ValidationLabels]:
        """Return the labels of validation images from all files that can be understood by now."""
        found: list[ValidationLabels] = []
        for kit in self._kits:
            for name, parse in ((_SOLUTION, parse_solution), (_WNIDS, parse_wnids)):
                if name in kit:
                    self.read.add(kit[name].name)
                    found.append(parse(kit[name].name, kit[name].text()))
        for number, document in self.ground_truths():
            numbered = self._numbers_of(number)
            if numbered is not None:
                self.read.add(document.name)
                found.append(parse_ground_truth(document.name, document.text(), numbered))
        return found

    def _numbers_of(self, kit: int) -> Synsets | None:
        """Return what tells the numbers of a kit's ground truth: a file of its own, if it has."""
        own = (self._maps[kit], self._metas[kit])
        return next((found for found in (*own, *self.lists()) if found and found.ids), None)

    def _parsed(
        self, kit: _Documents, name: str, parse: Callable[[str, str], Synsets]
    ) -> Synsets | None:
        if name not in kit:
            return None
        self.read.add(kit[name].name)
        return parse(kit[name].name, kit[name].text())


def _merged(lists: Sequence[Synsets]) -> Synsets | None:
    """Return the first list; raise SourceError if another has other classes."""
    for other in lists[1:]:
        first = lists[0]
        different = sorted(first.words.keys() ^ other.words.keys())
        if different:
            raise SourceError(
                f"source: {quoted(first.file)} has {len(first.words):,} classes and "
                f"{quoted(other.file)} {len(other.words):,}; only one of them has "
                f"{some(different, most=MANY)}; remove the file that is wrong"
            )
    return lists[0] if lists else None


def _devkits(fs: FileSystem, path: str) -> Iterator[_Documents]:
    """Yield the files of each devkit in a folder, by name; those that lie loose are one."""
    entries = fs.entries(path)
    yield _documents_in(fs, path, entries)
    for name, is_folder in entries.items():
        match = _DEVKIT.fullmatch(name)
        if match is None:
            continue
        below = os.path.join(path, name)
        if is_folder:
            for folder in (below, os.path.join(below, "data")):
                yield _documents_in(fs, folder, fs.names(folder))
        elif match["packed"]:
            yield _documents_packed(fs, below)


def _is_known(name: str) -> bool:
    return name in _KNOWN or _GROUND_TRUTH.fullmatch(name) is not None


def _documents_in(fs: FileSystem, folder: str, names: Iterable[str]) -> _Documents:
    found = ((name, os.path.join(folder, name)) for name in names if _is_known(name))
    return {name: _Document(fs.at(file), partial(fs.read, file)) for name, file in found}


def _documents_packed(fs: FileSystem, archive: str) -> _Documents:
    """Return the files of a devkit as downloaded, a small tar file, mostly compressed."""
    data, name_of_all = fs.read(archive), fs.at(archive)
    found: dict[str, _Document] = {}
    try:
        data = _unpacked(data) if data.startswith(b"\x1f\x8b") else data
        with tarfile.open(fileobj=io.BytesIO(data)) as members:
            for member in members:
                name = member.name.rpartition("/")[2]
                if member.isfile() and _is_known(name):
                    file = members.extractfile(member)
                    contents = b"" if file is None else file.read()
                    found[name] = _Document(
                        f"{name_of_all}/{member.name}", partial(bytes, contents)
                    )
    except (tarfile.TarError, zlib.error, EOFError, ValueError) as error:
        raise SourceError(
            f"source: {quoted(name_of_all)} can't be read: {sentence_of(error)}; download it again"
        ) from None
    return found


def _unpacked(data: bytes) -> bytes:
    stream = zlib.decompressobj(_GZIP)
    unpacked = stream.decompress(data, _LARGEST_UNPACKED)
    if not stream.eof:
        too_large = len(unpacked) == _LARGEST_UNPACKED
        raise ValueError("it is far larger than a devkit" if too_large else "it ends too early")
    return unpacked
