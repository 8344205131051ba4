"""Which figures a page has, and what is said below each."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bokeh.document import Document

from prep.dimensions import SIDES_PER_OCTAVE, Dimensions
from prep.receipts import Totals
from prep.text import counted, one_line
from prep.webpage import pictures, timelines
from prep.webpage.facts import Facts
from prep.webpage.samples import Sample
from prep.webpage.tables import MOST_CLASS_BARS, class_totals, mean_and_std
from prep.webpage.units import size_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A figure.

    Attributes:
        title: what it shows.
        caption: what can be read off it.
        key: what its colours stand for: pairs of a text and a number of the palette.
        model: the Bokeh figure.
    """

    title: str
    caption: str = ""
    key: Sequence[tuple[str, int]] = ()
    model: Any

    @property
    def element(self) -> str:
        """The id of the HTML element that it is drawn in."""
        return f"figure-{self.model.id}"


def draw(facts: Facts, sample: Sample) -> dict[str, Figure]:
    """All figures that there is something to draw of, by name."""
    totals = facts.totals
    return {
        **_of_classes(facts, totals),
        **_of_sources(facts, totals),
        **_of_channels(facts, totals, sample),
        **_of_shards(facts),
        **_of_the_run(facts),
    }


def embedded(figures: Iterable[Figure]) -> dict[str, Any]:
    """What the page's script hands to ``Bokeh.embed.embed_items``.

    ``bokeh.embed.components`` makes the same, and takes twice as long: it goes through all models
    again for each figure that it adds.
    """
    document = Document()
    figures = list(figures)
    with document.models.freeze():
        for figure in figures:
            document.add_root(figure.model)
    roots = {figure.model.id: figure.element for figure in figures}
    return {
        "documents": {"page": document.to_json(deferred=False)},
        "items": [{"docid": "page", "roots": roots, "root_ids": list(roots)}],
    }


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
            caption=f"{noted} Left of 1:1 are portraits, right of it landscapes."
            + _beyond(dimensions.aspects),
            model=pictures.aspect_histogram(dimensions.aspects),
        )
    if len(facts.sizes):
        total = size_text(int(facts.sizes.sum()))
        figures["files"] = Figure(
            title="Size of the files",
            caption=f"Of {counted(len(facts.sizes), 'image')} planned, {total} in all; "
            f"on average {size_text(facts.sizes.mean())}.",
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


def _beyond(aspects: Mapping[int, int]) -> str:
    """How many images are more extreme than what is drawn."""
    images = sum(n for bin_, n in aspects.items() if abs(bin_) > pictures.WIDEST)
    return f" Beyond what is drawn: {counted(images, 'image')}." if images else ""


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


def _split_key(facts: Facts) -> list[tuple[str, int]]:
    """What colours stand for, where there is more than one split."""
    names = [one_line(split) for split in facts.splits]
    return [(name, number) for number, name in enumerate(names)] if len(names) > 1 else []


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
            key=_split_key(facts),
            model=timelines.shard_timeline(timed, facts.splits),
        )
    histories = timelines.usable(facts.histories)
    if histories:
        figures["image_rate"] = Figure(
            title="Images per second",
            caption="Averaged over a few seconds.",
            key=[("written or refused", 0)],
            model=timelines.image_rate(histories),
        )
        figures["byte_rates"] = Figure(
            title="Read and written",
            caption="Bytes of image files, and of the images in the records.",
            key=[("read", 0), ("written", 1)],
            model=timelines.byte_rates(histories),
        )
        figures["processors"] = Figure(
            title="Processor time",
            caption="Workers in percent of one core; dashed, hosts in percent of all their cores.",
            key=timelines.worker_key(histories),
            model=timelines.processor_time(histories),
        )
    return figures
