"""Conflicts: what an output holds that keeps a run of a plan from taking it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prep.errors import OutputConflict
from prep.output.index.derived import has_indexes
from prep.output.index.withdrawal import index_files
from prep.output.journal import Journal
from prep.output.layout import OutputLayout
from prep.output.receipt import ShardReceipt
from prep.planning.fingerprint import (
    GROWING,
    IMAGES,
    LABELS,
    VERSION_OF,
    describe_changes,
    label_changes,
)
from prep.planning.plan import RunPlan
from prep.settings.choices import RESIZER
from prep.storage.location import Location


def require_room(
    journal: Journal,
    plan: RunPlan,
    *,
    overwrite: bool = False,
    grows: bool = False,
    can_append: bool = True,
) -> None:
    """Raise OutputConflict if the output holds anything that is not of this plan.

    Args:
        overwrite: whether to accept everything that can be replaced.
        grows: whether the plan is made to replace the one that the output holds.
        can_append: whether images of this plan could be added to those of the output.
    """
    root = journal.layout.root
    journal.require_folders(plan.counts)
    stored = None if overwrite else journal.stored_plan()
    differences = _differences(journal, stored, plan) if stored and not grows else {}
    if differences:
        more = (
            "pass `append=True` to keep it and add what is new, "
            if can_append and differences.keys() <= GROWING
            else ""
        )
        if stored and differences.keys() - {VERSION_OF + RESIZER} == {"interpolation"}:
            begun = stored.fingerprint.parts["interpolation"]
            more = f"to continue it, ask for interpolation {begun}; otherwise "
        raise OutputConflict(
            f"output: {root} already holds a different run ("
            + "; ".join(differences.values())
            + f"); {more}choose another output, or pass `overwrite=True` to replace it"
        )
    for in_the_way in _in_the_way(journal, plan, stored):
        if overwrite and not _is_folder(in_the_way):
            continue
        replace = "pass `overwrite=True` to replace it"
        remedy = "remove that folder" if _is_folder(in_the_way) else replace
        raise OutputConflict(
            f"output: {in_the_way} is in the way, and was not made by this run; {remedy}, or "
            "choose another output"
        )


def require_room_for_readers(
    journal: Journal, plan: RunPlan, receipts: Sequence[ShardReceipt], *, overwrite: bool = False
) -> None:
    """Raise OutputConflict where files for readers, which change with shards, would be others'.

    Earlier versions wrote no such files. So whoever has them in an output that none of our runs
    has added to has made them, or put something else of that name there.

    Args:
        receipts: of the shards that the output holds.
        overwrite: whether files may be replaced.

    Raises:
        StorageUnavailable: a storage does not answer.
    """
    layout = journal.layout
    if has_indexes(plan) and layout.index.is_file():
        raise OutputConflict(
            f"output: {layout.index} is a file, where a run has a folder with the indexes of "
            "shards; move it away, or choose another output"
        )
    earlier = any(receipt.images for receipt in receipts)
    if overwrite or not earlier or any(receipt.measures for receipt in receipts):
        return
    there = {*layout.root.names()}
    found = [path for path in layout.derived if path.name in there]
    for split in plan.splits:
        found += index_files(layout, split)
    if found:
        raise OutputConflict(
            f"output: {found[0]} is in the way, and was not made by prep, which is to write a file "
            "of this name; move it away"
        )


def _differences(journal: Journal, stored: RunPlan, plan: RunPlan) -> dict[str, str]:
    """Describe each part in which a plan differs from the stored one, with examples of images."""
    then, now = stored.fingerprint, plan.fingerprint
    found = {text.partition(":")[0]: text for text in then.differences(now)}
    if LABELS in found:
        found[LABELS] = f"{LABELS}: {label_changes(stored.labels, plan.labels)}"
    held = journal.manifest.table_if_readable(stored) if IMAGES in found else None
    if held is not None:
        found[IMAGES] = f"{IMAGES}: {describe_changes(held, plan.manifest)}"
    return found


def _in_the_way(journal: Journal, plan: RunPlan, stored: RunPlan | None) -> Iterator[Location]:
    """Yield what a reader would take for part of this plan's output, and what would be replaced.

    Args:
        stored: the plan that the output holds, of which this is one, or which it continues.
    """
    layout = journal.layout
    there = layout.root.sizes()
    for path in layout.results:
        if there is not None and path.name not in there:
            continue
        if _is_folder(path) or (stored is None and (path.exists() or path.is_symlink())):
            yield path
    if stored is None:
        for split in plan.counts:
            yield from index_files(journal.layout, split)
    expected: set[Location] = set()
    if stored is not None:
        expected = {path for each in (plan, stored) for path in _shard_files(layout, each)}
    for split in plan.counts:
        for path in journal.shard_files(split):
            if path not in expected or _is_folder(path):
                yield path


def _shard_files(layout: OutputLayout, plan: RunPlan) -> Iterator[Location]:
    """Yield the files of a plan's shards, also by the names that they had in the plan before."""
    before = plan.continues
    for shard in plan.shards:
        yield layout.shard(shard)
        if before is not None and before.has(shard):
            yield layout.root / shard.split / before.name_of(shard, shard.format)


def _is_folder(path: Location) -> bool:
    """Return whether a path is a folder, and not a link to one, which is replaced like a file."""
    return path.is_dir() and not path.is_symlink()
