"""Make a plan of images, labels and a configuration."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from prep.config.model import Config
from prep.errors import LabelError
from prep.planning.dealing import Dealt, deal, doubts_about_units, unit_by_unit, units_of_images
from prep.planning.fingerprint import make_fingerprint
from prep.planning.plan import RunPlan
from prep.planning.shards import count_shards, default_images_per_shard, equal_sizes
from prep.settings.choices import RGB
from prep.sources.base import Catalog
from prep.sources.columns import columns_of
from prep.sources.labels import LabelMap


def make_plan(
    config: Config,
    catalog: Catalog,
    labels: LabelMap,
    mean: RGB | None,
    versions: Mapping[str, str],
) -> RunPlan:
    """Shuffle the images of each split, and spread them over shards.

    Images that can only be read with all others of their group are shuffled by group; see
    :mod:`prep.planning.dealing`.

    Raises:
        ConfigError: there would be more shards than an output may have, or than a split has images.
        LabelError: records of this kind can't hold such labels, or the label map not this target.
    """
    labels = labels.of_target(config.target)
    _require_numbers(config, labels)
    split = catalog.images["split"].to_numpy()
    per_split = {name: np.flatnonzero(split == i) for i, name in enumerate(catalog.splits)}
    splits = {name: len(rows) for name, rows in per_split.items()}
    images_per_shard = _images_per_shard(config, splits)
    count_shards(splits, images_per_shard)
    units = units_of_images(catalog.images)
    dealt = {
        name: _dealt(
            config, name, None if units is None else units[rows], len(rows), images_per_shard
        )
        for name, rows in per_split.items()
    }
    sizes = None
    if units is not None or config.shard_count is not None:
        sizes = {name: of_split.sizes for name, of_split in dealt.items()}
        count_shards(splits, images_per_shard, sizes)
    order = np.concatenate([rows[dealt[name].order] for name, rows in per_split.items()])
    manifest = catalog.images.take(pa.array(order)).select(columns_of(catalog.images))
    return RunPlan(
        config=config,
        source=catalog.source,
        mean=mean,
        labels=labels,
        classes=catalog.classes,
        images_per_shard=images_per_shard,
        splits=splits,
        sizes=sizes,
        fingerprint=make_fingerprint(
            config,
            images_per_shard,
            "even" if sizes is None else "given",
            mean,
            versions,
            catalog.splits,
            labels,
            manifest,
            sizes,
        ),
        rows=manifest,
        ignored=catalog.ignored,
        class_names=catalog.class_names,
        doubts=(*catalog.doubts, *doubts_about_units(units, split)),
    )


def _require_numbers(config: Config, labels: LabelMap) -> None:
    """Raise LabelError where records that hold the number of a class would have one-hot lists."""
    if config.record == "tf-slim" and labels.width is not None:
        raise LabelError(
            f"label map: got one-hot lists of {labels.width} numbers, and record tf-slim holds "
            "the number of a class; give each class its number, or use record prep"
        )


def _images_per_shard(config: Config, splits: Mapping[str, int]) -> int:
    """Return how many images a shard has: as configured, or by the number of images."""
    if config.shard_count is not None:
        return max(-(-images // config.shard_count) for images in splits.values())
    return config.images_per_shard or default_images_per_shard(sum(splits.values()))


def _dealt(
    config: Config,
    split: str,
    units: npt.NDArray[np.int64] | None,
    images: int,
    images_per_shard: int,
) -> Dealt:
    """Shuffle the images of a split, and spread them over shards.

    Args:
        units: the unit of each image; None if each image is read alone.

    Returns:
        The order, with no sizes where ``images_per_shard`` tells them.

    Raises:
        ConfigError: there are fewer images than shards.
    """
    permutation = shuffled(images, config.seed, split)
    if config.shard_count is not None:
        sizes = equal_sizes(split, images, config.shard_count)
        return Dealt(permutation if units is None else unit_by_unit(units, permutation), sizes)
    if units is not None:
        return deal(units, permutation, images_per_shard)
    return Dealt(permutation, [])


def shuffled(count: int, seed: int, split: str) -> npt.NDArray[np.int64]:
    """Return a permutation of ``range(count)``, another one for each seed and split.

    ``RandomState`` is the generator whose stream NumPy promises never to change (NEP 19).
    """
    state = np.random.RandomState([seed, zlib.crc32(split.encode(errors="surrogateescape"))])
    return state.permutation(count).astype(np.int64)
