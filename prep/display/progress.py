"""Progress in words and as a bar."""

from __future__ import annotations

from rich.text import Text

from prep.display.links import page_link
from prep.display.live import and_failed
from prep.monitoring.counts import LiveCounts
from prep.monitoring.events import WorkStarted
from prep.text import counted, duration, size_text

# Told apart by their shape, too, for where there are no colours: written, refused, still to do.
_BAR, _PLAIN_BAR = "━×─", "#x-"
_COLOURS = ("green", "red", "bright_black")


def dashboard_of(work: WorkStarted) -> str:
    """Return the address of the page of the dashboard that shows this work."""
    return page_link(work.dashboard, work.page)


def share_done(work: WorkStarted, counts: LiveCounts) -> float:
    """Return how much of the work is done, from 0 to 1."""
    return min(counts.images / work.planned, 1.0) if work.planned else 0.0


def describe(work: WorkStarted, counts: LiveCounts) -> str:
    """Say how far the work has come.

    >>> describe(WorkStarted(title="preparing", planned=5000), LiveCounts(images=1200, refused=3,
    ...     images_per_second=640.4, read_per_second=70.1e6, seconds_left=5.9))
    '1,200 of 5,000 images (3 refused) · 640/s · 70.1 MB/s · 6 s left'
    """
    refused = f" ({counts.refused:,} refused)" if counts.refused else ""
    parts = [f"{counts.images:,} of {counted(work.planned, work.unit.removesuffix('s'))}{refused}"]
    if counts.images_per_second:
        parts.append(f"{counts.images_per_second:,.0f}/s")
        if counts.read_per_second:
            parts.append(f"{size_text(counts.read_per_second)}/s")
    if counts.seconds_left is not None and counts.images < work.planned:
        parts.append(f"{duration(counts.seconds_left)} left")
    if counts.without_workers:
        parts.append(f"no workers for {duration(counts.without_workers)}: waiting for some")
    return " · ".join(parts)


def describe_shards(work: WorkStarted, counts: LiveCounts) -> str | None:
    """Say how many shards are written; None where none are counted.

    >>> describe_shards(WorkStarted(title="preparing", planned=5, shards=1), LiveCounts())
    '0 of 1 shard'
    """
    if work.shards is None:
        return None
    return f"{counts.shards:,} of {counted(work.shards, 'shard')}{and_failed(counts)}"


def bar(work: WorkStarted, counts: LiveCounts, width: int, *, plain: bool = False) -> Text:
    """Draw what is written, refused and still to do.

    Whatever was refused is seen, however little it is.

    >>> work = WorkStarted(title="", planned=1000)
    >>> bar(work, LiveCounts(images=500, refused=1), 12, plain=True).plain
    '#####x------'
    """
    done = int(share_done(work, counts) * width)
    refused = round(counts.refused / work.planned * width) if work.planned else 0
    refused = min(max(refused, 1 if counts.refused else 0), done)
    lengths = (done - refused, refused, width - done)
    glyphs = _PLAIN_BAR if plain else _BAR
    return Text.assemble(
        *((glyph * n, colour) for glyph, n, colour in zip(glyphs, lengths, _COLOURS, strict=True))
    )
