"""The plan as it is stored in an output, for workers, readers and later runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from prep.config import Config
from prep.images import ImageSettings
from prep.labels import LabelMap
from prep.planning import (
    Fingerprint,
    RunPlan,
    ShardSpec,
    count_classes,
    make_fingerprint,
    plan_shards,
)
from prep.records import Compression

#: Of what is stored. Other versions can't be read.
FORMAT = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPlan:
    """What ``plan.json`` says: all that a worker or a reader needs to know beside the manifest.

    ``images`` are their numbers in each split.
    """

    fingerprint: Fingerprint
    config: Config
    source: str
    settings: ImageSettings
    compression: Compression | None
    labels: LabelMap
    classes: tuple[str, ...]
    images_per_shard: int
    images: Mapping[str, int]

    @classmethod
    def of(cls, plan: RunPlan) -> StoredPlan:
        """What is to be stored of a plan."""
        config = plan.config.model_copy(update={"storage_options": None})  # They are not stored.
        return cls(
            fingerprint=plan.fingerprint,
            config=config,
            source=plan.source,
            settings=ImageSettings.of(config, plan.mean),
            compression=config.compression,
            labels=plan.labels,
            classes=plan.classes,
            images_per_shard=plan.images_per_shard,
            images={split: sum(classes.values()) for split, classes in plan.counts.items()},
        )

    @property
    def shards(self) -> tuple[ShardSpec, ...]:
        return plan_shards(self.images, self.images_per_shard)

    def to_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "digest": self.fingerprint.digest,
            "fingerprint": dict(self.fingerprint.parts),
            "config": self.config.model_dump(mode="json"),
            "source": self.source,
            "settings": asdict(self.settings),
            "compression": self.compression,
            "labels": self.labels.to_json(),
            "classes": list(self.classes),
            "images_per_shard": self.images_per_shard,
            "images": dict(self.images),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> StoredPlan:
        """Raises KeyError, TypeError or ValueError where the value is not a plan."""
        return cls(
            fingerprint=Fingerprint(parts=value["fingerprint"]),
            config=Config.stored(value["config"]),
            source=value["source"],
            settings=ImageSettings.from_json(value["settings"]),
            compression=value["compression"],
            labels=LabelMap.parse(value["labels"]),
            classes=tuple(value["classes"]),
            images_per_shard=value["images_per_shard"],
            images=value["images"],
        )

    def with_images(self, manifest: pa.Table) -> RunPlan:
        """The whole plan, as far as it is stored: what was ignored is not.

        Its fingerprint is made anew, of what is there now.

        Args:
            manifest: the image list.
        """
        mean, splits = self.settings.mean, tuple(self.images)
        return RunPlan(
            config=self.config,
            source=self.source,
            images_per_shard=self.images_per_shard,
            mean=mean,
            labels=self.labels,
            classes=self.classes,
            manifest=manifest,
            shards=self.shards,
            counts=count_classes(manifest["class"].to_numpy(), self.images, self.classes),
            ignored=(),
            fingerprint=make_fingerprint(
                self.config,
                self.images_per_shard,
                mean,
                self.fingerprint.versions,
                splits,
                self.labels,
                manifest,
            ),
        )
