"""What the image files are like."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from prep.dimensions import SIDES_PER_OCTAVE
from prep.text import counted
from prep.webpage import pictures
from prep.webpage.sections import Figure, Section, View, make_section
from prep.webpage.units import size_text


def sources(view: View) -> Section:
    """Sides, aspects and sizes of the image files."""
    return make_section("sources", "Sources", {"facts": view.facts}, figures=_figures(view))


def _figures(view: View) -> dict[str, Figure]:
    figures = {}
    facts, dimensions = view.facts, view.everything.dimensions
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
