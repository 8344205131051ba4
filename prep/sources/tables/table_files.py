"""The files of a set of tables, and the splits that their names tell."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from prep.errors import SourceError
from prep.sources.base import Wanted
from prep.sources.folders.ignored import Passed
from prep.sources.folders.names import extension_of, is_plainly_a_split
from prep.sources.layouts.base import Place
from prep.sources.layouts.shard_files import shards_at, split_in_name
from prep.storage.location import Location
from prep.text import quoted, some

#: Extensions of files by layout, without the dot.
EXTENSIONS = {"parquet": (b"parquet", b"parq", b"pq"), "arrow": (b"arrow", b"feather", b"ipc")}
# ``train-00000-of-00002-0123456789abcdef``: numbers, and a hash of the contents.
_OF_SEVERAL = re.compile(r"(.*?)-\d{5}-of-\d{5}.*")
# What such files are called, whatever is in them.
_GENERAL = re.compile(r"data|dataset|default|part|shard|file|images?|table|\d*", re.IGNORECASE)
# The tables that ``datasets`` keeps of what was computed from others.
_COMPUTED = b"cache-"
# What ``datasets`` and the Hub put beside tables.
BESIDE = ("dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json", "README.md")
_PARTIAL = "partial-"  # Of sets that the Hub has converted a part of.


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFile:
    """A file of a set.

    Attributes:
        name: its path in the source, with which the names of its images begin.
        file: as entries have it: relative to the source, or absolute if it is the source.
        location: where it is from here.
        split: of its images, as its name tells it.
    """

    name: str
    file: bytes
    location: Location
    split: str

    @property
    def place(self) -> Place:
        """The file, to look at."""
        return Place.at(str(self.location))


@dataclass(frozen=True, kw_only=True)
class TableSet:
    """The tables of a source.

    Attributes:
        files: by name.
        tells_splits: whether their names tell the splits.
        passed: other files.
        doubts: which tables seem to be absent, a sentence each.
    """

    files: Sequence[TableFile]
    tells_splits: bool
    passed: Passed
    doubts: tuple[str, ...]


def tables_at(place: Place, layout: str, wanted: Wanted) -> TableSet:
    """Return the tables of a source: one, or those in a folder.

    Args:
        layout: ``parquet`` or ``arrow``.

    Raises:
        SourceError: there are none, or those of several sets.
        ConfigError: the output is the source.
    """
    shards = shards_at(place, wanted, partial(_is_table, layout), BESIDE, split_of_table)
    base = place.name.rpartition("/")[2]
    files = [
        TableFile(
            name=os.fsdecode(path) if path else base,
            file=path or os.fsencode(place.name),
            location=place.location / os.fsdecode(path) if path else place.location,
            split=split,
        )
        for path, split in zip(shards.paths, shards.splits, strict=True)
    ]
    _require_one_set(place, files)
    return TableSet(
        files=files,
        tells_splits=any(split_of_table(file.name) for file in files),
        passed=shards.passed,
        doubts=(*shards.doubts, *_doubts_about_parts(files)),
    )


def _is_table(layout: str, name: bytes) -> bool:
    return extension_of(name) in EXTENSIONS[layout] and not name.startswith(_COMPUTED)


def split_of_table(path: str) -> str | None:
    """Return the split that the name of a table tells; None if it tells none.

    Hugging Face's libraries name tables by their splits, whatever these are called.

    >>> split_of_table("data/train-00000-of-00002.parquet"), split_of_table("test/0000.parquet")
    ('train', 'test')
    >>> split_of_table("data/clean.100-00000-of-00001.parquet"), split_of_table("data.parquet")
    ('clean.100', None)
    """
    told = split_in_name(path)
    named = _OF_SEVERAL.fullmatch(os.path.basename(path))
    if told is not None or named is None or _GENERAL.fullmatch(named[1]):
        return told
    return named[1]


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


def _doubts_about_parts(files: Sequence[TableFile]) -> tuple[str, ...]:
    """Return the doubt that only a part of a set is there, if its folders say so."""
    partial = [file.name for file in files if f"/{_PARTIAL}" in f"/{file.name}"]
    return (
        (f"{quoted(partial[0])} is a part of a set, by the name of its folder",) if partial else ()
    )
