"""Leave out images that look like others, before they are planned."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from prep.images.likeness.alike import Links
from prep.images.likeness.hashing import Hashes, Positions
from prep.sources.base import Catalog
from prep.sources.folders.ignored import Ignored
from prep.sources.folders.names import training_splits


class NamedImage(NamedTuple):
    """An image by its path in the source, with its class and split."""

    path: str
    class_name: str
    split: str


class LeftOut(NamedTuple):
    """An image that is left out.

    Attributes:
        image: the image.
        kept: the image that looks alike and stays.
        distance: number of bits in which their hashes differ.
        mirrored: whether one had to be mirrored for that.
    """

    image: NamedImage
    kept: NamedImage
    distance: int
    mirrored: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LookAlikes:
    """The images that a plan leaves out because others look alike.

    Attributes:
        compared: number of images that were compared.
        radius: the largest distance that counts.
        crowded: number of images that look like so many that they were compared with some only.
        images: those that are left out.
    """

    compared: int
    radius: int
    crowded: int
    images: tuple[LeftOut, ...]


def leave_out_look_alikes(
    catalog: Catalog, hashes: Hashes, settled: pa.ChunkedArray | None = None
) -> tuple[Catalog, LookAlikes]:
    """Return a catalog without images that look like others, and which these are.

    An image in a split that one does not train on stays, and that in the smallest of these if there
    are several: a test image that is among the training images, too, says little, and is worth more
    than one of many to train on. Within a split, the first by path stays.

    Args:
        catalog: the images.
        hashes: uint64 (images,), in the order of the catalog.
        settled: paths of images that an output holds, which stay in any case.
    """
    images = catalog.images
    links = Links.of(hashes)
    stays = np.zeros(images.num_rows, bool)
    if settled is not None:
        stays = pc.is_in(images["path"], value_set=settled.combine_chunks()).to_numpy()
    rank = _rank(catalog) + len(stays) * ~stays  # Those that stay come first.
    redundant = links.redundant(rank[links.rows], stays[links.rows])
    names = [
        LeftOut(_named(catalog, image.row), _named(catalog, image.kept), *image[2:])
        for image in sorted(redundant)
    ]
    found = LookAlikes(
        compared=len(links.rows),
        radius=links.pairs.radius,
        crowded=links.crowded,
        images=tuple(names),
    )
    if not names:
        return catalog, found
    left = np.ones(images.num_rows, bool)
    left[[image.row for image in redundant]] = False
    note = Ignored(
        reason="image that looks like another",
        count=len(names),
        example=min(image.image.path for image in names),
    )
    thinned = replace(
        catalog, images=images.filter(pa.array(left)), ignored=(*catalog.ignored, note)
    )
    return thinned, found


def _rank(catalog: Catalog) -> Positions:
    """Return the position of each image in the order in which they are kept."""
    split = catalog.images["split"].to_numpy()
    size = np.bincount(split, minlength=len(catalog.splits))
    training = training_splits(catalog.splits)
    trained_on = np.array([name in training for name in catalog.splits])
    by_path = np.asarray(pc.rank(catalog.images["path"].combine_chunks()).to_numpy())
    order = np.lexsort((by_path, split, size[split], trained_on[split]))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return rank


def _named(catalog: Catalog, row: int) -> NamedImage:
    images = catalog.images
    number = images["class"][row].as_py()
    return NamedImage(
        os.fsdecode(images["path"][row].as_py()),
        catalog.classes[number] if number >= 0 else "",
        catalog.splits[images["split"][row].as_py()],
    )
