"""Mean, standard deviation and histograms of the channels."""

from __future__ import annotations

from collections.abc import Mapping

from prep.display.page.facts import Facts
from prep.display.page.figures import pictures
from prep.display.page.section import FEWEST, Figure, Section, View, make_section
from prep.images.stats import by_channel
from prep.output.receipt import Totals
from prep.text import one_line


def channels(view: View) -> Section | None:
    """What the values of the channels are like."""
    if not view.everything.images:
        return None
    return make_section(
        "channels",
        "Channels",
        {
            "channel_rows": channel_rows(view.facts.totals),
            "sampled": view.sample.images,
            "reference": one_line(", ".join(view.facts.references)),
        },
        figures=_figures(view),
    )


def channel_rows(everything: Mapping[str, Totals]) -> list[tuple[str, ...]]:
    """(split, images, mean of R, G, B, std of R, G, B) of each split with any images."""
    rows = []
    for split, totals in everything.items():
        mean, std = totals.stats.mean(), totals.stats.std()
        if mean is None or std is None:
            continue
        values = (f"{value:.3f}" for value in (*mean, *std))
        rows.append((one_line(split), f"{totals.images:,}", *values))
    return rows


def mean_and_std(
    facts: Facts,
) -> tuple[dict[str, float] | None, dict[str, float] | None]:
    """Those of the splits that ``mean_rgb.json`` is of."""
    stats = sum((facts.totals[split] for split in facts.references), Totals()).stats
    return by_channel(stats.mean()), by_channel(stats.std())


def _figures(view: View) -> dict[str, Figure]:
    sample = view.sample
    if sample.images < FEWEST:
        return {}
    mean, std = mean_and_std(view.facts)
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
