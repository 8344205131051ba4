"""Sets of shards: many files of samples in a folder, whose names tell the splits."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from prep.errors import SourceError
from prep.settings.choices import DEFAULT_SPLIT
from prep.settings.output_names import RESULTS
from prep.sources.base import Wanted
from prep.sources.folders.ignored import OTHER, Passed
from prep.sources.folders.names import EXTENSIONS, role_of
from prep.sources.folders.output_place import output_inside
from prep.sources.folders.tree import Tree
from prep.sources.layouts.base import Place
from prep.text import quoted, some

#: Names of files, as bytes, that a layout takes for its shards.
IsShard = Callable[[bytes], bool]

_WORD = re.compile(r"[A-Za-z]+")
# Of names such as ``mnist-train.tfrecord-00000-of-00001``: no words of a split.
_OF_SHARDS = frozenset(
    ["of", "tar", "tfrecord", "tfrecords", "tfrec", "gz", "shard", "part", "data"]
)
# Entries of a folder that are looked at, to see whether shards lie in it.
_GLANCE = 16
# More folders than this are classes.
_MOST_FOLDERS = 20


@dataclass(frozen=True, kw_only=True)
class ShardFiles:
    """The shards of a source.

    Attributes:
        paths: relative to the source, by name; an empty one is the source itself.
        splits: the split of each.
        doubts: what may be a mistake about the splits.
        passed: other files, for they are no part of the set.
    """

    paths: tuple[bytes, ...]
    splits: tuple[str, ...]
    doubts: tuple[str, ...]
    passed: Passed = field(default_factory=Passed)


def shards_at(place: Place, wanted: Wanted, is_shard: IsShard, beside: Sequence[str]) -> ShardFiles:
    """Return the shards in a folder, at any depth, or the one that a place is.

    Args:
        beside: names of files that the layout reads, and that are no shards.

    Raises:
        SourceError: there are none.
        ConfigError: the output is the source.
    """
    if not place.is_folder:
        return _with_splits([b""], [os.fsencode(os.path.basename(place.name))], Passed())
    inside = output_inside(place.name, wanted.output)
    tree = Tree(place.name, frozenset())
    seen = set() if inside is None else {tree.real(inside)}
    known = {os.fsencode(name) for name in (*beside, *RESULTS)}
    found: list[bytes] = []
    passed = Passed()
    for folder in tree.walk(b"", seen):
        for name in folder.files:
            path = os.path.join(folder.path, name)
            if is_shard(name):
                found.append(path)
            elif name not in known:
                passed.note(OTHER, path)
        for item in folder.passed.ignored():
            if item.reason != OTHER:
                passed.note(item.reason, os.fsencode(item.example), item.count)
    if not found:
        raise SourceError(
            f"source: {quoted(place.name)} holds no shard; leave `layout` out, or give another "
            "source"
        )
    return _with_splits(sorted(found), sorted(found), passed)


def _with_splits(paths: list[bytes], names: list[bytes], passed: Passed) -> ShardFiles:
    told = [split_in_name(os.fsdecode(name)) for name in names]
    untold = [quoted(os.fsdecode(n)) for n, split in zip(names, told, strict=True) if not split]
    doubts: tuple[str, ...] = ()
    if untold and any(told):
        doubts = (
            f"the names of {some(untold)} tell no split, unlike those of others: they are taken "
            f"for {quoted(DEFAULT_SPLIT)}",
        )
    splits = tuple(split or DEFAULT_SPLIT for split in told)
    return ShardFiles(paths=tuple(paths), splits=splits, doubts=doubts, passed=passed)


def split_in_name(path: str) -> str | None:
    """Return the split that the path of a shard tells; None if it tells none.

    >>> split_in_name("imagenet-val-3.tar"), split_in_name("mnist-test.tfrecord-00000-of-00001")
    ('val', 'test')
    >>> split_in_name("train/00003.tar"), split_in_name("cats/cats-00000-of-00002.tfrecord")
    ('train', 'cats')
    >>> split_in_name("00003.tar")
    """
    folder, _, name = path.rpartition("/")
    folder = os.path.basename(folder)
    if folder and re.match(re.escape(folder) + r"-\d+-of-\d+", name):
        return folder  # As outputs have them, whatever their splits are called.
    words: list[str] = [word for word in _WORD.findall(name) if word.lower() not in _OF_SHARDS]
    for word in (*words[:1], *words[-1:]):
        if role_of(word) in ("train", "validation", "test"):
            return word
    return folder if folder and role_of(folder) is not None else None


def first_shard(place: Place, is_shard: IsShard) -> str | None:
    """Return the path of a shard in a folder, or in one that it holds; None if none is seen.

    It is a glance: a folder of images is not read for it.
    """
    names = [name for name, is_folder in place.entries.items() if not is_folder]
    found = next((name for name in names if is_shard(os.fsencode(name))), None)
    if found is not None:
        return found
    folders = [n for n, is_folder in place.entries.items() if is_folder and n[:1] != "."]
    if len(folders) > _MOST_FOLDERS:
        return None
    below = (_first_in(place, folder, is_shard) for folder in folders)
    return next(filter(None, below), None)


def _first_in(place: Place, folder: str, is_shard: IsShard) -> str | None:
    inside = place.location / folder
    if inside.local is None:
        names = inside.names(f"{folder}-")  # Of a million images, a storage lists none so.
    else:
        try:
            with os.scandir(inside.local) as entries:
                names = [entry.name for entry in itertools.islice(entries, _GLANCE)]
        except OSError:
            return None
    found = sorted(name for name in names if is_shard(os.fsencode(name)))
    return f"{folder}/{found[0]}" if found else None


def holds_images(place: Place) -> bool:
    """Return whether a folder has images as files, so that shards beside them are none of it."""
    return Tree(place.name, EXTENSIONS).holds_images_below(b"")
