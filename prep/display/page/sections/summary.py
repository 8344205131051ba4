"""What is to be seen first: the verdict, and a few numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from prep.display.page.figures.style import short_size
from prep.display.page.section import View
from prep.display.page.sections.classes import class_totals
from prep.display.page.sections.running import core_use, mean_use, used_by_others
from prep.output.report.verdict import Verdict
from prep.planning.plan import refusals_allowed
from prep.text import counted, duration, rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Banner:
    """How an output stands, in a sentence or two, and the section that tells more."""

    kind: Literal["good", "fair", "bad"]
    text: str
    section: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """A number, what it counts, what else there is to say, and the section that tells more."""

    label: str
    value: str
    further: str
    section: str


def banner(view: View) -> Banner:
    """The verdict on an output, and what to do where it is not good."""
    if not view.facts.finished:
        return _unfinished(view)
    verdict = verdict_of(view)
    written = view.everything.images
    said = str(verdict).capitalize()
    if not written:
        return Banner(kind="bad", text=f"Nothing is written: {verdict.reason}.", section="refused")
    if verdict.state == "done":
        return Banner(kind="good", text=f"Done: {counted(written, 'image')} written, none refused.")
    if verdict.good:
        return Banner(kind="fair", text=f"{said}.", section="refused")
    remedy = "All others are written. Raise max_refused to accept that, or repair or remove these"
    return Banner(kind="bad", text=f"{said}. {remedy} and run with --overwrite.", section="refused")


def verdict_of(view: View) -> Verdict:
    """How the run has ended that committed the last of the shards."""
    facts = view.facts
    if facts.report is not None:
        return facts.report.verdict
    planned = sum(facts.plan.splits.values())
    allowed = refusals_allowed(planned, facts.plan.config.max_refused, asked=False)
    return Verdict.of_counts(planned, len(view.everything.refused), allowed)


def _unfinished(view: View) -> Banner:
    committed, planned = len(view.facts.receipts), len(view.facts.plan.shards)
    said = f"Not finished: {committed:,} of {counted(planned, 'shard')} are committed."
    if not committed:
        said = f"Nothing is written yet. {said}"
    if view.facts.histories and not (last := view.facts.histories[-1].verdict).good:
        said += (
            f" The last run was {last}." if last.state == "stopped" else f" The last run {last}."
        )
    return Banner(kind="bad", text=f"{said} Run the same command to continue.")


def tiles(view: View) -> list[Tile]:
    """What an output comes to, in a few numbers."""
    facts, everything = view.facts, view.everything
    planned = sum(facts.plan.splits.values())
    refused = len(everything.refused)
    share = f"{refused / planned:.1%} of all" if refused else "none at all"
    shown = [
        ("images", f"{everything.images:,}", f"of {planned:,} planned", "images"),
        ("refused", f"{refused:,}", share, "refused"),
        ("duplicates", f"{view.duplicates['images']:,}", _leaks(view), "duplicates"),
        ("classes", f"{len(facts.plan.classes):,}", _smallest(view), "classes"),
        ("shards", _shards(view), f"{short_size(everything.bytes)} in all", "shards"),
    ]
    shown += _effort(view)
    return [Tile(label=a, value=b, further=c, section=d) for a, b, c, d in shown]


def _leaks(view: View) -> str:
    if len(view.facts.splits) < 2:
        return "images with the same bytes"
    leaked = sum(sum(of.values()) for of in view.duplicates["leaks"].values())
    return f"{leaked:,} between splits"


def _smallest(view: View) -> str:
    sizes = [sum(row) for row in class_totals(view.facts).values()]
    least, most = min(sizes, default=0), max(sizes, default=0)
    return counted(most, "image") if least == most else f"{least:,} to {counted(most, 'image')}"


def _shards(view: View) -> str:
    committed, planned = len(view.facts.receipts), len(view.facts.plan.shards)
    return f"{committed:,}" if committed == planned else f"{committed:,} of {planned:,}"


def _time(seconds: float) -> str:
    return duration(seconds) if seconds >= 10 else f"{seconds:.1f} s"


def _effort(view: View) -> list[tuple[str, str, str, str]]:
    report, shown = view.facts.report, []
    if report is not None and report.seconds:
        part = "last part, " if report.resumed_shards else ""
        speed = f"{part}{rate(report.images_per_second)} images/s"
        shown.append(("time", _time(report.seconds), speed, "run"))
    hosts, workers = core_use(view.facts.histories)
    mean = mean_use(hosts)
    if mean is not None:
        by = "mostly by other programs" if used_by_others(hosts, workers) else "on average"
        shown.append(("cores in use", f"{mean:.0f}%", by, "run"))
    return shown
