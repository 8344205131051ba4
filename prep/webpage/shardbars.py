"""The shards of each split."""

from __future__ import annotations

from prep.text import counted, one_line
from prep.webpage import pictures
from prep.webpage.facts import Facts
from prep.webpage.sections import FEWEST, Figure, Section, View, make_section
from prep.webpage.units import short_size


def shards(view: View) -> Section:
    """How many there are, and how large."""
    return make_section(
        "shards",
        "Shards",
        {"split_rows": split_rows(view.facts), "committed": len(view.facts.receipts)},
        figures=_shard_figures(view.facts),
    )


def split_rows(facts: Facts) -> list[tuple[str, ...]]:
    """(split, planned, written, refused, shards, size, images of the smallest and largest)."""
    rows: list[tuple[str, ...]] = []
    for split, planned in facts.plan.images.items():
        total = facts.totals[split]
        sizes = [receipt.images for receipt in facts.receipts if receipt.split == split]
        of_all = sum(shard.split == split for shard in facts.plan.shards)
        shards = f"{total.shards:,}" + (f" of {of_all:,}" if total.shards < of_all else "")
        numbers = (f"{planned:,}", f"{total.images:,}", f"{len(total.refused):,}", shards)
        rows.append((one_line(split), *numbers, short_size(total.bytes), _between(sizes)))
    return rows


def _between(sizes: list[int]) -> str:
    if not sizes:
        return "none"
    low, high = min(sizes), max(sizes)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def split_key(facts: Facts) -> list[tuple[str, int]]:
    """What colours stand for, where there is more than one split."""
    names = [one_line(split) for split in facts.splits]
    return [(name, number) for number, name in enumerate(names)] if len(names) > 1 else []


def _shard_figures(facts: Facts) -> dict[str, Figure]:
    """Images and bytes of each shard, which are much the same by design."""
    receipts, splits = facts.receipts, facts.splits
    if len(receipts) < FEWEST:
        return {}
    images = [receipt.images for receipt in receipts]
    sizes = [receipt.bytes for receipt in receipts]
    every = pictures.bars_shown(len(receipts))
    some = f" One of {every:,} has a bar." if every > 1 else ""
    key = split_key(facts)
    return {
        "shard_images": Figure(
            title="Images in each shard",
            caption=f"{min(images):,} to {counted(max(images), 'image')}.{some}",
            key=key,
            model=pictures.shard_images(receipts, splits),
        ),
        "shard_bytes": Figure(
            title="Size of each shard",
            caption=f"{short_size(min(sizes))} to {short_size(max(sizes))}.{some}",
            key=key,
            model=pictures.shard_bytes(receipts, splits),
        ),
    }
