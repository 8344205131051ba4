"""The image files: their sides, aspects and sizes."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np

from prep.display.page.figures import pictures
from prep.display.page.section import FEWEST, Figure, Section, View, make_section
from prep.images.dimensions import SIDES_PER_OCTAVE, Dimensions
from prep.settings.image_settings import ImageSettings
from prep.text import counted, size_text

_FEWEST_BARS = 3  # of a histogram: fewer are a block


def sources(view: View) -> Section:
    """Return sides, aspects and sizes of the image files."""
    sizes = view.facts.sizes
    empty = int((sizes == 0).sum())
    dimensions = view.everything.dimensions
    values = {
        "images": dimensions.images,
        "few": FEWEST,
        "alike": _describe_alike(dimensions),
        "files": f"{counted(len(sizes), 'file')} of {size_text(int(sizes.sum()))} in all",
        "empty": f"{counted(empty, 'file')} {'is' if empty == 1 else 'are'} empty" if empty else "",
    }
    return make_section("sources", "Sources", values, figures=_figures(view))


def _describe_alike(dimensions: Dimensions) -> str:
    """Return sentences about sides and aspects that are too much alike for a figure."""
    if dimensions.images < FEWEST:
        return ""
    said = ""
    if not _vary(dimensions.sides):
        low, high = _side(min(dimensions.sides)), _side(max(dimensions.sides) + 1)
        said += f" The shorter sides are all between about {low:,.0f} and {high:,.0f} pixels."
    if not _vary(dimensions.aspects):
        said += " Their aspects are much alike."
    return said


def _vary(bins: Mapping[int, int]) -> bool:
    return len(bins) >= _FEWEST_BARS


def _side(bin_: int) -> float:
    """Return the lower end of a bin, in pixels."""
    return float(2 ** (bin_ / SIDES_PER_OCTAVE))


def _figures(view: View) -> dict[str, Figure]:
    figures = {}
    facts, dimensions = view.facts, view.everything.dimensions
    noted = f"Of {counted(dimensions.images, 'image')} in the shards, upright."
    enough = dimensions.images >= FEWEST
    if enough and _vary(dimensions.sides):
        low, high = (_quantile(dimensions.sides, share) for share in (0.05, 0.95))
        figures["sides"] = Figure(
            title="Shorter side",
            caption=f"{noted} Nine of ten lie between about {_side(low):,.0f} and "
            f"{_side(high + 1):,.0f} pixels; {_of_results(facts.plan.settings)}.",
            model=pictures.side_histogram(dimensions.sides),
        )
    if enough and _vary(dimensions.aspects):
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


def _of_results(settings: ImageSettings) -> str:
    """Return the shorter side of the results, in words."""
    side = min(settings.height, settings.width)
    most = "at most " if settings.enlarge == "never" and settings.fit != "pad" else ""
    return f"the results have {most}{side:,}"


def _quantile(bins: Mapping[int, int], share: float) -> int:
    """Return the bin in which this share of the images is reached."""
    numbers = sorted(bins)
    reached = itertools.accumulate(bins[number] for number in numbers)
    wanted = share * sum(bins.values())
    return next(number for number, n in zip(numbers, reached, strict=True) if n >= wanted)


def _beyond(aspects: Mapping[int, int]) -> str:
    """Return how many images are too extreme to be drawn."""
    images = sum(n for bin_, n in aspects.items() if abs(bin_) > pictures.WIDEST)
    return f" Beyond what is drawn: {counted(images, 'image')}." if images else ""
