"""The names of everything in an output folder: the one place that makes them.

::

    OUTPUT/
      train/train-00000-of-00214.tfrecord   what is trained on (or another format's suffix)
      mean_rgb.json  label_map.json  report.json  report.html
      refused.csv  duplicates.csv  near_duplicates.csv  outdated.csv
      dataset_info.json  features.json  label.labels.txt   for TensorFlow Datasets
      images.parquet                        each image, and where its record is
      index/train/train-00000-of-00214.idx  where the records of a shard begin
      .prep/plan.json                       what this output is to hold
      .prep/manifest.parquet                its images, in the order in which they are written
      .prep/receipts/train/00000.json       a shard counts once its receipt is there
      .prep/history.json                    what was measured while it was made
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from prep.planning.shards import ShardSpec
from prep.settings.output_names import FORMATS, RESULTS
from prep.storage.location import Location

_SUFFIXES = "|".join(re.escape(file.suffix) for file in FORMATS.values())
_SHARD_NAME = re.compile(rf"(?P<split>.+)-\d{{5,}}-of-\d{{5,}}(?:{_SUFFIXES})", re.DOTALL)
_INDEX_NAME = re.compile(r"(?P<split>.+)-\d{5,}-of-\d{5,}\.idx", re.DOTALL)


def split_of(name: str) -> str | None:
    """Return the split of the shard of this name; None if no shard has such a name.

    >>> split_of("train-00000-of-00214.tfrecord"), split_of("notes.txt")
    ('train', None)
    """
    match = _SHARD_NAME.fullmatch(name)
    return match["split"] if match else None


def is_shard_name(name: str, split: str) -> bool:
    """Return whether a shard of ``split`` may have this name.

    >>> is_shard_name("train-00000-of-00214.tfrecord", "train")
    True
    """
    return split_of(name) == split


def is_index_name(name: str, split: str) -> bool:
    """Return whether the index of a shard of ``split`` may have this name.

    >>> is_index_name("train-00000-of-00214.idx", "train")
    True
    """
    match = _INDEX_NAME.fullmatch(name)
    return match is not None and match["split"] == split


@dataclass(frozen=True, slots=True)
class OutputLayout:
    """Paths in one output folder."""

    root: Location

    def holds(self, name: str) -> bool:
        """Return whether a name, relative to the root, is one that prep gives.

        >>> from prep.storage.local import LocalPath
        >>> OutputLayout(LocalPath("shards")).holds("train/train-00000-of-00214.tfrecord")
        True
        """
        folder, _, last = name.rpartition("/")
        above, _, split = folder.rpartition("/")
        if above == self.index.name and is_index_name(last, split):
            return True
        if name.startswith(f"{self.state.name}/") or name in {path.name for path in self.results}:
            return True
        return bool(folder) and is_shard_name(last, folder)

    def shard(self, shard: ShardSpec) -> Location:
        return self.root / shard.split / shard.name

    def receipt(self, split: str, index: int) -> Location:
        return self.receipts / split / f"{index:05d}.json"

    def index_of(self, shard: ShardSpec) -> Location:
        """Return the index of a shard: not in its folder, where globs would take it for a shard."""
        return self.index / shard.split / f"{PurePosixPath(shard.name).stem}.idx"

    @property
    def index(self) -> Location:
        return self.root / "index"

    @property
    def images(self) -> Location:
        return self.root / "images.parquet"

    @property
    def dataset_info(self) -> Location:
        """The file whose presence says that TensorFlow Datasets can open this output."""
        return self.root / "dataset_info.json"

    @property
    def derived(self) -> tuple[Location, ...]:
        """The files that tell readers what is in the shards, the first to be removed first."""
        others = ("features.json", "label.labels.txt", "image.class.label.labels.txt")
        return (self.dataset_info, *(self.root / name for name in others), self.images)

    @property
    def state(self) -> Location:
        return self.root / ".prep"

    @property
    def plan(self) -> Location:
        return self.state / "plan.json"

    @property
    def manifest(self) -> Location:
        return self.state / "manifest.parquet"

    @property
    def manifest_before(self) -> Location:
        """The manifest of the plan that is being replaced, while it is."""
        return self.state / "manifest-before.parquet"

    @property
    def receipts(self) -> Location:
        return self.state / "receipts"

    @property
    def mean(self) -> Location:
        return self.root / "mean_rgb.json"

    @property
    def labels(self) -> Location:
        return self.root / "label_map.json"

    @property
    def report(self) -> Location:
        return self.root / "report.json"

    @property
    def page(self) -> Location:
        """The report as a page."""
        return self.root / "report.html"

    @property
    def refused(self) -> Location:
        """The table as CSV; a long one is Parquet, beside it."""
        return self.root / "refused.csv"

    @property
    def duplicates(self) -> Location:
        """The table as CSV; a long one is Parquet, beside it."""
        return self.root / "duplicates.csv"

    @property
    def near_duplicates(self) -> Location:
        """The table as CSV; a long one is Parquet, beside it."""
        return self.root / "near_duplicates.csv"

    @property
    def outdated(self) -> Location:
        """The table as CSV; a long one is Parquet, beside it. Most outputs have none."""
        return self.root / "outdated.csv"

    @property
    def tables(self) -> tuple[Location, ...]:
        """The tables of images beside the report, in either form."""
        return tuple(
            path.with_suffix(suffix)
            for path in (self.refused, self.duplicates, self.near_duplicates, self.outdated)
            for suffix in (".csv", ".parquet")
        )

    @property
    def history(self) -> Location:
        return self.state / "history.json"

    @property
    def results(self) -> tuple[Location, ...]:
        """All files that are published beside the shards."""
        return tuple(self.root / name for name in sorted(RESULTS))

    @property
    def lock(self) -> Location:
        return self.state / "lock"
