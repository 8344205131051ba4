"""What is to be seen first."""

from __future__ import annotations

from prep.receipts import Totals
from prep.text import counted, duration
from prep.webpage.facts import Facts
from prep.webpage.units import size_text


def tiles(facts: Facts) -> list[tuple[str, str, str]]:
    """(name, value, further) of what is to be seen first."""
    everything = sum(facts.totals.values(), Totals())
    planned = sum(facts.plan.images.values())
    refused = len(everything.refused)
    report = facts.report
    shards = f"{len(facts.receipts):,}"
    if not facts.finished:
        shards += f" of {len(facts.plan.shards):,}"
    shown = [
        ("images", f"{everything.images:,}", f"of {planned:,} planned"),
        ("refused", f"{refused:,}", f"{refused / max(planned, 1):.2%} of all"),
        ("classes", f"{len(facts.plan.classes):,}", f"in {counted(len(facts.splits), 'split')}"),
        ("shards", shards, f"{size_text(everything.bytes)} in all"),
        ("read", size_text(everything.source_bytes), "of image files"),
    ]
    if report is not None and report.seconds:
        part = "last part, " if report.resumed_shards else ""
        further = f"{part}{report.images_per_second:,.0f} images/s"
        shown.append(("time", duration(report.seconds), further))
    return shown
