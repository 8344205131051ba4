"""Subsets: the images with the lowest scores of each class in each split."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from prep.config.subset_rules import SubsetRules
from prep.errors import ConfigError
from prep.planning.splitting.groups import Groups, scores_of_images
from prep.planning.splitting.settled import SettledSplits
from prep.sources.base import Catalog
from prep.sources.labelling.rows import with_used_splits, without_rows
from prep.sources.labels import class_title
from prep.text import counted, quoted, some

_NOT_TAKEN = "image that is not in the subset"


def take_subset(
    catalog: Catalog,
    rules: SubsetRules,
    seed: int,
    groups: Groups | None = None,
    settled: SettledSplits | None = None,
) -> Catalog:
    """Return the catalog with the images of a subset.

    The lowest scores of each class in each split are taken, ties by name, so that a subset is a
    part of any larger one.

    Args:
        catalog: the images in their final splits.
        rules: how many to take.
        seed: of the scores.
        groups: the group of each image, whose images have one score; None for none.
        settled: images that an output holds, which are taken before others.

    Raises:
        ConfigError: there is no such split, or no image would be left in one.
    """
    if rules.of is not None and rules.of not in catalog.splits:
        raise ConfigError(
            f"subset.of: got {quoted(rules.of)}, and there is no such split; splits found or made: "
            f"{some([*map(quoted, catalog.splits)])}"
        )
    images = catalog.images
    splits, classes = images["split"].to_numpy(), images["class"].to_numpy()
    cells = splits.astype(np.int64) * len(catalog.classes) + classes
    sizes = np.bincount(cells, minlength=len(catalog.splits) * len(catalog.classes))
    scores = scores_of_images(seed, images["path"], groups)
    is_new = np.ones(len(scores), bool)
    if settled is not None:
        is_new = settled.among(images["path"], settled.splits) < 0
    order = np.lexsort((scores, is_new, cells))  # Ties stay in the order of rows, which is by name.
    starts = np.cumsum(sizes) - sizes
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order)) - starts[cells[order]]
    taken = np.array([rules.taken(size) for size in sizes.tolist()], np.int64)
    left_out = is_new & (rank >= taken[cells])
    if rules.of is not None:
        left_out &= splits == catalog.splits.index(rules.of)
    kept = without_rows(catalog, left_out, _NOT_TAKEN)
    _require_images_in_splits(kept)
    gone = np.setdiff1d(np.unique(classes), np.unique(kept.images["class"].to_numpy()))
    return replace(kept, doubts=(*kept.doubts, *_doubts(catalog, gone.tolist())))


def _require_images_in_splits(catalog: Catalog) -> None:
    used = with_used_splits(catalog).splits
    empty = [name for name in catalog.splits if name not in used]
    if empty:
        raise ConfigError(
            f"subset: would leave no image in {counted(len(empty), 'split')}, "
            f"{some([*map(quoted, empty)])}; give min_per_class, or a larger fraction"
        )


def _doubts(catalog: Catalog, gone: list[int]) -> tuple[str, ...]:
    if not gone:
        return ()
    titles = [quoted(class_title(catalog.classes[n], catalog.class_names)) for n in gone]
    return (
        f"subset: {counted(len(gone), 'class')} without any image in it: {some(titles)}; give "
        "min_per_class to keep some of each",
    )
