"""Fingerprints: everything that decides the bytes of an output, by name, and what has changed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from prep.config.model import Config
from prep.planning.shards import Partition, ShardSizes
from prep.settings.choices import RGB
from prep.settings.keys import fingerprint_part
from prep.settings.output_names import DEFAULT_FORMAT
from prep.sources.columns import TARGET, columns_of, numbers_of
from prep.sources.labels import LabelMap
from prep.text import quoted, some


def describe_changes(then: pa.Table, now: pa.Table) -> str:
    """Count the images added, gone and changed between two manifests, with an example of each.

    An image has changed if its size or its modification time has.
    """
    both = then.select(["path", "size", "mtime"]).join(
        now.select(["path", "size", "mtime"]),
        keys="path",
        right_suffix=" now",
        join_type="full outer",
        coalesce_keys=True,
    )
    is_new, is_gone = pc.is_null(both["size"]), pc.is_null(both["size now"])
    same = pc.and_(
        pc.equal(both["size"], both["size now"]), pc.equal(both["mtime"], both["mtime now"])
    )
    parts = [
        _count(both.filter(mask), what)
        for mask, what in (
            (is_new, "added"),
            (is_gone, "gone"),
            (pc.invert(pc.fill_null(same, fill_value=True)), "changed"),
        )
    ]
    return ", ".join(part for part in parts if part) or "the same, in other classes or splits"


def _count(rows: pa.Table, what: str) -> str:
    if not rows.num_rows:
        return ""
    example = os.fsdecode(pc.min(rows["path"]).as_py())
    return f"{rows.num_rows:,} {what} (such as {quoted(example)})"


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelChanges:
    """Differences between two label maps, each class with its number.

    Attributes:
        moved: classes whose number has changed.
        new, gone: classes in only one of the maps.
        widths: the lengths of the one-hot lists, if they differ.
    """

    moved: tuple[str, ...]
    new: tuple[str, ...]
    gone: tuple[str, ...]
    widths: str = ""

    def __str__(self) -> str:
        kinds = (("moved", self.moved), ("new", self.new), ("gone", self.gone))
        parts = [f"{len(names):,} {kind} ({some(names)})" for kind, names in kinds if names]
        return ", ".join([*parts, self.widths] if self.widths else parts)


def label_changes(then: LabelMap, now: LabelMap) -> LabelChanges:
    """Compare two label maps.

    >>> str(label_changes(LabelMap.build(["cat", "dog"]), LabelMap.build(["bee", "cat", "dog"])))
    "2 moved ('cat' 0 → 1, 'dog' 1 → 2), 1 new ('bee' 0)"
    """
    old, new = then.numbers, now.numbers
    both = [name for name in old if name in new and old[name] != new[name]]
    width = "" if then.width == now.width else f"{_kind(then)} there, {_kind(now)} here"
    return LabelChanges(
        moved=tuple(f"{quoted(n)} {old[n]} → {new[n]}" for n in sorted(both, key=old.__getitem__)),
        new=_numbered(now, (name for name in new if name not in old)),
        gone=_numbered(then, (name for name in old if name not in new)),
        widths=width,
    )


def _numbered(labels: LabelMap, names: Iterable[str]) -> tuple[str, ...]:
    numbers = labels.numbers
    ordered = sorted(names, key=numbers.__getitem__)
    return tuple(f"{quoted(name)} {numbers[name]}" for name in ordered)


def _kind(labels: LabelMap) -> str:
    return "numbers" if labels.width is None else f"one-hot lists of {labels.width}"


#: The parts of a fingerprint that stand for all images, and for all labels.
IMAGES = "images"
LABELS = "label map"
#: The beginning of the parts that stand for versions of libraries.
VERSION_OF = "version of "
PARTITION = "partition"
#: The part that stands for the sizes of all shards, if a plan gives them.
SIZES = "shards"
#: The parts that may be others after images were added to an output: of old classes and splits or
#: of new ones.
GROWING = frozenset((IMAGES, LABELS, PARTITION, SIZES, "splits", "images_per_shard", "shard_count"))
# Left out if they have these values, so that outputs begun before there was a choice continue.
_IMPLIED: Mapping[str, Any] = {
    "depth": Config.model_fields["depth"].default,
    "format": DEFAULT_FORMAT,
    **{
        name: Config.model_fields[name].default
        for name in (
            *("fit", "enlarge", "geometry", "mode", "keep_fitting"),
            *("shard_count", "record", "features", "target"),
        )
    },
    PARTITION: "filled",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """Everything that decides the output's bytes, by name, so that a difference can be named.

    >>> Fingerprint(parts={"size": 256}).differences(Fingerprint(parts={"size": 224}))
    ['size: 256 there, 224 here']
    """

    parts: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """Hexadecimal SHA-256 of the parts."""
        return hashlib.sha256(json.dumps(self.parts, sort_keys=True).encode()).hexdigest()

    @property
    def partition(self) -> Partition:
        """The way in which images are spread over shards.

        >>> Fingerprint(parts={}).partition, Fingerprint(parts={"partition": "even"}).partition
        ('filled', 'even')
        """
        partition: Partition = self.parts.get(PARTITION, _IMPLIED[PARTITION])
        return partition

    def with_partition(self, partition: Partition, sizes: ShardSizes | None = None) -> Fingerprint:
        """Return a copy with another partition; of ``given``, with the sizes of its shards."""
        others = self.without(PARTITION).without(SIZES).parts
        given = {} if sizes is None else {SIZES: sizes_digest(sizes)}
        return Fingerprint(parts=_without_implied({**others, PARTITION: partition, **given}))

    def without(self, part: str) -> Fingerprint:
        """Return a copy without one of its parts."""
        return Fingerprint(parts={k: v for k, v in self.parts.items() if k != part})

    @property
    def versions(self) -> dict[str, str]:
        """The versions of the libraries."""
        return {
            name.removeprefix(VERSION_OF): version
            for name, version in self.parts.items()
            if name.startswith(VERSION_OF)
        }

    def differences(
        self, here: Fingerprint, places: tuple[str, str] = ("there", "here")
    ) -> list[str]:
        """Name each part in which ``here`` differs from this fingerprint, with both values.

        Args:
            here: another fingerprint.
            places: where this one and the other are, in words.
        """
        then, now = {**_IMPLIED, **self.parts}, {**_IMPLIED, **here.parts}
        return [
            f"{name}: {_brief(then.get(name))} {places[0]}, {_brief(now.get(name))} {places[1]}"
            for name in sorted(then.keys() | now.keys())
            if then.get(name) != now.get(name)
        ]


def make_fingerprint(
    config: Config,
    images_per_shard: int,
    partition: Partition,
    mean: RGB | None,
    versions: Mapping[str, str],
    splits: Sequence[str],
    labels: LabelMap,
    manifest: pa.Table,
    sizes: ShardSizes | None = None,
) -> Fingerprint:
    """Return the fingerprint of a plan that consists of these."""
    return Fingerprint(
        parts=_config_parts(config, images_per_shard, partition, mean)
        | {f"{VERSION_OF}{name}": version for name, version in versions.items()}
        | {
            "splits": list(splits),
            LABELS: labels_digest(labels),
            IMAGES: images_digest(manifest),
            **({} if sizes is None else {SIZES: sizes_digest(sizes)}),
        }
    )


def images_digest(manifest: pa.Table) -> str:
    """Return a digest of all that a manifest says of images, and of their order."""
    digest = hashlib.sha256()
    columns = columns_of(manifest)
    for name in ("path", "file", "how"):
        if name in columns:
            for batch in manifest.select([name]).to_batches(max_chunksize=1 << 16):
                paths = batch.column(name).to_pylist()
                if paths:  # A table that was put together may have parts without rows.
                    digest.update(b"\0".join(paths) + b"\0")  # No file name holds a zero byte.
    for name in ("class", "size", "mtime", "offset"):
        if name in columns:
            digest.update(manifest[name].to_numpy().tobytes())
    if TARGET in columns:
        digest.update(numbers_of(manifest[TARGET]).tobytes())
    return digest.hexdigest()[:32]


def labels_digest(labels: LabelMap) -> str:
    """Return a digest of a label map."""
    return _digest(json.dumps(labels.to_json(), sort_keys=True).encode())


def sizes_digest(sizes: ShardSizes) -> str:
    """Return a digest of the number of images in each shard of each split."""
    lists = {split: list(of_shards) for split, of_shards in sizes.items()}
    return _digest(json.dumps(lists, sort_keys=True).encode())


def _config_parts(
    config: Config, images_per_shard: int, partition: Partition, mean: RGB | None
) -> dict[str, Any]:
    names = [key for key in Config.model_fields if fingerprint_part(key) == key]
    values = config.model_dump(mode="json", include=set(names))
    parts = {name: values[name] for name in names} | {
        "images_per_shard": images_per_shard,
        PARTITION: partition,
        "mean": list(mean) if mean else None,
    }
    if config.interpolation in ("cubic", "lanczos"):
        parts["kernel"] = "antialiased"  # Outputs begun when kernels aliased are not continued.
    return _without_implied(parts)


def _without_implied(parts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: part for name, part in parts.items() if (name, part) not in _IMPLIED.items()}


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32]


def _brief(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))  # As one would type it.
    text = "none" if value is None else str(value)
    return text if len(text) < 32 else text[:12] + "…"
