"""Read ``plan.json`` of an output, which others may have written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pyarrow as pa

from prep.config.model import Config
from prep.parsing import Fields, number, refuse, text, whole
from prep.planning.continued import Continued
from prep.planning.fingerprint import (
    PARTITION,
    SIZES,
    Fingerprint,
    make_fingerprint,
    sizes_digest,
)
from prep.planning.plan import RunPlan
from prep.planning.shards import ShardSizes, count_shards
from prep.settings.choices import RGB
from prep.settings.output_names import DEFAULT_FORMAT, require_split_name
from prep.sources.columns import TARGET, target_type
from prep.sources.labels import LabelMap
from prep.sources.manifest import require_numbered, require_within
from prep.sources.registry import is_source_name
from prep.text import shown


def plan_from_json(value: object) -> RunPlan:
    """Read what :meth:`RunPlan.to_json` gave, and believe nothing that no user could have asked.

    The result has no manifest: :func:`with_manifest` adds it, and shows whether it is the plan's.

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
    names = fields.object("class_names", default={})
    sizes = _stored_sizes(fields.object("shards", default={}), images)
    continues = fields.object("continues", default={})
    plan = RunPlan(
        config=config,
        class_names={name: text(value, "class_names") for name, value in names.items()},
        source=_stored_source(fields.text("source")),
        mean=_stored_mean(fields.object("settings"), config),
        labels=LabelMap.stored(fields.object("labels")).of_target(config.target),
        classes=tuple(text(name, "classes") for name in classes),
        images_per_shard=per_shard,
        splits={require_split_name(split): number for split, number in images.items()},
        sizes=sizes,
        continues=_stored_continued(continues, sizes),
        fingerprint=Fingerprint(parts=parts),
    )
    if (digest := fields.text("digest")) != plan.fingerprint.digest:
        ours = f"{plan.fingerprint.digest:.12}…"
        refuse("digest", f"{ours}, as the rest of the plan has it", f"{digest:.12}…")
    for name, found, expected in (
        ("compression", fields.any("compression"), config.compression),
        ("images_per_shard", per_shard, config.images_per_shard or per_shard),
        # Plans of earlier versions lack these members.
        ("partition", parts.get(PARTITION, "even"), "even" if sizes is None else "given"),
        ("shards", parts.get(SIZES), None if sizes is None else sizes_digest(sizes)),
        ("format", parts.get("format", DEFAULT_FORMAT), config.format),
        ("splits", parts.get("splits"), list(images)),
        ("classes", len(set(plan.classes)), max(len(classes), 1)),
    ):
        if found != expected:
            refuse(name, f"{shown(expected, 80)}, as the rest of the plan has it", found)
    if plan.labelled and not plan.labels.numbers:
        refuse("labels", "the number of each class", {})
    fields.end()
    for name, version in plan.fingerprint.versions.items():
        text(version, f"version of {name}")
    count_shards(images, per_shard, sizes)
    return plan


def with_manifest(plan: RunPlan, manifest: pa.Table) -> RunPlan:
    """Return a stored plan with its manifest, and a fingerprint made anew of what is there now.

    Raises:
        ValueError: the manifest can't be one of this plan's source and classes.
    """
    require_within(manifest, plan.source)
    require_numbered(manifest["class"], len(plan.classes))
    _require_targets(plan, manifest)
    fingerprint = make_fingerprint(
        plan.config,
        plan.images_per_shard,
        plan.fingerprint.partition,
        plan.mean,
        plan.fingerprint.versions,
        tuple(plan.splits),
        plan.labels,
        manifest,
        plan.sizes,
    )
    complete = replace(plan, rows=manifest, fingerprint=fingerprint)
    complete.labels.require(name for classes in complete.counts.values() for name in classes)
    return complete


def _require_targets(plan: RunPlan, manifest: pa.Table) -> None:
    """Raise ValueError unless a manifest has the numbers of labels that classes do not tell."""
    form = plan.label_form
    expected = target_type(form.length or 1) if form.is_floating else None
    found = manifest[TARGET].type if TARGET in manifest.column_names else None
    if found != expected:
        raise ValueError(f"labels of type {found}, of target {form.target}")


def _stored_config(values: dict[str, Any]) -> Config:
    """Return a configuration as it was asked for; raise ValueError if it could not have been."""
    config = Config.stored(values)
    if "storage_options" in values or config.storage_options is not None:
        raise ValueError("config: expected no options of storages, for they are never stored")
    return config


def _stored_sizes(values: dict[str, Any], images: Mapping[str, int]) -> ShardSizes | None:
    """Return the sizes of shards; raise ValueError if they are not those of so many images."""
    if not values:
        return None
    sizes = {
        split: tuple(whole(size, "shards") for size in of_shards)
        for split, of_shards in values.items()
        if isinstance(of_shards, list)
    }
    if {split: sum(of_shards) for split, of_shards in sizes.items()} != dict(images):
        refuse("shards", "as many images of each split as the rest of the plan has", values)
    return sizes


def _stored_continued(values: dict[str, Any], sizes: ShardSizes | None) -> Continued | None:
    """Return the plan that was continued; raise ValueError if it can't have been."""
    if not values:
        return None
    counts = {split: len(of_shards) for split, of_shards in (sizes or {}).items()}
    return Continued.from_json(values, counts)


def _stored_source(source: str) -> str:
    if "\0" in source or not is_source_name(source):
        refuse("source", "an absolute path or a URL, several of these, or a list of images", source)
    return source


def _stored_mean(values: dict[str, Any], config: Config) -> RGB | None:
    """Return the mean of image settings; raise ValueError if the others are not as configured."""
    given = values.get("mean")
    mean = None
    if config.encoding == "float32":
        r, g, b = given if isinstance(given, list) and len(given) == 3 else (None,) * 3
        mean = number(r, "mean", most=255), number(g, "mean", most=255), number(b, "mean", most=255)
    expected = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in config.image_settings(mean).to_json().items()
    }
    for name, value in values.items():
        if name not in expected or value != expected[name]:
            refuse(name, f"{shown(expected.get(name))}, as the configuration has it", value)
    return mean
