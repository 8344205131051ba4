"""Groups: which images belong together, by a column of a list or by their names."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from prep.config.split_rules import SplitRules, is_group_pattern
from prep.errors import ConfigError
from prep.planning.splitting.scores import Scores, scores_of
from prep.sources.base import Catalog
from prep.text import counted, quoted, some


@dataclass(frozen=True, slots=True)
class Groups:
    """The group of each image.

    Attributes:
        numbers: int32; positions in ``names``; -1 for an image that is in no group.
        names: of the groups.
    """

    numbers: npt.NDArray[np.int32]
    names: tuple[bytes, ...]

    def take(self, rows: npt.NDArray[np.int64]) -> Groups:
        """Return the groups of some images; all names stay."""
        return Groups(self.numbers[rows], self.names)

    def units(self) -> npt.NDArray[np.int64]:
        """Return a number for each image that is the same within a group, and else its own."""
        own = np.arange(len(self.names), len(self.names) + len(self.numbers))
        return np.where(self.numbers < 0, own, self.numbers)


def with_groups(catalog: Catalog, rules: SplitRules | None) -> Catalog:
    """Return the catalog with a column of the groups that a configuration names, if it does.

    Those that a list has are there already.

    Raises:
        ConfigError: there is no such column, or no name matches the regular expression.
    """
    group = None if rules is None else rules.group
    there = "group" in catalog.images.column_names
    if group is not None and is_group_pattern(group):
        images = catalog.images.drop_columns(["group"]) if there else catalog.images
        return replace(catalog, images=images.append_column("group", _in_names(images, group)))
    if group is not None and not there:
        raise ConfigError(
            f"split.group: got {quoted(group)}, a column, and the source is no list with columns "
            f"(read as: {catalog.read_as}); expected a regular expression with (?P<group>…) that "
            "is searched for in the name of an image"
        )
    return catalog


def groups_of(catalog: Catalog) -> Groups | None:
    """Return the groups of the images of a catalog; None if it has no column of them."""
    if "group" not in catalog.images.column_names:
        return None
    column = catalog.images["group"].combine_chunks()
    numbers = column.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return Groups(numbers.astype(np.int32), tuple(column.dictionary.to_pylist()))


def scores_of_images(seed: int, names: pa.ChunkedArray, groups: Groups | None) -> Scores:
    """Return the score of each image: that of its group, or else of its name."""
    if groups is None:
        return scores_of(seed, names.to_pylist())
    grouped = groups.numbers >= 0
    scores = np.zeros(len(names), np.uint64)
    scores[grouped] = scores_of(seed, groups.names)[groups.numbers[grouped]]
    alone = np.flatnonzero(~grouped)
    scores[alone] = scores_of(seed, names.take(pa.array(alone)).to_pylist())
    return scores


def doubt_about_groups(catalog: Catalog) -> tuple[str, ...]:
    """Return a sentence about groups in more than one split, if there are any."""
    groups = groups_of(catalog)
    if groups is None:
        return ()
    known = np.flatnonzero(groups.numbers >= 0)
    splits = catalog.images["split"].to_numpy()[known]
    pairs = np.unique(groups.numbers[known].astype(np.int64) * len(catalog.splits) + splits)
    numbers, counts = np.unique(pairs // max(len(catalog.splits), 1), return_counts=True)
    repeated = [os.fsdecode(groups.names[n]) for n in numbers[counts > 1].tolist()]
    if not repeated:
        return ()
    names = [quoted(name) for name in sorted(repeated)]
    return (
        f"{counted(len(repeated), 'group')} with images in more than one split: {some(names)}; "
        "what is learnt of a group in training helps in its test",
    )


def _in_names(images: pa.Table, pattern: str) -> pa.DictionaryArray:
    """Return the group that the name of each image tells; null where it tells none."""
    search = re.compile(pattern).search
    names = [*map(os.fsdecode, images["path"].to_pylist())]
    found = [match["group"] if (match := search(name)) else None for name in names]
    if not any(found):
        raise ConfigError(
            f"split.group: {quoted(pattern)} is found in no name of an image, such as "
            f"{quoted(names[0])}; names are relative to the source"
        )
    groups = [os.fsencode(group) if group else None for group in found]
    return pa.array(groups, pa.binary()).dictionary_encode()
