"""Which figures a page has, and what is said below each."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bokeh.embed import components

from prep.dimensions import SIDES_PER_OCTAVE, Dimensions
from prep.receipts import Totals
from prep.text import counted, megabytes
from prep.webpage import pictures, timelines
from prep.webpage.facts import Facts
from prep.webpage.samples import Sample
from prep.webpage.tables import MOST_CLASS_BARS, class_totals, mean_and_std


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A figure: ``title`` tells what it shows, ``caption`` what can be read off it."""

    title: str
    caption: str
    model: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """Figures as they stand in a page.

    Attributes:
        figures: by name.
        elements: the HTML element of each, by the same names.
        script: the HTML of the script that fills them.
    """

    figures: Mapping[str, Figure]
    elements: Mapping[str, str]
    script: str


def draw(facts: Facts, sample: Sample) -> Drawn:
    """Draws all figures that there is something to draw of."""
    totals = facts.totals()
    figures = {
        **_of_classes(facts, totals),
        **_of_sources(facts, totals),
        **_of_channels(facts, totals, sample),
        **_of_shards(facts),
        **_of_the_run(facts),
    }
    models = {name: figure.model for name, figure in figures.items()}
    script, elements = components(models) if models else ("", {})
    return Drawn(figures=figures, elements=elements, script=script)


def _of_classes(facts: Facts, totals: Mapping[str, Totals]) -> dict[str, Figure]:
    counts = {name: sum(row) for name, row in class_totals(facts, totals).items()}
    if len(counts) <= MOST_CLASS_BARS:
        return {}
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    middle = ordered[len(ordered) // 2][1]
    caption = (
        f"The largest class has {counted(ordered[0][1], 'image')}, "
        f"the middle one {middle:,}, the smallest {ordered[-1][1]:,}."
    )
    model = pictures.class_profile(ordered)
    return {"classes": Figure(title="Images by class", caption=caption, model=model)}


def _of_sources(facts: Facts, totals: Mapping[str, Totals]) -> dict[str, Figure]:
    figures = {}
    dimensions = sum((total.dimensions for total in totals.values()), Dimensions())
    if dimensions.images:
        noted = f"Of {counted(dimensions.images, 'image')} in the shards, upright."
        low, high = (_quantile(dimensions.sides, share) for share in (0.05, 0.95))
        side = 2 ** (1 / SIDES_PER_OCTAVE)
        size = facts.plan.settings.size
        figures["sides"] = Figure(
            title="Shorter side",
            caption=f"{noted} Nine of ten lie between about {low:,.0f} and {high * side:,.0f} "
            f"pixels; the squares have {size}.",
            model=pictures.side_histogram(dimensions.sides),
        )
        figures["aspects"] = Figure(
            title="Aspect",
            caption=f"{noted} Left of 1:1 are portraits, right of it landscapes.",
            model=pictures.aspect_histogram(dimensions.aspects),
        )
    if len(facts.sizes):
        total = megabytes(int(facts.sizes.sum()))
        figures["files"] = Figure(
            title="Size of the files",
            caption=f"Of {counted(len(facts.sizes), 'image')} planned, {total} in all; "
            f"on average {facts.sizes.mean() / 1e3:,.0f} kB.",
            model=pictures.file_sizes(facts.sizes),
        )
    return figures


def _quantile(bins: Mapping[int, int], share: float) -> float:
    """The lower end of the bin in which this share of the images is reached."""
    numbers = sorted(bins)
    reached = itertools.accumulate(bins[number] for number in numbers)
    wanted = share * sum(bins.values())
    first = next(number for number, n in zip(numbers, reached, strict=True) if n >= wanted)
    return float(2 ** (first / SIDES_PER_OCTAVE))


def _of_channels(facts: Facts, totals: Mapping[str, Totals], sample: Sample) -> dict[str, Figure]:
    if not sample.images:
        return {}
    mean, std = mean_and_std(facts, totals)
    drawn = pictures.channel_histograms(sample.histogram, mean, std)
    names = {"R": "Red", "G": "Green", "B": "Blue"}
    return {
        f"channel_{channel}": Figure(
            title=names[channel],
            caption=f"mean {mean[channel]:.2f}, std {std[channel]:.2f}" if mean and std else "",
            model=model,
        )
        for channel, model in drawn.items()
    }


def _of_shards(facts: Facts) -> dict[str, Figure]:
    receipts, splits = facts.receipts, facts.splits
    if not receipts:
        return {}
    images = [sum(receipt.written.values()) for receipt in receipts]
    sizes = [receipt.bytes for receipt in receipts]
    every = pictures.bars_shown(len(receipts))
    some = f" One of {every} has a bar." if every > 1 else ""
    return {
        "shard_images": Figure(
            title="Images in each shard",
            caption=f"{min(images):,} to {counted(max(images), 'image')}.{some}",
            model=pictures.shard_images(receipts, splits),
        ),
        "shard_bytes": Figure(
            title="Size of each shard",
            caption=f"{megabytes(min(sizes))} to {megabytes(max(sizes))}.{some}",
            model=pictures.shard_bytes(receipts, splits),
        ),
    }


def _of_the_run(facts: Facts) -> dict[str, Figure]:
    figures = {}
    timed = [receipt for receipt in facts.receipts if receipt.began]
    if timed:
        workers = len({receipt.worker for receipt in timed})
        pauses = timelines.describe_pauses(timelines.lay_out(timed).pauses)
        figures["timeline"] = Figure(
            title="Shards by worker",
            caption=f"{counted(len(timed), 'shard')}, written by {counted(workers, 'worker')}. "
            + pauses,
            model=timelines.shard_timeline(timed, facts.splits),
        )
    histories = timelines.usable(facts.histories)
    if histories:
        figures["image_rate"] = Figure(
            title="Images per second", caption="", model=timelines.image_rate(histories)
        )
        figures["byte_rates"] = Figure(
            title="Read and written",
            caption="Bytes of image files, and of the images in the records.",
            model=timelines.byte_rates(histories),
        )
        figures["processors"] = Figure(
            title="Processor time",
            caption="Workers in percent of one core; hosts in percent of all their cores.",
            model=timelines.processor_time(histories),
        )
    return figures
