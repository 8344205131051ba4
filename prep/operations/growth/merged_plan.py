"""Plan an output that has the shards of several others, as they are, one output's after another's.

The order of images within a shard stays; so does all that a manifest says of an image but its name,
where two outputs have an image of one name.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from prep.config.model import Config
from prep.errors import SourceError
from prep.operations.growth.agreement import (
    merged_labels,
    merged_versions,
    require_equal_settings,
)
from prep.operations.growth.finished import FinishedOutput
from prep.planning.fingerprint import make_fingerprint
from prep.planning.plan import RunPlan, refusals_allowed
from prep.planning.shards import ShardSizes, count_shards
from prep.settings.keys import fingerprint_part
from prep.shards.copying import ShardOrigin
from prep.sources.columns import TARGET, columns_of, in_catalog, joined
from prep.sources.layouts.merging import absolute_places, distinct_prefixes
from prep.sources.manifest import require_readable
from prep.sources.naming import SourceName, Sources, UnpackedArchive, beyond
from prep.text import counted, quoted, some

#: The part of the fingerprint of the one key that records show, but not by its own name.
_MEAN = "mean"
_SHARE = 10**6  # of which a share of refused images is a whole number


def plan_merge(
    parts: Sequence[FinishedOutput], output: str
) -> tuple[RunPlan, tuple[ShardOrigin, ...], list[str]]:
    """Plan the merge of outputs.

    Args:
        parts: the outputs, in the order in which their shards follow each other.
        output: path or URL of the output to be.

    Returns:
        The plan; where its shards come from; versions of libraries that differ, in words.

    Raises:
        ConfigError: the settings differ.
        LabelError: the label maps do not agree.
        SourceError: the sources can't be named together.
    """
    require_equal_settings(parts)
    versions, differing = merged_versions(parts)
    labels = merged_labels(parts)
    plans = [part.plan for part in parts]
    classes = tuple(sorted({n for plan in plans for n in plan.classes}, key=os.fsencode))
    splits = sorted({name for plan in plans for name in plan.splits}, key=os.fsencode)
    names = [plan.manifest["path"] for plan in plans]
    prefixes = distinct_prefixes(_places(parts), names)
    source = _source(parts)
    sizes = _sizes(plans, splits)
    images = {split: sum(sizes[split]) for split in splits}
    per_shard = max(plan.images_per_shard for plan in plans)
    count_shards(images, per_shard, sizes)
    manifest = _manifest(plans, splits, classes, prefixes, source)
    _require_readable(manifest, source)
    config = _config(parts, output, source, sum(images.values()))
    plan = RunPlan(
        config=config,
        source=source,
        mean=plans[0].mean,
        labels=labels,
        classes=classes,
        images_per_shard=per_shard,
        splits=images,
        sizes=sizes,
        fingerprint=make_fingerprint(
            *(config, per_shard, "given", plans[0].mean, versions, splits, labels, manifest, sizes)
        ),
        rows=manifest,
        read_as=f"{counted(len(parts), 'output')}, merged: {some([p.output for p in parts])}",
        class_names={k: v for plan in plans[::-1] for k, v in plan.class_names.items()},
    )
    origins = tuple(
        ShardOrigin(
            output=part.output,
            digest=part.plan.fingerprint.digest,
            prefix=os.fsdecode(prefix),
            shards={split: len(of_split) for split, of_split in _sizes_of(part.plan).items()},
        )
        for part, prefix in zip(parts, prefixes, strict=True)
    )
    return plan, origins, differing


def _places(parts: Sequence[FinishedOutput]) -> list[str]:
    """Return the path or URL by which each part is told from the others in names of images.

    It is that of its source if that will do, as in a run of all sources: then images can be added
    to the merged output by such a run.
    """
    found = [SourceName.parse(part.plan.source) for part in parts]
    given = [name.given for name in found if name is not None and isinstance(name.given, str)]
    return given if len({*given}) == len(parts) else [part.output for part in parts]


def _sizes_of(plan: RunPlan) -> dict[str, list[int]]:
    """Return the number of images in each shard of each split of a plan."""
    sizes: dict[str, list[int]] = {split: [] for split in plan.splits}
    for shard in plan.shards:
        sizes[shard.split].append(shard.images)
    return sizes


def _sizes(plans: Sequence[RunPlan], splits: Sequence[str]) -> ShardSizes:
    each = [_sizes_of(plan) for plan in plans]
    return {split: tuple(n for sizes in each for n in sizes.get(split, ())) for split in splits}


def _manifest(
    plans: Sequence[RunPlan],
    splits: Sequence[str],
    classes: Sequence[str],
    prefixes: Sequence[bytes],
    source: str,
) -> pa.Table:
    tables = [
        _rows(plan, classes, prefix, source) for plan, prefix in zip(plans, prefixes, strict=True)
    ]
    pieces = [
        table.slice(_start(plan, split), plan.splits.get(split, 0))
        for split in splits
        for plan, table in zip(plans, tables, strict=True)
    ]
    return in_catalog(pa.concat_tables(pieces).unify_dictionaries())


def _start(plan: RunPlan, split: str) -> int:
    """Return the number of rows before those of a split."""
    before = 0
    for name, images in plan.splits.items():
        if name == split:
            break
        before += images
    return before


def _rows(plan: RunPlan, classes: Sequence[str], prefix: bytes, source: str) -> pa.Table:
    """Return the images of a plan, with the names, classes and files of the merged source."""
    rows = plan.manifest
    at = {name: number for number, name in enumerate(classes)}
    numbers = np.array([at[name] for name in plan.classes], np.int32)
    found = SourceName.parse(plan.source)
    keeps_places = found is None or (source == plan.source and not prefix)
    places: Any = {name: rows[name] for name in columns_of(rows)[4:]}
    if found is not None and not keeps_places:
        places = {**absolute_places(rows, found.base)}
        if TARGET in rows.column_names:
            places[TARGET] = rows[TARGET]
    return pa.table(
        {
            "path": joined(prefix, rows["path"]) if prefix else rows["path"],
            "class": pa.array(numbers[rows["class"].to_numpy()], pa.int32()),
            "size": rows["size"],
            "mtime": rows["mtime"],
            **places,
        }
    )


def _require_readable(manifest: pa.Table, source: str) -> None:
    try:
        require_readable(manifest, source)
    except ValueError as error:
        raise SourceError(f"source: {error}") from None


def _source(parts: Sequence[FinishedOutput]) -> str:
    """Return the name of the source of all images.

    Raises:
        SourceError: some are files, and some a list in Python; or an archive has changed.
    """
    plans = [part.plan for part in parts]
    if len({plan.source for plan in plans}) == 1:
        return plans[0].source
    found = [SourceName.parse(plan.source) for plan in plans]
    names = [name for name in found if name is not None]
    if not names:
        return f"list of {counted(sum(plan.images for plan in plans), 'image')}"
    if len(names) < len(plans):
        files, listed = parts[found.index(names[0])], parts[found.index(None)]
        raise SourceError(
            f"source: {quoted(files.output)} was made of files, and {quoted(listed.output)} of a "
            "list in Python; expected outputs of one kind: give the list as files, too"
        )
    given = [
        path
        for name in names
        for path in ([name.given] if isinstance(name.given, str) else name.given.paths)
    ]
    paths = [*dict.fromkeys(given)]
    roots = beyond((path for name in names for path in name.paths), paths)
    unpacked = tuple(dict.fromkeys(each for name in names for each in name.unpacked))
    _require_one_version(unpacked)
    sources = Sources(tuple((None, path) for path in paths))
    return str(SourceName(given=sources, roots=roots, unpacked=unpacked))


def _require_one_version(unpacked: Sequence[UnpackedArchive]) -> None:
    """Raise SourceError where two outputs have unpacked different contents of one archive."""
    seen: dict[str, UnpackedArchive] = {}
    for each in unpacked:
        if seen.setdefault(each.archive, each) != each:
            raise SourceError(
                f"source: {quoted(each.archive)} had other contents when one of the outputs was "
                "made; prepare that output again"
            )


def _config(parts: Sequence[FinishedOutput], output: str, source: str, images: int) -> Config:
    """Return the configuration that all records were made with; all else is as by default."""
    first = parts[0].plan.config
    kept = {
        key: value
        for key, value in first.model_dump(mode="json").items()
        if fingerprint_part(key) == key or fingerprint_part(key) == _MEAN
    }
    del kept["splits"], kept["images_per_shard"], kept["shard_count"]
    found = SourceName.parse(source)
    given = source if found is None else found.given
    values = {**kept, "output": output, "max_refused": _max_refused(parts, images)}
    values["source"] = given if isinstance(given, str) else given.to_json()
    if all(part.plan.config.near_duplicates == "report" for part in parts):
        values["near_duplicates"] = "report"  # All receipts have hashes.
    return Config.stored(values)


def _max_refused(parts: Sequence[FinishedOutput], images: int) -> float:
    """Return the share of images that may be refused: what all outputs allow, taken together."""
    default: float = Config.model_fields["max_refused"].default
    share = max(part.plan.config.max_refused for part in parts)
    allowed = sum(part.plan.refusals_allowed for part in parts)
    if allowed <= refusals_allowed(images, share, asked=share != default):
        return share
    return min(math.ceil((allowed + 0.5) / images * _SHARE) / _SHARE, 1.0)
