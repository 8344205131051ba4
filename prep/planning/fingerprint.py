"""What decides the bytes of an output, by name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from prep.config import Config, fingerprint_part
from prep.labels import LabelMap
from prep.planning.shards import Partition
from prep.stats import RGB

#: The parts of a fingerprint that stand for all images together, and all labels.
IMAGES = "images"
LABELS = "label map"
_VERSION_OF = "version of "
PARTITION = "partition"
# Left out where they are these: outputs of a time before there was a choice are continued.
_IMPLIED: Mapping[str, Any] = {
    "depth": Config.model_fields["depth"].default,
    PARTITION: "filled",
}


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

    @property
    def partition(self) -> Partition:
        """How images are spread over shards.

        >>> Fingerprint(parts={}).partition, Fingerprint(parts={"partition": "even"}).partition
        ('filled', 'even')
        """
        partition: Partition = self.parts.get(PARTITION, _IMPLIED[PARTITION])
        return partition

    def with_partition(self, partition: Partition) -> Fingerprint:
        """The same with another partition."""
        others = self.without(PARTITION).parts
        return Fingerprint(parts=_without_implied({**others, PARTITION: partition}))

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


def make_fingerprint(
    config: Config,
    images_per_shard: int,
    partition: Partition,
    mean: RGB | None,
    versions: Mapping[str, str],
    splits: Sequence[str],
    labels: LabelMap,
    manifest: pa.Table,
) -> Fingerprint:
    """The fingerprint of a plan that consists of these."""
    return Fingerprint(
        parts=_config_parts(config, images_per_shard, partition, mean)
        | {f"{_VERSION_OF}{name}": version for name, version in versions.items()}
        | {
            "splits": list(splits),
            LABELS: _digest(json.dumps(labels.to_json(), sort_keys=True).encode()),
            IMAGES: images_digest(manifest),
        }
    )


def images_digest(manifest: pa.Table) -> str:
    """Digest of which images there are: paths, classes, sizes, times, and their order."""
    digest = hashlib.sha256()
    for batch in manifest.select(["path"]).to_batches(max_chunksize=1 << 16):
        paths = batch.column("path").to_pylist()
        digest.update(b"\0".join(paths) + b"\0")  # No file name holds a zero byte.
    for name in ("class", "size", "mtime"):
        digest.update(manifest[name].to_numpy().tobytes())
    return digest.hexdigest()[:32]


def _config_parts(
    config: Config, images_per_shard: int, partition: Partition, mean: RGB | None
) -> dict[str, Any]:
    names = [key for key in Config.model_fields if fingerprint_part(key) == key]
    parts = {name: getattr(config, name) for name in names} | {
        "images_per_shard": images_per_shard,
        PARTITION: partition,
        "mean": list(mean) if mean else None,
    }
    if config.interpolation in ("cubic", "lanczos"):
        parts["kernel"] = "antialiased"  # Outputs of a time when they aliased are not gone on with.
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
