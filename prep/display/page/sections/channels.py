"""Mean, standard deviation, principal components and histograms of the channels."""

from __future__ import annotations

from collections.abc import Mapping

from prep.display.page.facts import Facts
from prep.display.page.figures import pictures
from prep.display.page.section import FEWEST, Figure, Section, View, make_section
from prep.images.colour import principal_components
from prep.images.stats import ChannelStats
from prep.output.receipt import Totals

_NAMES = {"R": "Red", "G": "Green", "B": "Blue"}
_GRAY = {"gray": "Gray"}


def channels(view: View) -> Section | None:
    """Return moments, principal components and histograms of the channels."""
    if not view.everything.images:
        return None
    return make_section(
        "channels",
        "Channels",
        {
            "channel_heads": [
                f"{figure} {channel}" if number == 0 else channel
                for figure in ("mean", "std")
                for number, channel in enumerate(_names(view.facts))
            ],
            "channel_rows": _rows(view.facts.totals, len(_names(view.facts))),
            "component_rows": _components(view.facts),
            "sampled": view.sample.images,
            "reference": ", ".join(view.facts.references),
        },
        figures=_figures(view),
    )


def _names(facts: Facts) -> Mapping[str, str]:
    """Return the names of the channels that the results have."""
    return _GRAY if facts.plan.settings.mode == "gray" else _NAMES


def _rows(everything: Mapping[str, Totals], channels: int) -> list[tuple[str, ...]]:
    """Return images, mean and std of each split with any images."""
    rows = []
    for split, totals in everything.items():
        mean, std = totals.stats.mean(), totals.stats.std()
        if mean is None or std is None:
            continue
        values = (f"{value:.3f}" for value in (*mean[:channels], *std[:channels]))
        rows.append((split, f"{totals.images:,}", *values))
    return rows


def _components(facts: Facts) -> list[tuple[str, ...]]:
    """Return number, variance, its share, and direction of each principal component."""
    covariance = _reference(facts).covariance()
    if covariance is None or facts.plan.settings.mode == "gray":
        return []
    values, vectors = principal_components(covariance)
    if not (total := sum(values)):
        return []
    return [
        (f"{n}", f"{value:,.1f}", f"{value / total:.1%}", *(f"{each:.4f}" for each in vector))
        for n, (value, vector) in enumerate(zip(values, vectors, strict=True), 1)
    ]


def _reference(facts: Facts) -> ChannelStats:
    """Return the sums that ``mean_rgb.json`` is made of."""
    return sum((facts.totals[split] for split in facts.references), Totals()).stats


def _figures(view: View) -> dict[str, Figure]:
    facts, sample = view.facts, view.sample
    if sample.images < FEWEST:
        return {}
    stats = _reference(facts)
    mean, std = stats.mean(), stats.std()
    figures = {}
    for number, (channel, name) in enumerate(_names(facts).items()):
        of_all = (mean[number], std[number]) if mean and std else None
        figures[f"channel_{channel}"] = Figure(
            title=name,
            caption="mean {:.2f}, std {:.2f}".format(*of_all) if of_all else "",
            model=pictures.channel_histogram(channel, sample.histogram[number], of_all),
        )
    return figures
