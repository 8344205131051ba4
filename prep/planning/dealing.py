"""Deal groups of images to shards whole, where an image can't be read without its group.

A row group of a Parquet file takes as long to read for one image as for all. So groups are
shuffled, and images within their group; the bounds of shards are at bounds of groups, so that each
group is read once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from prep.sources.columns import numbers_in
from prep.sources.tables.row_places import units_of
from prep.text import counted


class Dealt(NamedTuple):
    """The images of a split, dealt to shards.

    Attributes:
        order: int64; the positions of the images, in the order of the shards.
        sizes: number of images in each shard.
    """

    order: npt.NDArray[np.int64]
    sizes: list[int]


def are_in_groups(images: pa.Table) -> bool:
    """Return whether some images can only be read with all others of their group."""
    if "how" not in images.column_names:
        return False
    known = pc.unique(images["how"].combine_chunks()).dictionary_decode()
    return b"row" in known.to_pylist()


def units_of_images(images: pa.Table) -> npt.NDArray[np.int64] | None:
    """Return a number for each image, which those that are read together share.

    Args:
        images: of a catalog.

    Returns:
        None if each image is read alone.
    """
    if not are_in_groups(images):
        return None
    by_row = pc.equal(images["how"].cast(pa.binary()), b"row").to_numpy()
    known, groups = np.unique(units_of(images["offset"].to_numpy()), return_inverse=True)
    units = numbers_in(images["file"]).astype(np.int64) * len(known) + groups
    return np.where(by_row, units, -1 - np.arange(len(units)))


def deal(
    units: npt.NDArray[np.int64], permutation: npt.NDArray[np.int64], images_per_shard: int
) -> Dealt:
    """Shuffle units, and the images within each, and spread them over shards whole.

    Shards have about ``images_per_shard`` images; where a unit has more, so has its shard.

    Args:
        units: the unit of each image of a split.
        permutation: of the images; the units follow in the order of their first image in it.
        images_per_shard: number of images in a shard.

    >>> deal(np.array([0, 0, 0, 1, 2, 2]), np.array([4, 1, 3, 0, 5, 2]), 3)
    Dealt(order=array([4, 5, 1, 0, 2, 3]), sizes=[2, 4])
    """
    if not len(units):
        return Dealt(permutation, [])
    order = unit_by_unit(units, permutation)
    starts = np.flatnonzero(np.diff(units[order], prepend=-1) != 0)
    bounds = np.append(starts, len(order))
    count = -(-len(order) // images_per_shard)
    ideal = np.arange(count + 1) * len(order) / count
    after = np.searchsorted(bounds, ideal).clip(1, len(bounds) - 1)
    lower, upper = bounds[after - 1], bounds[after]
    nearest = np.unique(np.where(ideal - lower < upper - ideal, lower, upper))
    return Dealt(order, np.diff(nearest).tolist())


def unit_by_unit(
    units: npt.NDArray[np.int64], permutation: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Return a permutation in which the images of each unit follow each other.

    Args:
        units, permutation: as for :func:`deal`.
    """
    _, first, unit = np.unique(units[permutation], return_index=True, return_inverse=True)
    return permutation[np.argsort(first[unit], kind="stable")]


def doubts_about_units(
    units: npt.NDArray[np.int64] | None, splits: npt.NDArray[np.int32]
) -> Sequence[str]:
    """Return the doubt that images of one group are in several splits, which takes longer.

    Args:
        units: of all images; see :func:`units_of_images`.
        splits: the number of the split of each image.
    """
    if units is None:
        return ()
    known, unit = np.unique(units, return_inverse=True)
    pairs = np.unique(unit * (int(splits.max(initial=0)) + 1) + splits)
    again = len(pairs) - len(known)
    if not again:
        return ()
    return (
        f"{counted(again, 'row group')} will be read once for each split, because images of "
        "several splits are in them",
    )
