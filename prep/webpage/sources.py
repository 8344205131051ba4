"""What the image files are like."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np

from prep.dimensions import SIDES_PER_OCTAVE
from prep.text import counted
from prep.webpage import pictures
from prep.webpage.sections import FEWEST, Figure, Section, View, make_section
from prep.webpage.units import size_text

_FEWEST_BARS = 3  # of a histogram: fewer are a block


def sources(view: View) -> Section:
    """Sides, aspects and sizes of the image files."""
    sizes = view.facts.sizes
    empty = int((sizes == 0).sum())
    values = {
        "images": view.everything.dimensions.images,
        "few": FEWEST,
        "files": f"{counted(len(sizes), 'file')} of {size_text(int(sizes.sum()))} in all",
        "empty": f"{counted(empty, 'file')} {'is' if empty == 1 else 'are'} empty" if empty else "",
    }
    return make_section("sources", "Sources", values, figures=_figures(view))


def _figures(view: View) -> dict[str, Figure]:
    figures = {}
    facts, dimensions = view.facts, view.everything.dimensions
    if dimensions.images >= FEWEST and len(dimensions.sides) >= _FEWEST_BARS:
        noted = f"Of {counted(dimensions.images, 'image')} in the shards, upright."
        low, high = (_quantile(dimensions.sides, share) for share in (0.05, 0.95))
        side = 2 ** (1 / SIDES_PER_OCTAVE)
        size = facts.plan.settings.size
        figures["sides"] = Figure(
            title="Shorter side",
            caption=f"{noted} Nine of ten lie between about {low:,.0f} and {high * side:,.0f} "
            f"pixels; the results have {size:,}.",
            model=pictures.side_histogram(dimensions.sides),
        )
        figures["aspects"] = Figure(
            title="Aspect",
            caption=f"{noted} Left of 1:1 are portraits, right of it landscapes."
            + _beyond(dimensions.aspects),
            model=pictures.aspect_histogram(dimensions.aspects),
        )
    sizes = facts.sizes[facts.sizes > 0]
    if len(sizes) >= FEWEST and sizes.max() > 2 * sizes.min():
        figures["files"] = Figure(
            title="Size of the files",
            caption=f"Half of them have {size_text(float(np.median(sizes)))} or less.",
            model=pictures.file_sizes(sizes),
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
