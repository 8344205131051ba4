"""Put the rows of a grown output together, and spread the new ones over shards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from prep.operations.growth.matching import Matching
from prep.planning.plan import RunPlan
from prep.sources.columns import IMAGES, PLACES, TARGET, places_of_files

_Rows = npt.NDArray[np.int64]
_Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Composed:
    """The rows of a plan, with the sizes of its shards; ``added`` of the rows are new."""

    rows: pa.Table
    sizes: Mapping[str, tuple[int, ...]]
    classes: tuple[str, ...]
    added: int


def compose(found: Matching, updated: _Mask) -> Composed:
    """Put the rows of a plan together: those of the output, then the new ones of each split.

    Args:
        updated: which outdated images of the output take the row that they have now, or none.
    """
    stored, now = found.stored, found.now
    classes = (*stored.classes, *(name for name in now.classes if name not in stored.classes))
    columns = [*IMAGES]
    tables = [stored.manifest, _renumbered(now, classes)]
    if any("file" in table.column_names for table in tables):
        columns += PLACES
        tables = [_with_places(table) for table in tables]
    if TARGET in stored.manifest.column_names:
        columns.append(TARGET)
    both = pa.concat_tables([table.select(columns) for table in tables]).unify_dictionaries()
    first_now = stored.images
    kept = ~updated | found.changed | found.relabelled
    as_now = (found.at >= 0) & (updated | ~found.outdated)
    row = np.where(as_now, first_now + found.at, np.arange(first_now))
    added = np.zeros(now.images, bool)
    added[found.added] = True
    added[found.at[updated & found.moved]] = True
    splits = (*stored.splits, *(split for split in now.splits if split not in stored.splits))
    order: list[_Rows] = []
    sizes: dict[str, tuple[int, ...]] = {}
    for split in splits:
        ranges = [slice(s.start, s.stop) for s in stored.shards if s.split == split]
        old = [row[each][kept[each]] for each in ranges]
        new = [first_now + rows for rows in _new_shards(now, stored, split, added)]
        order += [*old, *new]
        sizes[split] = tuple(len(rows) for rows in (*old, *new))
    return Composed(
        rows=both.take(pa.array(np.concatenate(order))).combine_chunks(),
        sizes=sizes,
        classes=classes,
        added=int(added.sum()),
    )


def _new_shards(now: RunPlan, stored: RunPlan, split: str, added: _Mask) -> list[_Rows]:
    """Return the rows of ``now`` in each new shard of a split.

    There are as many as ``shard_count`` says, or fewer where not each could have an image. Without
    it, a plan that gives the size of each shard keeps images apart that are read apart.
    """
    shards = [shard for shard in now.shards if shard.split == split]
    rows = [np.arange(shard.start, shard.stop) for shard in shards]
    rows = [of_shard[added[of_shard]] for of_shard in rows]
    if now.sizes is not None and now.config.shard_count is None:
        return [of_shard for of_shard in rows if len(of_shard)]
    whole = np.concatenate([np.zeros(0, np.int64), *rows])
    per_shard = now.config.images_per_shard or stored.images_per_shard
    count = min(now.config.shard_count or -(-len(whole) // per_shard), len(whole))
    return [*np.array_split(whole, count)] if count else []


def _renumbered(plan: RunPlan, classes: tuple[str, ...]) -> pa.Table:
    """Return the manifest of a plan with classes numbered by their position in others."""
    position = {name: number for number, name in enumerate(classes)}
    numbers = np.array([position[name] for name in plan.classes], np.int32)
    table = plan.manifest
    column = pa.array(numbers[table["class"].to_numpy()], pa.int32())
    return table.set_column(table.column_names.index("class"), "class", column)


def _with_places(table: pa.Table) -> pa.Table:
    """Return a manifest that says where its images are, be they files of their own."""
    if "file" in table.column_names:
        return table
    for name, column in places_of_files(table["path"].combine_chunks()).items():
        table = table.append_column(name, column)
    return table
