"""What a run will do, decided before it does anything.

A plan is a function of the images, the label map and the configuration alone: the same for one
worker and for a thousand.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from prep import markup
from prep.catalog import Catalog, Ignored
from prep.config import Config, fingerprint_part
from prep.errors import ConfigError
from prep.labels import LabelMap
from prep.layout import MOST_SHARDS
from prep.stats import RGB
from prep.text import counted, megabytes, quoted
from prep.verdict import refusals_allowed

_LARGEST_DEFAULT_SHARD = 1000
_SMALLEST_DEFAULT_SHARD = 32
#: The parts of a fingerprint that stand for all images together, and all labels.
IMAGES = "images"
LABELS = "label map"
_DEFAULT_SHARDS = 128
_VERSION_OF = "version of "
# Left out where it is that: outputs of a time before there was a choice are gone on with.
_IMPLIED: Mapping[str, Any] = {"depth": Config.model_fields["depth"].default}


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardSpec:
    """Shard ``index`` of the ``count`` of its split: rows ``start`` to ``stop`` of the manifest."""

    split: str
    index: int
    count: int
    start: int
    stop: int

    @property
    def images(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """Everything that is decided before work begins.

    Attributes:
        config: what was asked for.
        source: the folder that the manifest's paths are relative to.
        images_per_shard: as configured, or chosen by the number of images.
        mean: what encoding ``float32`` subtracts.
        labels: the label map.
        classes: names, to which the manifest's ``class`` column points.
        manifest: the images in the order in which they are written: ``path``, ``class``, ``size``,
            ``mtime``; split after split.
        shards: which rows go to which shard.
        counts: images by split and class.
        ignored: what lies in the source and is not part of the run.
        fingerprint: of all that has a say in the bytes of the output.
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

    def __repr__(self) -> str:
        return (
            f"RunPlan({counted(self.images, 'image')} of {counted(len(self.classes), 'class')} in "
            f"{counted(len(self.shards), 'shard')}; splits {', '.join(self.counts)}; "
            f"from {self.source!r} to {self.config.output!r})"
        )

    def _repr_html_(self) -> str:
        """In a notebook."""
        shards = counted(len(self.shards), "shard")
        rows = [
            ("source", f"{self.source}, {megabytes(self.source_bytes)}"),
            ("output", self.config.output),
            ("shards", f"{shards} of up to {counted(self.images_per_shard, 'image')}"),
            *(
                ("passed over", f"{i.count:,} × {i.reason}, such as {quoted(i.example)}")
                for i in self.ignored
            ),
        ]
        title = f"{counted(self.images, 'image')} of {counted(len(self.classes), 'class')}"
        labels = {name: str(label) for name, label in self.labels.numbers.items()}
        return markup.panel(
            markup.heading("Plan", title),
            markup.pairs(rows),
            markup.class_table(self.counts, labels),
        )

    @property
    def images(self) -> int:
        return int(self.manifest.num_rows)

    @property
    def refusals_allowed(self) -> int:
        """How many images may be refused without the run being in error."""
        asked = "max_refused" in self.config.model_fields_set
        return refusals_allowed(self.images, self.config.max_refused, asked=asked)

    @property
    def source_bytes(self) -> int:
        return int(pc.sum(self.manifest["size"]).as_py() or 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """What has a say in the output's bytes, by name, so that a difference can be named.

    >>> Fingerprint(parts={"size": 256}).differences(Fingerprint(parts={"size": 224}))
    ['size: 256 there, 224 here']
    """

    parts: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """Hexadecimal SHA-256 of the parts."""
        return hashlib.sha256(json.dumps(self.parts, sort_keys=True).encode()).hexdigest()

    def without(self, part: str) -> Fingerprint:
        """The same without one of its parts."""
        return Fingerprint(parts={k: v for k, v in self.parts.items() if k != part})

    @property
    def versions(self) -> dict[str, str]:
        """The versions of the libraries among the parts."""
        return {
            name.removeprefix(_VERSION_OF): version
            for name, version in self.parts.items()
            if name.startswith(_VERSION_OF)
        }

    def differences(self, here: Fingerprint) -> list[str]:
        """In which parts ``here`` differs from this one."""
        then, now = {**_IMPLIED, **self.parts}, {**_IMPLIED, **here.parts}
        return [
            f"{name}: {_brief(then.get(name))} there, {_brief(now.get(name))} here"
            for name in sorted(then.keys() | now.keys())
            if then.get(name) != now.get(name)
        ]


def make_plan(
    config: Config,
    catalog: Catalog,
    labels: LabelMap,
    mean: RGB | None,
    versions: Mapping[str, str],
) -> RunPlan:
    """Shuffles the images of each split and deals them out to shards."""
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
            config, images_per_shard, mean, versions, catalog.splits, labels, manifest
        ),
    )


