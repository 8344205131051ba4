"""Parts of a dataset: some of its classes, a share of each, or images by number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from prep.errors import SourceError
from prep.training.orders.sequence import integer
from prep.training.shard_access.record_reader import Numbers


def choose(
    classes: Numbers,
    wanted: Sequence[int] | None = None,
    fraction: float | None = None,
    ids: Sequence[int] | Numbers | None = None,
    seed: int = 0,
) -> Numbers:
    """Return the positions of a part of some images.

    Args:
        classes: the class of each image, int64 (n,).
        wanted: the classes to keep; None for all.
        fraction: of each class, from 0 to 1, rounded, but at least one image; None for all.
        ids: the positions to begin with, in their order; None for all.
        seed: decides which images ``fraction`` keeps.

    Raises:
        SourceError: there is no such position, or no such fraction.

    >>> choose(np.array([0, 0, 1, 1]), wanted=[1]).tolist()
    [2, 3]
    >>> choose(np.array([0, 0, 1, 1]), ids=[3, 0]).tolist()
    [3, 0]
    >>> choose(np.array([0, 0, 1, 1]), fraction=0.5).tolist()
    [0, 3]
    """
    chosen = _positions(len(classes), ids)
    if wanted is not None:
        chosen = chosen[np.isin(classes[chosen], wanted)]
    return chosen if fraction is None else chosen[_share(classes[chosen], fraction, seed)]


def _positions(images: int, ids: Sequence[int] | Numbers | None) -> Numbers:
    if ids is None:
        return np.arange(images, dtype=np.int64)
    found = np.asarray(ids)
    if (found.dtype.kind not in "iu" and found.size) or found.ndim != 1:
        raise SourceError("ids: expected whole numbers of images")
    beyond = (found < 0) | (found >= images)
    if beyond.any():
        raise SourceError(f"ids: no image {found[beyond][0]:,}; expected numbers below {images:,}")
    return found.astype(np.int64)


def _share(classes: Numbers, fraction: float, seed: int) -> Numbers:
    """Return the positions of a share of each class, in order."""
    if not 0 < fraction <= 1:
        raise SourceError(f"fraction: got {fraction}; expected more than 0, and at most 1")
    drawn = np.random.Generator(np.random.Philox(integer("seed", seed) % (1 << 128))).random(
        len(classes)
    )
    order = np.lexsort((drawn, classes))  # Class after class, each in random order.
    _, first, counts = np.unique(classes[order], return_index=True, return_counts=True)
    place = np.arange(len(classes)) - np.repeat(first, counts)
    kept = np.maximum(1, np.rint(fraction * counts)).astype(np.int64)
    return np.sort(order[place < np.repeat(kept, counts)])
