"""What is to be done, and the interfaces of what shows how it gets on.

What stays of a run that was stopped.

How far work has come, in words and as a bar.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from rich.text import Text

from prep.display.links import page_link
from prep.display.live import and_failed
from prep.monitoring.counts import LiveCounts
from prep.output.receipt import SplitTotals, Totals
from prep.text import counted, duration, size_text

if TYPE_CHECKING:
    from prep.output.report.report import RunReport


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is to be done.

    Attributes:
        title: what it is called.
        planned: how many images, or whatever ``unit`` says.
        shards: how many shards are to be written, if any.
        dashboard: where the Dask dashboard is to be seen; empty where there is none.
        note: what a user should know beforehand, if anything.
        page: which page of the dashboard shows this work best.
    """

    title: str
    planned: int
    unit: str = "images"
    shards: int | None = None
    dashboard: str = ""
    note: str | None = None
    page: str = "status"

    @property
    def address(self) -> str:
        """Of that page."""
        return page_link(self.dashboard, self.page)

    @property
    def noun(self) -> str:
        """One of what is counted."""
        return self.unit.removesuffix("s")


class Display(Protocol):
    """Shows how far work has come."""

    def __enter__(self) -> Display: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
    def update(self, counts: LiveCounts) -> None: ...


#: Gives what shows how some work gets on.
ShowWork = Callable[[Work], Display]


class Silent:
    """Shows nothing."""

    def __enter__(self) -> Silent:
        return self

    def __exit__(self, *_: object) -> None: ...

    def update(self, counts: LiveCounts) -> None: ...


class Stages:
    """Shows what an operation does, from its first moment to its last; this one shows nothing.

    As a context, it ends with the operation, and sees the error that this ends with.
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def doing(self, what: str) -> None:
        """Say what is done, while there is no work to count."""

    def __call__(self, work: Work) -> Display:
        """Return what shows how this work gets on."""
        return Silent()

    def stopped(self, shards: int, totals: SplitTotals | None) -> None:
        """Show what stays of a run that was stopped.

        Args:
            shards: how many are committed.
            totals: what these add up to, by split as it is shown, if that could be read.
        """

    def finish(self, report: RunReport, *, complete: bool) -> None:
        """Show what a run has come to.

        Args:
            complete: whether the output was complete before it began.
        """


def only_committed(counts: LiveCounts, shards: int, totals: SplitTotals | None) -> LiveCounts:
    """Leave out of counts what was done for shards that were not finished.

    Args:
        shards: how many are committed.
        totals: what these add up to, by split as it is shown, if that could be read.
    """
    counts = replace(counts, shards=shards)
    if totals is None:
        return counts
    everything = Totals.sum(list(totals.values()))
    splits = {
        name: replace(
            counts.splits[name],
            done=total.images + len(total.refused),
            refused=len(total.refused),
        )
        for name, total in totals.items()
        if name in counts.splits
    }
    return replace(
        counts,
        images=everything.images + len(everything.refused),
        refused=len(everything.refused),
        splits=splits,
        reasons=dict(Counter(f.reason for f in everything.refused).most_common()),
        bytes_read=everything.source_bytes,
        bytes_written=everything.bytes,
    )


# Told apart by their shape, too, for where there are no colours: written, refused, still to do.
_BAR, _PLAIN_BAR = "━×─", "#x-"
_COLOURS = ("green", "red", "bright_black")


def share_done(work: Work, counts: LiveCounts) -> float:
    """Return how much of the work is done, from 0 to 1."""
    return min(counts.images / work.planned, 1.0) if work.planned else 0.0


def describe(work: Work, counts: LiveCounts) -> str:
    """Say how far the work has come.

    >>> describe(Work(title="preparing", planned=5000), LiveCounts(images=1200, refused=3,
    ...     images_per_second=640.4, read_per_second=70.1e6, seconds_left=5.9))
    '1,200 of 5,000 images (3 refused) · 640/s · 70.1 MB/s · 6 s left'
    """
    refused = f" ({counts.refused:,} refused)" if counts.refused else ""
    parts = [f"{counts.images:,} of {counted(work.planned, work.noun)}{refused}"]
    if counts.images_per_second:
        parts.append(f"{counts.images_per_second:,.0f}/s")
        if counts.read_per_second:
            parts.append(f"{size_text(counts.read_per_second)}/s")
    if counts.seconds_left is not None and counts.images < work.planned:
        parts.append(f"{duration(counts.seconds_left)} left")
    if counts.without_workers:
        parts.append(f"no workers for {duration(counts.without_workers)}: waiting for some")
    return " · ".join(parts)


def describe_shards(work: Work, counts: LiveCounts) -> str | None:
    """Say how many shards are written; None where none are counted.

    >>> describe_shards(Work(title="preparing", planned=5, shards=1), LiveCounts())
    '0 of 1 shard'
    """
    if work.shards is None:
        return None
    return f"{counts.shards:,} of {counted(work.shards, 'shard')}{and_failed(counts)}"


def bar(work: Work, counts: LiveCounts, width: int, *, plain: bool = False) -> Text:
    """Draw what is written, refused and still to do.

    Whatever was refused is seen, however little it is.

    >>> bar(Work(title="", planned=1000), LiveCounts(images=500, refused=1), 12, plain=True).plain
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
