"""The plan as it is stored in an output, for workers, readers and later runs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from prep.config import Config
from prep.parsing import Fields, number, refuse, text
from prep.planning.fingerprint import PARTITION, Fingerprint, make_fingerprint
from prep.planning.plan import RunPlan, count_classes
from prep.planning.shards import ShardSpec, count_shards, plan_shards
from prep.settings import Compression, ImageSettings, require_split_name
from prep.sources import manifest as image_list
from prep.sources.labels import LabelMap
from prep.storage.urls import is_url
from prep.text import shown

#: Of what is stored. Other versions can't be read.
FORMAT = 3
_SPARE = 1 << 16  # 64 KiB, for what stands around images


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
            settings=config.image_settings(plan.mean),
            compression=config.compression,
            labels=plan.labels,
            classes=plan.classes,
            images_per_shard=plan.images_per_shard,
            images={split: sum(classes.values()) for split, classes in plan.counts.items()},
        )

    @property
    def shards(self) -> tuple[ShardSpec, ...]:
        return plan_shards(self.images, self.images_per_shard, self.fingerprint.partition)

    @property
    def largest_record(self) -> int:
        """Bytes that a record has at the most.

        The samples of an image as float32 are more than any JPEG of it, whose blocks have 16 pixels
        on a side.
        """
        return 12 * (self.settings.size + 15) ** 2 + 11 * (self.labels.width or 1) + _SPARE

    def most_bytes(self, images: int) -> int:
        """Bytes that a shard of so many images has at the most, compressed or not."""
        return images * (self.largest_record + 16) + _SPARE

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
    def from_json(cls, value: object) -> StoredPlan:
        """Read what :meth:`to_json` gave, and believe nothing that a user could not have asked for.

        Whether it is the plan of the image list beside it shows in :meth:`with_images`.

        Raises:
            ValueError: it is not a plan, or one that can't be; the message says why.
        """
        fields = Fields(value, "a plan")
        fields.whole("format")
        parts = fields.object("fingerprint")
        config = _stored_config(fields.object("config"))
        per_shard = fields.whole("images_per_shard", least=1)
        images = fields.counts("images")
        classes = fields.list("classes")
        plan = cls(
            fingerprint=Fingerprint(parts=parts),
            config=config,
            source=_stored_source(fields.text("source")),
            settings=_stored_settings(fields.object("settings"), config),
            compression=config.compression,
            labels=LabelMap.parse(fields.object("labels")),
            classes=tuple(text(name, "classes") for name in classes),
            images_per_shard=per_shard,
            images={require_split_name(split): number for split, number in images.items()},
        )
        if (digest := fields.text("digest")) != plan.fingerprint.digest:
            made = f"{plan.fingerprint.digest:.12}…"
            refuse("digest", f"{made}, as the rest of the plan has it", f"{digest:.12}…")
        for name, found, expected in (
            ("compression", fields.any("compression"), config.compression),
            ("images_per_shard", per_shard, config.images_per_shard or per_shard),
            # What earlier versions wrote is told by its absence.
            ("partition", parts.get(PARTITION, "even"), "even"),
            ("splits", parts.get("splits"), list(images)),
            ("classes", len(set(plan.classes)), max(len(classes), 1)),
        ):
            if found != expected:
                refuse(name, f"{shown(expected, 80)}, as the rest of the plan has it", found)
        fields.end()
        for name, version in plan.fingerprint.versions.items():
            text(version, f"version of {name}")
        count_shards(images, per_shard)
        return plan

    def with_images(self, manifest: pa.Table) -> RunPlan:
        """The whole plan, as far as it is stored: what was ignored is not.

        Its fingerprint is made anew, of what is there now.

        Args:
            manifest: the image list.

        Raises:
            ValueError: it can't be one of this plan's source and classes.
        """
        image_list.require_within(manifest["path"], self.source)
        image_list.require_numbered(manifest["class"].to_numpy(), len(self.classes))
        mean, splits = self.settings.mean, tuple(self.images)
        counts = count_classes(manifest["class"].to_numpy(), self.images, self.classes)
        self.labels.require(name for classes in counts.values() for name in classes)
        return RunPlan(
            config=self.config,
            source=self.source,
            images_per_shard=self.images_per_shard,
            mean=mean,
            labels=self.labels,
            classes=self.classes,
            manifest=manifest,
            shards=self.shards,
            counts=counts,
            ignored=(),
            fingerprint=make_fingerprint(
                self.config,
                self.images_per_shard,
                self.fingerprint.partition,
                mean,
                self.fingerprint.versions,
                splits,
                self.labels,
                manifest,
            ),
        )


def _stored_config(values: dict[str, Any]) -> Config:
    """A configuration as it was asked for; raises ValueError where it could not have been."""
    config = Config.stored(values)
    if "storage_options" in values or config.storage_options is not None:
        raise ValueError("config: expected no options of storages, for they are never stored")
    return config


def _stored_source(source: str) -> str:
    if "\0" in source or not (is_url(source) or os.path.isabs(source)):
        refuse("source", "an absolute path or a URL", source)
    return source


def _stored_settings(values: dict[str, Any], config: Config) -> ImageSettings:
    """The settings that follow from a configuration; raises ValueError where others are stored."""
    given = values.get("mean")
    mean = None
    if config.encoding == "float32":
        r, g, b = given if isinstance(given, list) and len(given) == 3 else (None,) * 3
        mean = number(r, "mean", most=255), number(g, "mean", most=255), number(b, "mean", most=255)
    settings = config.image_settings(mean)
    expected = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in asdict(settings).items()
    }
    for name, value in values.items():
        if name not in expected or value != expected[name]:
            refuse(name, f"{shown(expected.get(name))}, as the configuration has it", value)
    return settings
