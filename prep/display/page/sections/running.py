"""The course of the run, and the shards that it wrote."""

from __future__ import annotations

from prep.display.page.facts import Facts
from prep.display.page.figures import pictures, timelines
from prep.display.page.section import FEWEST, Figure, Section, View, make_section
from prep.text import counted, size_text


def shards(view: View) -> Section:
    """Return how many shards each split has, and how large they are."""
    return make_section(
        "shards",
        "Shards",
        {"split_rows": _split_rows(view.facts), "committed": len(view.facts.receipts)},
        figures=_shard_figures(view.facts),
    )


def _split_rows(facts: Facts) -> list[tuple[str, ...]]:
    """Return planned, written, refused, shards, size, and images per shard of each split."""
    rows: list[tuple[str, ...]] = []
    for split, planned in facts.plan.splits.items():
        total = facts.totals[split]
        sizes = [receipt.images for receipt in facts.receipts if receipt.split == split]
        of_all = sum(shard.split == split for shard in facts.plan.shards)
        shards = f"{total.shards:,}" + (f" of {of_all:,}" if total.shards < of_all else "")
        numbers = (f"{planned:,}", f"{total.images:,}", f"{len(total.refused):,}", shards)
        rows.append((split, *numbers, size_text(total.bytes), _between(sizes)))
    return rows


def _between(sizes: list[int]) -> str:
    if not sizes:
        return "none"
    low, high = min(sizes), max(sizes)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _split_key(facts: Facts) -> list[tuple[str, int]]:
    """Return the legend of the splits' colours, if there is more than one split."""
    key = [(split, number) for number, split in enumerate(facts.splits)]
    return key if len(key) > 1 else []


def _shard_figures(facts: Facts) -> dict[str, Figure]:
    """Return figures of the shards' images and bytes, which are much the same by design."""
    receipts, splits = facts.receipts, facts.splits
    if len(receipts) < FEWEST:
        return {}
    images = [receipt.images for receipt in receipts]
    sizes = [receipt.bytes for receipt in receipts]
    every = pictures.bars_shown(len(receipts))
    some = f" One of {every:,} has a bar." if every > 1 else ""
    key = _split_key(facts)
    return {
        "shard_images": Figure(
            title="Images in each shard",
            caption=f"{min(images):,} to {counted(max(images), 'image')}.{some}",
            key=key,
            model=pictures.shard_images(receipts, splits),
        ),
        "shard_bytes": Figure(
            title="Size of each shard",
            caption=f"{size_text(min(sizes))} to {size_text(max(sizes))}.{some}",
            key=key,
            model=pictures.shard_bytes(receipts, splits),
        ),
    }


def run(view: View) -> Section | None:
    """Return whether the cores were busy, how fast it was, and when which shard was written."""
    facts, use = view.facts, view.core_use
    if not facts.receipts:
        return None
    bars = [
        ("Hosts, in percent of all their cores", use.hosts),
        ("Workers, in percent of one core", use.workers),
    ]
    known = [(title, of) for title, of in bars if any(one.percent is not None for one in of)]
    values = {"use": str(use) if facts.histories else "", "bars": known}
    figures = _figures(facts, used=use.known)
    return make_section("run", "How it ran", values, short="Run", figures=figures)


def _figures(facts: Facts, *, used: bool) -> dict[str, Figure]:
    figures = {}
    timed = [receipt for receipt in facts.receipts if receipt.began]
    if len(timed) >= FEWEST:
        workers = len({receipt.worker for receipt in timed})
        pauses = timelines.describe_pauses(timelines.lay_out(timed).pauses)
        figures["timeline"] = Figure(
            title="Shards by worker",
            caption=f"{counted(len(timed), 'shard')}, written by {counted(workers, 'worker')}. "
            + pauses,
            key=_split_key(facts),
            model=timelines.shard_timeline(timed, facts.splits),
        )
    histories = timelines.usable(facts.histories)
    if sum(len(history.seconds) for history in histories) < FEWEST:
        return figures
    if used:
        figures["processors"] = Figure(
            title="Use of the cores",
            caption="Workers in percent of one core; dashed, hosts in percent of all their cores.",
            key=timelines.worker_key(histories),
            model=timelines.processor_time(histories),
        )
    figures["image_rate"] = Figure(
        title="Images per second",
        caption="Written or refused, averaged over a few seconds.",
        model=timelines.image_rate(histories),
    )
    figures["byte_rates"] = Figure(
        title="Read and written",
        caption="Bytes of image files, and of the images in the records.",
        key=[("read", 0), ("written", 1)],
        model=timelines.byte_rates(histories),
    )
    return figures
