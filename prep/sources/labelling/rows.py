"""The rows of a catalog: some left out, or all in order."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from prep.sources.base import Catalog
from prep.sources.columns import with_numbers
from prep.sources.folders.ignored import Ignored, sum_by_reason

_ORDER = ("split", "class", "path")


def without_rows(catalog: Catalog, left_out: npt.NDArray[np.bool_], reason: str) -> Catalog:
    """Return a catalog without some rows, which are counted as passed over.

    Args:
        left_out: for each row, whether it goes.
        reason: why.
    """
    count = int(left_out.sum())
    if not count:
        return catalog
    mask = pa.array(left_out)
    first = pc.min(catalog.images["path"].filter(mask)).as_py()
    passed = Ignored(reason=reason, count=count, example=os.fsdecode(first))
    return replace(
        catalog,
        images=catalog.images.filter(pc.invert(mask)),
        ignored=sum_by_reason([*catalog.ignored, passed]),
    )


def with_used_splits(catalog: Catalog) -> Catalog:
    """Return a catalog without the splits that have no images."""
    split = catalog.images["split"].to_numpy()
    used = np.bincount(split, minlength=len(catalog.splits)) > 0
    if used.all():
        return catalog
    numbers = (np.cumsum(used) - 1).astype(np.int32)[split]
    return replace(
        catalog,
        splits=tuple(name for name, is_used in zip(catalog.splits, used, strict=True) if is_used),
        images=with_numbers(catalog.images, "split", numbers),
    )


def in_order(catalog: Catalog) -> Catalog:
    """Return a catalog whose rows are sorted by split, class and name, the names as bytes."""
    if is_sorted(catalog.images):
        return catalog
    order = pc.sort_indices(catalog.images, [(name, "ascending") for name in _ORDER])
    return replace(catalog, images=catalog.images.take(order))


def is_sorted(images: pa.Table) -> bool:
    """Return whether rows are sorted by split, class and name, and no two are alike in these."""
    split, class_ = (np.diff(images[name].to_numpy()) for name in _ORDER[:2])
    if not ((split > 0) | ((split == 0) & (class_ >= 0))).all():
        return False
    paths = images["path"]
    paths = paths.chunk(0) if paths.num_chunks == 1 else paths.combine_chunks()
    rises = pc.less(paths[:-1], paths[1:]).to_numpy(zero_copy_only=False)
    return bool((rises | (split > 0) | (class_ > 0)).all())
