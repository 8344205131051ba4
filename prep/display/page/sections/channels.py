"""Mean, standard deviation and histograms of the channels."""

from __future__ import annotations

from collections.abc import Mapping

from prep.display.page.figures import pictures
from prep.display.page.section import FEWEST, Figure, Section, View, make_section
from prep.images.stats import by_channel
from prep.output.receipt import Totals

_NAMES = {"R": "Red", "G": "Green", "B": "Blue"}


def channels(view: View) -> Section | None:
    """Return mean, standard deviation and histograms of the channels."""
    if not view.everything.images:
        return None
    return make_section(
        "channels",
        "Channels",
        {
            "channel_rows": _rows(view.facts.totals),
            "sampled": view.sample.images,
            "reference": ", ".join(view.facts.references),
        },
        figures=_figures(view),
    )


def _rows(everything: Mapping[str, Totals]) -> list[tuple[str, ...]]:
    """Return images, mean and std of each split with any images."""
    rows = []
    for split, totals in everything.items():
        mean, std = totals.stats.mean(), totals.stats.std()
        if mean is None or std is None:
            continue
        values = (f"{value:.3f}" for value in (*mean, *std))
        rows.append((split, f"{totals.images:,}", *values))
    return rows


def _figures(view: View) -> dict[str, Figure]:
    facts, sample = view.facts, view.sample
    if sample.images < FEWEST:
        return {}
    # As in mean_rgb.json.
    stats = sum((facts.totals[split] for split in facts.references), Totals()).stats
    mean, std = by_channel(stats.mean()), by_channel(stats.std())
    figures = {}
    for (channel, name), counts in zip(_NAMES.items(), sample.histogram, strict=True):
        of_all = (mean[channel], std[channel]) if mean and std else None
        figures[f"channel_{channel}"] = Figure(
            title=name,
            caption="mean {:.2f}, std {:.2f}".format(*of_all) if of_all else "",
            model=pictures.channel_histogram(channel, counts, of_all),
        )
    return figures
