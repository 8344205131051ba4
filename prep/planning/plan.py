"""From images, labels and a configuration to a plan."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from prep.config import Config
from prep.errors import PrepError
from prep.planning.facts import plan_facts
from prep.planning.fingerprint import Fingerprint, make_fingerprint
from prep.planning.shards import Partition, ShardSpec, default_images_per_shard, plan_shards
from prep.settings import RGB, refusals_allowed
from prep.sources.folders.ignored import Ignored
from prep.sources.folders.scan import Catalog
from prep.sources.labels import LabelMap
from prep.text import Displayable, counted, one_line


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputState:
    """What a run would find in its output.

    Attributes:
        committed: how many shards it would not write, for they are there.
        images_left: how many images are in all others; None where no run could begin.
        free: bytes of free space; None in a storage, which does not tell.
        suspect: who may be at work there, on another machine. A run would wait to see.
        obstacle: the error that a run would end with at once; None if it would not.
    """

    committed: int = 0
    images_left: int | None = None
    free: int | None = None
    suspect: str | None = None
    obstacle: PrepError | None = None

    @property
    def complete(self) -> bool:
        """Whether there is nothing to write."""
        return self.images_left == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan(Displayable):
    """Everything that is decided before work begins.

    Attributes:
        config: the configuration.
        source: the folder that the manifest's paths are relative to.
        images_per_shard: as configured, or chosen by the number of images.
        mean: what encoding ``float32`` subtracts.
        labels: the label map.
        classes: names of the classes, which the manifest's ``class`` column numbers.
        manifest: the images in the order in which they are written, split after split: ``path``,
            ``class``, ``size``, ``mtime``.
        shards: the manifest's rows in each shard.
        counts: number of images by split and class.
        ignored: what lies in the source and is not part of the run.
        fingerprint: digest of everything that decides the bytes of the output.
        labels_from: where the label map comes from, in words.
        state: what a run would find in the output; None if nobody has looked.
    """

    config: Config
    source: str
    images_per_shard: int
    mean: RGB | None
    labels: LabelMap
    classes: tuple[str, ...]
    manifest: pa.Table
    shards: tuple[ShardSpec, ...]
    counts: Mapping[str, Mapping[str, int]]
    ignored: tuple[Ignored, ...]
    fingerprint: Fingerprint
    labels_from: str = ""
    state: OutputState | None = None

    def __repr__(self) -> str:
        facts = "".join(f"\n  {name}: {one_line(value)}" for name, value in plan_facts(self))
        return f"RunPlan({self.title}{facts})"

    @property
    def title(self) -> str:
        """How much is to be prepared, in a few words."""
        return f"{counted(self.images, 'image')} of {counted(len(self.classes), 'class')}"

    @property
    def images(self) -> int:
        return int(self.manifest.num_rows)

    def with_partition(self, partition: Partition) -> RunPlan:
        """The same images in the same order, spread over shards in another way."""
        if partition == self.fingerprint.partition:
            return self
        images = {split: sum(classes.values()) for split, classes in self.counts.items()}
        return replace(
            self,
            shards=plan_shards(images, self.images_per_shard, partition),
            fingerprint=self.fingerprint.with_partition(partition),
        )

    @property
    def refusals_allowed(self) -> int:
        """How many images may be refused without the run being in error."""
        asked = "max_refused" in self.config.model_fields_set
        return refusals_allowed(self.images, self.config.max_refused, asked=asked)

    @property
    def source_bytes(self) -> int:
        return int(pc.sum(self.manifest["size"]).as_py() or 0)


def make_plan(
    config: Config,
    catalog: Catalog,
    labels: LabelMap,
    mean: RGB | None,
    versions: Mapping[str, str],
) -> RunPlan:
    """Shuffle the images of each split, and spread them over shards."""
    per_split = _rows_by_split(catalog)
    images_per_shard = config.images_per_shard or default_images_per_shard(catalog.images.num_rows)
    order = np.concatenate(
        [
            rows[shuffled(len(rows), config.seed, split)]
            for split, rows in zip(catalog.splits, per_split, strict=True)
        ]
    )
    manifest = catalog.images.take(pa.array(order)).select(["path", "class", "size", "mtime"])
    sizes = {split: len(rows) for split, rows in zip(catalog.splits, per_split, strict=True)}
    return RunPlan(
        config=config,
        source=catalog.root,
        images_per_shard=images_per_shard,
        mean=mean,
        labels=labels,
        classes=catalog.classes,
        manifest=manifest,
        shards=plan_shards(sizes, images_per_shard),
        counts=count_classes(manifest["class"].to_numpy(), sizes, catalog.classes),
        ignored=catalog.ignored,
        fingerprint=make_fingerprint(
            config, images_per_shard, "even", mean, versions, catalog.splits, labels, manifest
        ),
    )


def shuffled(count: int, seed: int, split: str) -> npt.NDArray[np.int64]:
    """A permutation of ``range(count)``, other for each seed and split.

    ``RandomState`` is the generator whose stream NumPy promises never to change (NEP 19).
    """
    state = np.random.RandomState([seed, zlib.crc32(split.encode(errors="surrogateescape"))])
    return state.permutation(count).astype(np.int64)


def count_classes(
    rows: npt.NDArray[np.integer[Any]], images: Mapping[str, int], classes: Sequence[str]
) -> dict[str, dict[str, int]]:
    """Images by split and class.

    Args:
        rows: the manifest's ``class`` column, all within ``classes``.
        images: how many of the rows belong to each split, in their order.
        classes: the names that ``rows`` point to.
    """
    counts: dict[str, dict[str, int]] = {}
    first = 0
    for split, number in images.items():
        numbers = np.bincount(rows[first : first + number], minlength=len(classes)).tolist()
        counts[split] = {c: n for c, n in zip(classes, numbers, strict=True) if n}
        first += number
    return counts


def _rows_by_split(catalog: Catalog) -> list[npt.NDArray[np.int64]]:
    split = catalog.images["split"].to_numpy()
    return [np.flatnonzero(split == index) for index in range(len(catalog.splits))]
