"""The files of a set of tables, and the splits that their names tell."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from prep.errors import SourceError
from prep.settings.choices import DEFAULT_SPLIT
from prep.sources.folders.ignored import Passed
from prep.sources.folders.names import is_plainly_a_split
from prep.sources.folders.output_place import output_inside
from prep.sources.folders.tree import Tree
from prep.sources.layouts.base import Place
from prep.storage.location import Location
from prep.text import quoted, some

#: Extensions of files by layout, without the dot.
EXTENSIONS = {"parquet": (b"parquet", b"parq", b"pq"), "arrow": (b"arrow", b"feather", b"ipc")}
# ``train-00000-of-00002-0123456789abcdef``: numbers, and a hash of the contents.
_OF_SEVERAL = re.compile(r"-\d{5}-of-\d{5}.*")
_NUMBERS = re.compile(r"([-_.]\d+)*([-_.][0-9a-f]{8,})?$")
_BETWEEN = re.compile(r"[-._ ]")
# What such files are called, whatever is in them.
_GENERAL = re.compile(r"data|dataset|default|part|shard|file|images?|table|\d*", re.IGNORECASE)
# The tables that ``datasets`` keeps of what was computed from others.
_COMPUTED = b"cache-"
_PARTIAL = "partial-"  # Of sets that the Hub has converted a part of.


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFile:
    """A file of a set.

    Attributes:
        name: its path in the source, with which the names of its images begin.
        file: as entries have it: relative to the source, or absolute if it is the source.
        location: where it is from here.
        split: what its name tells; None if nothing.
    """

    name: str
    file: bytes
    location: Location
    split: str | None

    @property
    def place(self) -> Place:
        """The file, to look at."""
        return Place.at(str(self.location))


def files_of(place: Place, layout: str, output: str, passed: Passed) -> list[TableFile]:
    """Return the tables of a source, by name.

    Args:
        place: one of them, or a folder of them.
        layout: ``parquet`` or ``arrow``.
        output: the output of the configuration, which may lie in the source, and is not read.
        passed: counts the other files.

    Raises:
        SourceError: there are none, or those of several sets.
    """
    if not place.is_folder:
        base = place.name.rpartition("/")[2]
        file = os.fsencode(place.name)
        return [TableFile(name=base, file=file, location=place.location, split=split_told_by(base))]
    names = [*_tables_below(place, layout, output, passed)]
    if not names:
        raise SourceError(
            f"source: {quoted(place.name)} holds no {layout.capitalize()} file; leave `layout` "
            "out, or give another source"
        )
    files = [
        TableFile(name=n, file=os.fsencode(n), location=place.location / n, split=split_told_by(n))
        for n in names
    ]
    _require_one_set(place, files)
    return files


def _tables_below(place: Place, layout: str, output: str, passed: Passed) -> Iterable[str]:
    """Return the paths of the tables in a folder, but for those in the output."""
    inside = output_inside(place.name, output)
    tree = Tree(place.name, frozenset(EXTENSIONS[layout]))
    seen = set() if inside is None else {tree.real(inside)}
    found = []
    for folder in tree.walk(b"", seen):
        passed.add(folder.passed)
        for path in folder.images:
            if os.path.basename(path).startswith(_COMPUTED):
                passed.note("table that was computed from others", path)
            else:
                found.append(os.fsdecode(path))
    return sorted(found, key=os.fsencode)


def split_told_by(path: str) -> str | None:
    """Return the split that the name of a table tells; None if it tells none.

    >>> split_told_by("data/train-00000-of-00002.parquet"), split_told_by("test/0000.parquet")
    ('train', 'test')
    >>> split_told_by("beans-val.arrow"), split_told_by("data/clean.100-00000-of-00001.parquet")
    ('val', 'clean.100')
    >>> split_told_by("data.parquet")
    """
    *folders, base = path.split("/")
    stem = os.path.splitext(base)[0]
    named = _OF_SEVERAL.search(stem)
    name = stem[: named.start()] if named else _NUMBERS.sub("", stem)
    words = _BETWEEN.split(name)
    for word in (name, words[-1], words[0]):
        if is_plainly_a_split(word):
            return word
    for folder in reversed(folders):
        if is_plainly_a_split(folder.removeprefix(_PARTIAL)):
            return folder.removeprefix(_PARTIAL)
    return name if named and not _GENERAL.fullmatch(name) else None


def _require_one_set(place: Place, files: Sequence[TableFile]) -> None:
    """Raise SourceError if files seem to be those of several sets, which lie in folders of each."""
    sets: dict[str, TableFile] = {}
    for file in files:
        folders = file.name.split("/")[:-1]
        above = [f for f in folders if not is_plainly_a_split(f.removeprefix(_PARTIAL))]
        sets.setdefault("/".join(above), file)
    if len(sets) > 1:
        told = some([quoted(file.name) for file in sets.values()])
        raise SourceError(
            f"source: {quoted(place.name)} holds tables of {len(sets)} sets: {told}; give the "
            "folder of one as the source, or a list of these folders"
        )


def splits_of(files: Sequence[TableFile]) -> tuple[list[str], str]:
    """Return the split of each file, and where they are from, in words.

    Raises:
        SourceError: the names of some tell it, and those of others don't.
    """
    told = [file.split for file in files]
    if not any(told):
        return [DEFAULT_SPLIT] * len(files), "no splits in the names of files"
    if None in told:
        other = files[told.index(None)].name
        raise SourceError(
            f"source: the name of {quoted(other)} tells no split, as those of other tables do; "
            "rename it, or give the tables of each split, as in {train: a.parquet}"
        )
    return [split for split in told if split], "splits from the names of files"


def parts_told(files: Sequence[TableFile]) -> tuple[str, ...]:
    """Return the doubt that only a part of a set is there, if its folders say so."""
    partial = [file.name for file in files if f"/{_PARTIAL}" in f"/{file.name}"]
    return (
        (f"{quoted(partial[0])} is a part of a set, by the name of its folder",) if partial else ()
    )
