"""Plan an output that grows: the shards that it has as they are, and new ones behind them."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from prep.errors import LabelError, OutputConflict
from prep.operations.growth.composing import Composed, compose
from prep.operations.growth.matching import Matching, match
from prep.planning.continued import Continued, OutdatedImage
from prep.planning.fingerprint import (
    GROWING,
    IMAGES,
    LABELS,
    VERSION_OF,
    Fingerprint,
    images_digest,
    label_changes,
    labels_digest,
    make_fingerprint,
)
from prep.planning.plan import RunPlan
from prep.planning.shards import ShardSpec
from prep.sources.labels import LabelMap
from prep.text import counted

_Rows = npt.NDArray[np.int64]
_Mask = npt.NDArray[np.bool_]
# Keys that decide the bytes of an output, and may have another value when images are added to it.
_GROWING_KEYS = ("splits", "images_per_shard", "shard_count")


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """An output as it is to grow.

    Attributes:
        plan: continues the stored plan, or is the same where nothing is to be done.
        added: number of images that go into new shards.
        replaced: images whose records are written again or left out.
        rewritten: number of shards that are written again.
        versions: libraries that the shards from before were written with, if these are others.
    """

    plan: RunPlan
    added: int
    replaced: tuple[OutdatedImage, ...]
    rewritten: int
    versions: tuple[str, ...]


def grow(
    stored: RunPlan, now: RunPlan, unwritten: Iterable[ShardSpec], *, compact: bool = False
) -> Growth:
    """Plan what an output has to hold after images were added to its source.

    Images that the output holds keep their place in its shards. So do those that are gone from the
    source or have changed, unless their shard is not written yet, or ``compact`` is set. All
    others go into new shards behind those of their split.

    Args:
        stored: the plan of the output, with its manifest.
        now: a plan of the source as it is now.
        unwritten: the shards of ``stored`` that are not committed.
        compact: whether to write shards again that hold images which are gone or have changed.

    Raises:
        OutputConflict: the source or a setting is another than that of the output.
        LabelError: a class has another number, or a new one can't have any.
    """
    _require_same_settings(stored, now)
    found = match(stored, now)
    _require_same_source(found)
    labels = _grown_labels(stored, now)
    shards = stored.shards
    of_shard = _shard_of_each(shards, stored.images)
    open_shards = {*shards} if compact else {*unwritten}
    free = np.array([shard in open_shards for shard in shards])
    drop_or_update = found.outdated & free[of_shard]
    touched = np.unique(of_shard[drop_or_update])
    composed = compose(found, drop_or_update)
    if composed.added or len(touched) or not _are_images_of(composed.rows, stored):
        plan = _with_rows(found, composed, labels)
        rewritten = [shards[number] for number in touched]
        plan = replace(plan, continues=_continued(stored, rewritten))
    else:
        plan = _unchanged(stored, now)
    images = found.outdated_images(plan)
    rows = np.flatnonzero(found.outdated)
    pairs = [*zip(images, drop_or_update[rows].tolist(), strict=True)]
    outdated = tuple(image for image, is_replaced in pairs if not is_replaced)
    return Growth(
        plan=replace(plan, outdated=outdated),
        added=composed.added,
        replaced=tuple(image for image, is_replaced in pairs if is_replaced),
        rewritten=len(touched),
        versions=_other_versions(stored, plan),
    )


def in_stored_order(stored: RunPlan, now: RunPlan) -> RunPlan:
    """Return a plan of the source with its images in the order that an output has them in.

    Where the source has other images than the output, the plan only tells what differs.

    Args:
        stored: the plan of an output that has grown or was merged, with its manifest.
        now: a plan of the source as it is now.
    """
    labels = now.labels
    with contextlib.suppress(LabelError):
        labels = _grown_labels(stored, now)
    found = match(stored, now)
    if not found.agrees or set(stored.splits) != set(now.splits):
        parts = now.with_partition("given", stored.sizes).fingerprint.parts
        order = [split for split in stored.splits if split in now.splits]
        order += [split for split in now.splits if split not in stored.splits]
        fingerprint = Fingerprint(parts={**parts, "splits": order, LABELS: labels_digest(labels)})
        return replace(now, labels=labels, fingerprint=fingerprint)
    composed = compose(found, np.zeros(stored.images, bool))
    plan = _with_rows(found, composed, labels)
    return replace(plan, continues=stored.continues)


def _require_same_settings(stored: RunPlan, now: RunPlan) -> None:
    """Raise OutputConflict where new shards would be written otherwise than those that are there.

    Versions of libraries may differ: shards that are there stay as they are.
    """
    differing = [
        text
        for text in stored.fingerprint.differences(now.fingerprint)
        if (name := text.partition(":")[0]) not in GROWING and not name.startswith(VERSION_OF)
    ]
    if differing:
        raise OutputConflict(
            f"output: {now.config.output} was written with other settings "
            f"({'; '.join(differing)}); images are appended with the settings that it has: give "
            "these, or choose another output"
        )


def _require_same_source(found: Matching) -> None:
    """Raise OutputConflict if a source has none of the images that it should have."""
    gone = int(found.gone.sum())
    if gone and not (found.at >= 0).any():
        raise OutputConflict(
            f"output: none of the {counted(gone, 'image')} in {found.now.config.output} is in "
            f"{found.now.shown_source}; give the source that it was made of, with the images that "
            "were added to it, or choose another output"
        )


def _grown_labels(stored: RunPlan, now: RunPlan) -> LabelMap:
    """Return the label map of an output, with the classes that are new in its source.

    Raises:
        LabelError: the map that was given has other numbers, or there is no place for a class.
    """
    before = stored.labels
    if not now.labels_given:
        return before.extended(now.labels.numbers, now.config.first_label)
    changes = label_changes(before, now.labels)
    if before.numbers and (changes.moved or changes.widths):
        raise LabelError(
            f"label map: {changes}; an output that grows keeps the label of each class: give the "
            "map that it was written with, with new classes added"
        )
    numbers = {**before.numbers, **now.labels.numbers}
    return replace(now.labels, numbers=numbers).of_target(now.labels.target)


def _unchanged(stored: RunPlan, now: RunPlan) -> RunPlan:
    """Return the stored plan, with all that the source and the configuration say besides."""
    ours = {key: getattr(stored.config, key) for key in _GROWING_KEYS}
    return replace(
        stored,
        config=now.config.model_copy(update=ours),
        source=now.source,
        ignored=now.ignored,
        read_as=now.read_as,
        doubts=now.doubts,
        labels_from=now.labels_from,
    )


def _are_images_of(rows: pa.Table, plan: RunPlan) -> bool:
    """Return whether rows are the manifest of a plan."""
    return images_digest(rows) == plan.fingerprint.parts.get(IMAGES)


def _with_rows(found: Matching, composed: Composed, labels: LabelMap) -> RunPlan:
    """Return the plan of these rows."""
    stored, now = found.stored, found.now
    sizes = composed.sizes
    config = now.config
    if config.splits is not None:
        config = config.model_copy(update={"splits": tuple(sizes)})
    images_per_shard = config.images_per_shard or stored.images_per_shard
    fingerprint = make_fingerprint(
        config,
        images_per_shard,
        "given",
        now.mean,
        now.fingerprint.versions,
        tuple(sizes),
        labels,
        composed.rows,
        sizes,
    )
    return replace(
        now,
        config=config,
        labels=labels,
        classes=composed.classes,
        images_per_shard=images_per_shard,
        splits={split: sum(counts) for split, counts in sizes.items()},
        sizes=sizes,
        rows=composed.rows,
        fingerprint=fingerprint,
        class_names={**stored.class_names, **now.class_names},
    )


def _continued(stored: RunPlan, rewritten: Iterable[ShardSpec]) -> Continued:
    """Return what a plan says of the stored one that it continues."""
    counts: dict[str, int] = {}
    for shard in stored.shards:
        counts[shard.split] = shard.count
    indexes: dict[str, tuple[int, ...]] = {}
    for shard in rewritten:
        indexes[shard.split] = (*indexes.get(shard.split, ()), shard.index)
    return Continued(digest=stored.fingerprint.digest, counts=counts, rewritten=indexes)


def _other_versions(stored: RunPlan, plan: RunPlan) -> tuple[str, ...]:
    """Name the libraries that a plan has in another version than the stored one."""
    before, versions = stored.fingerprint.versions, plan.fingerprint.versions
    return tuple(
        f"{name} {before.get(name)} there, {versions.get(name)} here"
        for name in sorted(before.keys() | versions.keys())
        if before.get(name) != versions.get(name)
    )


def _shard_of_each(shards: Collection[ShardSpec], images: int) -> _Rows:
    """Return the shard of each image, by its position."""
    counts = [shard.images for shard in shards]
    of_shard: _Rows = np.repeat(np.arange(len(counts)), counts)
    assert len(of_shard) == images
    return of_shard


def describe_growth(growth: Growth) -> str:
    """Say in a few words what is to be appended to an output.

    >>> describe_growth(Growth(plan=None, added=0, replaced=(), rewritten=0, versions=()))
    'nothing to append'
    """
    parts = []
    if growth.added:
        parts.append(f"{counted(growth.added, 'image')} to append")
    if growth.rewritten:
        replaced = counted(len(growth.replaced), "image")
        shards = counted(growth.rewritten, "shard")
        parts.append(f"{shards} to write again, for {replaced} gone or changed")
    return ", ".join(parts) or "nothing to append"
