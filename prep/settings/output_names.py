"""Formats of shards, and the names that the files and folders of an output may have."""

from __future__ import annotations

import os
from dataclasses import dataclass

from prep.settings.choices import Compression, Format

#: Of an output. What is beside them is a folder of a million files, and more than one client holds.
MOST_SHARDS = 1 << 20
_LONGEST_NAME = 255  # bytes, on nearly all filesystems
#: Names of the files that an output has beside its shards.
RESULTS = frozenset(
    {
        *("mean_rgb.json", "label_map.json", "report.json", "report.html"),
        *("images.parquet", "dataset_info.json", "features.json"),
        *("label.labels.txt", "image.class.label.labels.txt"),
        *(
            f"{table}.{suffix}"
            for table in ("refused", "duplicates", "near_duplicates", "outdated")
            for suffix in ("csv", "parquet")
        ),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardFile:
    """The files that a record format makes: how their names end, and how they may be compressed."""

    suffix: str
    compressions: tuple[Compression, ...] = ()


#: The registry of record formats, a line each. ``prep.shards.formats`` has a module of each name.
FORMATS: dict[Format, ShardFile] = {
    "tfrecord": ShardFile(suffix=".tfrecord", compressions=("GZIP", "ZLIB")),
    "webdataset": ShardFile(suffix=".tar"),
}
#: The format of outputs that were begun before there was a choice.
DEFAULT_FORMAT: Format = "tfrecord"


def require_split_name(name: object) -> str:
    """Return a split's name, if an output can have a folder of that name with its shards in it.

    The same rule holds for what a user asks for, what a source holds, and what an output says.

    Raises:
        ValueError: it can't; the message says why.

    >>> require_split_name("../escaped")
    Traceback (most recent call last):
    ValueError: a split can't be called '../escaped': it has to be the name of one folder
    """
    shown = repr(name if len(str(name)) <= 80 else f"{str(name)[:80]}…")
    longest = _LONGEST_NAME - len(os.fsencode(shard_name("", MOST_SHARDS, MOST_SHARDS)))
    if not isinstance(name, str):
        why = "it has to be text"
    elif not name or "/" in name or "\0" in name:
        why = "it has to be the name of one folder"
    elif name.startswith("."):
        why = "names that begin with a dot are hidden, and ours"
    elif name.casefold() in RESULTS:
        why = "that is a file of the output"
    elif _length(name) > longest:
        why = f"at most {longest} bytes leave room for the names of its shards"
    else:
        return name
    raise ValueError(f"a split can't be called {shown}: {why}")


def _length(name: str) -> int:
    """Bytes of a name; more than any can have where it can't be the name of a file at all."""
    try:
        return len(os.fsencode(name))
    except UnicodeEncodeError:
        return _LONGEST_NAME + 1


def shard_name(split: str, index: int, count: int, format: Format = DEFAULT_FORMAT) -> str:
    """Return the file name of shard ``index`` of ``count``.

    >>> shard_name("train", 0, 214)
    'train-00000-of-00214.tfrecord'
    """
    return f"{split}-{index:05d}-of-{count:05d}{FORMATS[format].suffix}"
