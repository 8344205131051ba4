"""Mean, standard deviation and histograms of the channels."""

from __future__ import annotations

from collections.abc import Mapping

from prep.display.page.facts import Facts
from prep.display.page.figures import pictures
from prep.display.page.section import FEWEST, Figure, Section, View, make_section
from prep.output.receipt import Totals

_NAMES = {"R": "Red", "G": "Green", "B": "Blue"}
_GRAY = {"gray": "Gray"}


def channels(view: View) -> Section | None:
    """Return mean, standard deviation and histograms of the channels."""
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


def _figures(view: View) -> dict[str, Figure]:
    facts, sample = view.facts, view.sample
    if sample.images < FEWEST:
        return {}
    # As in mean_rgb.json.
    stats = sum((facts.totals[split] for split in facts.references), Totals()).stats
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