def make_fingerprint(
    config: Config,
    images_per_shard: int,
    mean: RGB | None,
    versions: Mapping[str, str],
    splits: Sequence[str],
    labels: LabelMap,
    manifest: pa.Table,
) -> Fingerprint:
    """The fingerprint of a plan that consists of these."""
    return Fingerprint(
        parts=_config_parts(config, images_per_shard, mean)
        | {f"{_VERSION_OF}{name}": version for name, version in versions.items()}
        | {
            "splits": list(splits),
            LABELS: _digest(json.dumps(labels.to_json(), sort_keys=True).encode()),
            IMAGES: images_digest(manifest),
        }
    )


def plan_shards(images: Mapping[str, int], images_per_shard: int) -> tuple[ShardSpec, ...]:
    """Cuts the rows of each split into shards of ``images_per_shard``; the last may be smaller.

    Raises:
        ConfigError: there would be more shards than an output may have.

    >>> [(s.index, s.start, s.stop) for s in plan_shards({"train": 5}, 2)]
    [(0, 0, 2), (1, 2, 4), (2, 4, 5)]
    """
    count_shards(images, images_per_shard)
    shards: list[ShardSpec] = []
    first = 0
    for split, number in images.items():
        starts = range(0, number, images_per_shard)
        shards += (
            ShardSpec(
                split=split,
                index=index,
                count=len(starts),
                start=first + start,
                stop=first + min(start + images_per_shard, number),
            )
            for index, start in enumerate(starts)
        )
        first += number
    return tuple(shards)


def count_shards(images: Mapping[str, int], images_per_shard: int) -> int:
    """How many shards that makes; counting them takes no memory.

    Raises:
        ConfigError: more than an output may have.
    """
    shards = sum(-(-number // images_per_shard) for number in images.values())
    if shards > MOST_SHARDS:
        least = -(-sum(images.values()) // max(MOST_SHARDS - len(images), 1))
        raise ConfigError(
            f"images_per_shard: {images_per_shard:,} would make {shards:,} shards; an output has "
            f"at most {MOST_SHARDS:,}: expected {max(least, 2):,} or more"
        )
    return shards


def default_images_per_shard(images: int) -> int:
    """About 128 shards, of at least 32 and at most 1000 images.

    It depends on nothing but the number of images, so that the output is the same on any machine.

    >>> [default_images_per_shard(n) for n in (400, 20_000, 1_281_167)]
    [32, 156, 1000]
    """
    return min(_LARGEST_DEFAULT_SHARD, max(_SMALLEST_DEFAULT_SHARD, images // _DEFAULT_SHARDS))


def shuffled(count: int, seed: int, split: str) -> npt.NDArray[np.int64]:
    """A permutation of ``range(count)``, other for each seed and split.

    ``RandomState`` is the generator whose stream NumPy promises never to change (NEP 19).
    """
    state = np.random.RandomState([seed, zlib.crc32(split.encode(errors="surrogateescape"))])
    return state.permutation(count).astype(np.int64)


def images_digest(manifest: pa.Table) -> str:
    """Digest of which images there are: paths, classes, sizes, times, and their order."""
    digest = hashlib.sha256()
    for batch in manifest.select(["path"]).to_batches(max_chunksize=1 << 16):
        paths = batch.column("path").to_pylist()
        digest.update(b"\0".join(paths) + b"\0")  # No file name holds a zero byte.
    for name in ("class", "size", "mtime"):
        digest.update(manifest[name].to_numpy().tobytes())
    return digest.hexdigest()[:32]


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


def _config_parts(config: Config, images_per_shard: int, mean: RGB | None) -> dict[str, Any]:
    names = [key for key in Config.model_fields if fingerprint_part(key) == key]
    parts = {name: getattr(config, name) for name in names} | {
        "images_per_shard": images_per_shard,
        "mean": list(mean) if mean else None,
    }
    if config.interpolation in ("cubic", "lanczos"):
        parts["kernel"] = "antialiased"  # Outputs of a time when they aliased are not gone on with.
    return {name: part for name, part in parts.items() if (name, part) not in _IMPLIED.items()}


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32]


def _brief(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))  # As one would type it.
    text = "none" if value is None else str(value)
    return text if len(text) <= 40 else text[:12] + "…"
