"""Show a configuration, a plan and a report in a notebook's cell."""

from __future__ import annotations

import functools
from collections import Counter

from prep.config import HIDDEN, Config
from prep.display import html
from prep.display.links import file_link
from prep.output.report.report import RunReport
from prep.planning.facts import plan_facts
from prep.planning.plan import RunPlan
from prep.text import counted


@functools.singledispatch
def html_of(value: object) -> str:
    """Return the HTML that a notebook shows for one of our values.

    Raises:
        TypeError: nothing is known of how to show values of this type.
    """
    raise TypeError(f"no HTML is defined for {type(value).__name__}")


@html_of.register
def _(config: Config) -> str:
    """Show what was asked for, and the keys at their defaults when unfolded."""
    fields = Config.model_fields
    values = {name: getattr(config, name) for name in fields}
    if values["storage_options"]:
        values["storage_options"] = HIDDEN
    rows = {
        name: (name, "none" if value is None else str(value), fields[name].description or "")
        for name, value in values.items()
    }
    chosen = [rows.pop(name) for name in config.chosen()]
    return html.panel(
        html.heading("Config"),
        html.described(chosen),
        html.folded(f"{len(rows)} more keys, at their default", html.described(rows.values())),
    )


@html_of.register
def _(plan: RunPlan) -> str:
    labels = {name: str(label) for name, label in plan.labels.numbers.items()}
    return html.panel(
        html.heading("Plan", plan.title),
        html.pairs(plan_facts(plan)),
        html.class_table(plan.counts, labels),
    )


@html_of.register
def _(report: RunReport) -> str:
    hidden = {"refused", "mean RGB", "std RGB", "report"}  # They are shown otherwise.
    images = report.images
    written = f"{images['written']:,} of {counted(images['planned'], 'image')} written"
    parts = [
        html.heading("Report", written, "good" if report.verdict.good else "bad"),
        html.line(report.verdict.reason, kind="bad") if not report.verdict.good else "",
        html.pairs(row for row in report.rows() if row[0] not in hidden),
        html.place("report", report.page, file_link(report.page)) if report.page else "",
        html.swatch(report.mean, report.std),
    ]
    classes = sum(map(Counter, report.classes.values()), Counter[str]())
    parts += [html.section("Images by class"), html.bars(dict(sorted(classes.items())))]
    if report.refused:
        parts += [html.section(f"Refused: {images['refused']:,}"), _refused(report)]
    if report.preview is not None:
        parts.append(report.preview(report))
    return html.panel(*parts)


def _refused(report: RunReport) -> str:
    reasons = (f"{n:,} {reason}" for reason, n in report.refused_by_reason().items())
    rows = [(image["path"], image["reason"], image["detail"]) for image in report.refused]
    return html.line(*reasons) + html.table(("image", "reason", "detail"), rows)
