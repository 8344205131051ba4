"""Sets of shards: many files of samples in a folder, whose names tell the splits."""

from __future__ import annotations

import itertools
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from prep.errors import SourceError
from prep.settings.choices import DEFAULT_SPLIT
from prep.settings.output_names import RESULTS
from prep.sources.base import Wanted
from prep.sources.folders.ignored import OTHER, Passed
from prep.sources.folders.names import EXTENSIONS, is_plainly_a_split, role_of
from prep.sources.folders.output_place import output_inside
from prep.sources.folders.tree import Tree
from prep.sources.layouts.base import Place
from prep.text import quoted

#: Names of files, as bytes, that a layout takes for its shards.
IsShard = Callable[[bytes], bool]
#: The split that the path of a shard tells; None if it tells none.
SplitOf = Callable[[str], str | None]

_OF_SEVERAL = re.compile(
    r"(?P<before>.*)-(?P<number>\d{1,9})-of-(?P<count>\d{1,9})(?P<after>\D*)", re.DOTALL
)
_WORD = re.compile(r"[A-Za-z]+")
# ``-00000-of-00002-0123456789abcdef``: numbers, and a hash of the contents.
_COUNTED = re.compile(r"[-_.]\d+-of-\d+.*", re.DOTALL)
# Of names such as ``mnist-train.tfrecord-00000-of-00001``: no words of a split.
_OF_SHARDS = frozenset(
    [
        *("of", "shard", "part", "data", "tar", "tfrecord", "tfrecords", "tfrec", "gz"),
        *("parquet", "parq", "pq", "arrow", "feather", "ipc"),
    ]
)
_PARTIAL = "partial-"  # Of sets that the Hub of Hugging Face has converted a part of.


@dataclass(frozen=True, kw_only=True)
class ShardFiles:
    """The shards of a source.

    Attributes:
        paths: relative to the source, by name; an empty one is the source itself.
        splits: the split of each.
        doubts: which of them are not there, if their names tell how many there are.
        passed: other files, for they are no part of the set.
    """

    paths: tuple[bytes, ...]
    splits: tuple[str, ...]
    doubts: tuple[str, ...]
    passed: Passed = field(default_factory=Passed)


def shards_at(
    place: Place,
    wanted: Wanted,
    is_shard: IsShard,
    beside: Sequence[str],
    split_of: SplitOf | None = None,
) -> ShardFiles:
    """Return the shards in a folder, at any depth, or the one that a place is.

    Args:
        beside: names of files that the layout reads, and that are no shards.
        split_of: returns the split that the path of a shard tells; ``split_in_name``, by default.

    Raises:
        SourceError: there are none, or only some of their names tell a split.
        ConfigError: the output is the source.
    """
    if not place.is_folder:
        name = os.fsencode(os.path.basename(place.name))
        return _with_splits([b""], [name], Passed(), split_of or split_in_name)
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
    return _with_splits(sorted(found), sorted(found), passed, split_of or split_in_name)


def _with_splits(
    paths: list[bytes], names: list[bytes], passed: Passed, split_of: SplitOf
) -> ShardFiles:
    told = [split_of(os.fsdecode(name)) for name in names]
    untold = [os.fsdecode(n) for n, split in zip(names, told, strict=True) if not split]
    if untold and any(told):
        raise SourceError(
            f"source: the name of {quoted(untold[0])} tells no split, as those of other shards do; "
            "rename it, or give the shards of each split, as in {train: a.tar}"
        )
    doubts = tuple(_absent(names)) if paths != [b""] else ()
    splits = tuple(split or DEFAULT_SPLIT for split in told)
    return ShardFiles(paths=tuple(paths), splits=splits, doubts=doubts, passed=passed)


def _absent(names: Sequence[bytes]) -> Iterator[str]:
    """Yield what is not there of sets whose names tell how many shards they have."""
    found: defaultdict[tuple[str, ...], dict[int, str]] = defaultdict(dict)
    for name in map(os.fsdecode, names):
        told = _OF_SEVERAL.fullmatch(name)
        if told is not None:
            found[told["before"], told["count"], told["after"]][int(told["number"])] = name
    for (_, count, _), there in found.items():
        absent = int(count) - len(there)
        if absent > 0:
            number = next(n for n in itertools.count() if n not in there)
            yield (
                f"{absent:,} of the {int(count):,} shards that are called like "
                f"{quoted(min(there.values()))} are not there, such as number {number}"
            )


def split_in_name(path: str) -> str | None:
    """Return the split that the path of a shard tells; None if it tells none.

    >>> split_in_name("imagenet-val-3.tar"), split_in_name("mnist-test.tfrecord-00000-of-00001")
    ('val', 'test')
    >>> split_in_name("beans-val.arrow"), split_in_name("partial-train/default/0000.parquet")
    ('val', 'train')
    >>> split_in_name("train/00003.tar"), split_in_name("cats/cats-00000-of-00002.tfrecord")
    ('train', 'cats')
    >>> split_in_name("00003.tar")
    """
    *above, folder, name = ["", *path.split("/")]
    if folder and re.match(re.escape(folder) + r"-\d+-of-\d+", name):
        return folder  # As outputs have them, whatever their splits are called.
    words: list[str] = _WORD.findall(_COUNTED.sub("", name))
    words = [word for word in words if word.lower() not in _OF_SHARDS]
    for word in (*words[:1], *words[-1:]):
        if role_of(word) in ("train", "validation", "test"):
            return word
    if role_of(folder.removeprefix(_PARTIAL)) is not None:
        return folder.removeprefix(_PARTIAL)
    plain = (each.removeprefix(_PARTIAL) for each in reversed(above))
    return next((each for each in plain if is_plainly_a_split(each)), None)


def first_shard(place: Place, is_shard: IsShard) -> Place | None:
    """Return a shard in a folder, or in one that it holds; None if none is seen at a glance."""
    names = [name for name, is_folder in place.entries.items() if not is_folder]
    below = (f"{folder}/{name}" for folder, few in place.few_below.items() for name in sorted(few))
    found = next((n for n in itertools.chain(names, below) if is_shard(os.fsencode(n))), None)
    if found is None:
        return None
    try:
        return Place.at(os.path.join(place.name, found))
    except SourceError:  # A broken link, say.
        return None


def holds_images(place: Place) -> bool:
    """Return whether a folder has images as files, so that shards beside them are none of it."""
    return Tree(place.name, EXTENSIONS).holds_images_below(b"")
