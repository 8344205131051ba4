"""The top of the page: the verdict, and a few numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from prep.display.page.section import View
from prep.output.report.verdict import Verdict
from prep.planning.plan import refusals_allowed
from prep.sources.labels import with_label
from prep.text import counted, duration, rate, size_text


class Banner(NamedTuple):
    """The verdict on an output in a sentence or two, and the section that says more."""

    kind: Literal["good", "fair", "bad"]
    text: str
    section: str = ""


class KeyNumber(NamedTuple):
    """A number, what it counts, what else to say about it, and the section that says more."""

    label: str
    value: str
    further: str
    section: str


def banner(view: View) -> Banner:
    """Return the verdict on an output, and what to do if it is not good."""
    if not view.facts.finished:
        return _unfinished(view)
    verdict = verdict_of(view)
    written = view.everything.images
    said = str(verdict).capitalize()
    if not written:
        return Banner("bad", f"Nothing is written: {verdict.reason}.", "refused")
    if verdict.state == "done":
        return Banner("good", f"Done: {counted(written, 'image')} written, none refused.")
    if verdict.good:
        return Banner("fair", f"{said}.", "refused")
    if verdict.state == "leaks":
        section = "duplicates" if view.duplicates["leaks"] else "look_alikes"
        remedy = "All images are written. Run with --overwrite and --duplicates drop or"
        accept = "--near-duplicates drop to leave these out, or with --leaks report to accept them"
        return Banner("bad", f"{said}. {remedy} {accept}.", section)
    remedy = "All others are written. Raise max_refused to accept that, or repair or remove these"
    return Banner("bad", f"{said}. {remedy} and run with --overwrite.", "refused")


def verdict_of(view: View) -> Verdict:
    """Return how the run ended that committed the last of the shards."""
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
    return Banner("bad", f"{said} Run the same command to continue.")


def tiles(view: View) -> list[KeyNumber]:
    """Return the numbers at the top of the page."""
    facts, everything = view.facts, view.everything
    planned = sum(facts.plan.splits.values())
    refused = len(everything.refused)
    share = f"{refused / planned:.1%} of all" if refused else "none at all"
    shown = [
        KeyNumber("images", f"{everything.images:,}", f"of {planned:,} planned", "images"),
        KeyNumber("refused", f"{refused:,}", share, "refused"),
        KeyNumber("duplicates", f"{view.duplicates['images']:,}", _leaks(view), "duplicates"),
        KeyNumber("classes", f"{len(facts.plan.single_classes):,}", _smallest(view), "classes"),
        KeyNumber("shards", _shards(view), f"{size_text(everything.bytes)} in all", "shards"),
    ]
    return [*shown, *_effort(view)]


def _leaks(view: View) -> str:
    if len(view.facts.splits) < 2:
        return "images with the same bytes"
    leaked = sum(sum(of.values()) for of in view.duplicates["leaks"].values())
    return f"{leaked:,} between splits"


def _smallest(view: View) -> str:
    sizes = [view.class_totals[name] for name in with_label(view.class_totals)]
    if not sizes:
        return "no image has a label"
    least, most = min(sizes, default=0), max(sizes, default=0)
    return counted(most, "image") if least == most else f"{least:,} to {counted(most, 'image')}"


def _shards(view: View) -> str:
    committed, planned = len(view.facts.receipts), len(view.facts.plan.shards)
    return f"{committed:,}" if committed == planned else f"{committed:,} of {planned:,}"


def _time(seconds: float) -> str:
    return duration(seconds) if seconds >= 10 else f"{seconds:.1f} s"


def _effort(view: View) -> Iterator[KeyNumber]:
    report, use = view.facts.report, view.core_use
    if report is not None and report.seconds:
        part = "last part, " if report.resumed_shards else ""
        speed = f"{part}{rate(report.images_per_second)} images/s"
        yield KeyNumber("time", _time(report.seconds), speed, "run")
    if use.of_hosts is not None:
        by = "mostly by other programs" if use.by_others else "on average"
        yield KeyNumber("cores in use", f"{use.of_hosts:.0f}%", by, "run")
