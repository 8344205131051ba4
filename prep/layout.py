"""The names of everything in an output folder: the one place that makes them.

::

    OUTPUT/
      train/train-00000-of-00214.tfrecord   what is trained on
      mean_rgb.json  label_map.json  report.json  report.html
      refused.csv  duplicates.csv
      .prep/plan.json                       what this output is to hold
      .prep/manifest.parquet                its images, in the order in which they are written
      .prep/receipts/train/00000.json       a shard counts once its receipt is there
      .prep/history.json                    what was measured while it was made
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

#: The split of images that lie in class folders without a split folder above them.
DEFAULT_SPLIT = "train"
#: Of an output. What is beside them is a folder of a million files, and more than one client holds.
MOST_SHARDS = 1 << 20
_SHARD_NAME = re.compile(r"(?P<split>.+)-\d{5,}-of-\d{5,}\.tfrecord", re.DOTALL)
_LONGEST_NAME = 255  # bytes, on nearly all filesystems


def require_split_name(name: object) -> str:
    """Return a split's name, if an output can have a folder of that name with its shards in it.

    The same rule holds for what a user asks for, what a source holds, and what an output says.

    Raises:
        ValueError: it can't; the message says why.

    >>> require_split_name("../escaped")
    Traceback (most recent call last):
    ValueError: a split can't be called '../escaped': it is to be the name of one folder
    """
    shown = repr(name if len(str(name)) <= 80 else f"{str(name)[:80]}…")
    longest = _LONGEST_NAME - len(os.fsencode(shard_name("", MOST_SHARDS, MOST_SHARDS)))
    if not isinstance(name, str):
        why = "it is to be text"
    elif not name or "/" in name or "\0" in name:
        why = "it is to be the name of one folder"
    elif name.startswith("."):
        why = "names that begin with a dot are hidden, and ours"
    elif name.casefold() in {path.name for path in OutputLayout(Path()).results}:
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


def shard_name(split: str, index: int, count: int) -> str:
    """The file name of shard ``index`` of ``count``.

    >>> shard_name("train", 0, 214)
    'train-00000-of-00214.tfrecord'
    """
    return f"{split}-{index:05d}-of-{count:05d}.tfrecord"


def split_of(name: str) -> str | None:
    """The split whose shard is named so; None where no shard is.

    >>> split_of("train-00000-of-00214.tfrecord"), split_of("notes.txt")
    ('train', None)
    """
    match = _SHARD_NAME.fullmatch(name)
    return match["split"] if match else None


def is_shard_name(name: str, split: str) -> bool:
    """Whether ``name`` is that of a shard of ``split``.

    >>> is_shard_name("train-00000-of-00214.tfrecord", "train")
    True
    """
    return split_of(name) == split


@dataclass(frozen=True, slots=True)
class OutputLayout:
    """Paths in one output folder."""

    root: Path

    def holds(self, name: str) -> bool:
        """Whether a name, relative to the root, is one that is given to something of ours.

        >>> OutputLayout(Path("shards")).holds("train/train-00000-of-00214.tfrecord")
        True
        """
        folder, _, last = name.rpartition("/")
        if name.startswith(f"{self.state.name}/") or name in {path.name for path in self.results}:
            return True
        return bool(folder) and is_shard_name(last, folder)

    def shard(self, split: str, index: int, count: int) -> Path:
        return self.root / split / shard_name(split, index, count)

    def receipt(self, split: str, index: int) -> Path:
        return self.receipts / split / f"{index:05d}.json"

    @property
    def state(self) -> Path:
        return self.root / ".prep"

    @property
    def plan(self) -> Path:
        return self.state / "plan.json"

    @property
    def manifest(self) -> Path:
        return self.state / "manifest.parquet"

    @property
    def receipts(self) -> Path:
        return self.state / "receipts"

    @property
    def mean(self) -> Path:
        return self.root / "mean_rgb.json"

    @property
    def labels(self) -> Path:
        return self.root / "label_map.json"

    @property
    def report(self) -> Path:
        return self.root / "report.json"

    @property
    def page(self) -> Path:
        """The report, to look at."""
        return self.root / "report.html"

    @property
    def refused(self) -> Path:
        """Or the same as Parquet, if it is long."""
        return self.root / "refused.csv"

    @property
    def duplicates(self) -> Path:
        """Or the same as Parquet, if it is long."""
        return self.root / "duplicates.csv"

    @property
    def tables(self) -> tuple[Path, ...]:
        """Refused images and duplicates, in either form."""
        return tuple(
            path.with_suffix(suffix)
            for path in (self.refused, self.duplicates)
            for suffix in (".csv", ".parquet")
        )

    @property
    def history(self) -> Path:
        return self.state / "history.json"

    @property
    def results(self) -> tuple[Path, ...]:
        """All that is published beside the shards."""
        return (self.mean, self.labels, self.report, self.page, *self.tables)

    @property
    def lock(self) -> Path:
        return self.state / "lock"
