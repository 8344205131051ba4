"""Make a plan of images, labels and a configuration."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from prep.config.model import Config
from prep.planning.dealing import deal, doubts_about_units, units_of_images
from prep.planning.fingerprint import make_fingerprint
from prep.planning.plan import RunPlan
from prep.planning.shards import count_shards, default_images_per_shard
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
        ConfigError: there would be more shards than an output may have.
    """
    split = catalog.images["split"].to_numpy()
    per_split = {name: np.flatnonzero(split == i) for i, name in enumerate(catalog.splits)}
    splits = {name: len(rows) for name, rows in per_split.items()}
    images_per_shard = config.images_per_shard or default_images_per_shard(catalog.images.num_rows)
    count_shards(splits, images_per_shard)
    permutations = {name: shuffled(n, config.seed, name) for name, n in splits.items()}
    units = units_of_images(catalog.images)
    sizes: dict[str, list[int]] | None = None
    if units is not None:
        sizes = {}
        for name, rows in per_split.items():
            dealt = deal(units[rows], permutations[name], images_per_shard)
            permutations[name], sizes[name] = dealt.order, dealt.sizes
    order = np.concatenate([rows[permutations[name]] for name, rows in per_split.items()])
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


def shuffled(count: int, seed: int, split: str) -> npt.NDArray[np.int64]:
    """Return a permutation of ``range(count)``, another one for each seed and split.

    ``RandomState`` is the generator whose stream NumPy promises never to change (NEP 19).
    """
    state = np.random.RandomState([seed, zlib.crc32(split.encode(errors="surrogateescape"))])
    return state.permutation(count).astype(np.int64)
