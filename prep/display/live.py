"""A panel in a notebook that shows how far an operation has come."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from prep.display.links import dashboard_links, file_link
from prep.display.notebook import Output
from prep.monitoring.counts import LiveCounts, SplitCounts
from prep.monitoring.events import Callback, RunEnded, RunStarted, StageStarted, WorkStarted
from prep.output.report.report import RunReport
from prep.output.report.verdict import RUNNING, Verdict
from prep.text import counted, duration, one_line, size_text

_EVERY = 0.45  # seconds between two pictures; heartbeats come twice a second


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """The contents of a panel at one time.

    Attributes:
        title: what is done.
        verdict: how it stands.
        doing: what is done while it starts.
        counts: how far it has come.
        planned: of what ``unit`` says, in all; where ``counts`` do not say.
        shards: to be written, if any.
        links: where the dashboard is to be seen.
        note: what a user should know, if anything.
        report: the path of the page that shows what has come of it, if there is one.
        updated: when it was last told how far the run has come, in seconds since the epoch.
    """

    title: str
    verdict: Verdict = Verdict()
    doing: str = ""
    counts: LiveCounts = field(default_factory=LiveCounts)
    planned: int = 0
    unit: str = "images"
    shards: int | None = None
    links: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    report: str = ""
    updated: float | None = None

    def html(self) -> str:
        """Return it as HTML, for the output of a cell."""
        from prep.display.markup import render  # A display at a terminal needs no templates.

        return render(
            "notebook/scene",
            title=self.title,
            status=" · ".join([self._status(), *self._when()]),
            kind=_kind_of(self.verdict),
            reason=self._reason,
            bars=self._bars() if self._planned else {},
            numbers=list(self._numbers()),
            counts=self.counts,
            refused=list(self._refused()),
            note=self.note,
            links=self.links,
            report=self.report,
            report_link=file_link(self.report) if self.report else None,
        )

    def text(self) -> str:
        """``prep: running · 1,200 of 5,000 images · 640/s``."""
        parts = [f"{self.title}: {self._status()}"]
        if self._planned:
            done = min(self.counts.images, self._planned)
            parts.append(f"{done:,} of {self._planned:,} {self.unit}")
            parts += [*self._numbers(), *self._refused()]
        parts += filter(None, [self._reason, self.note if self.verdict.ended else ""])
        return one_line(" · ".join(parts))

    @property
    def _reason(self) -> str:
        """The reason for its end, where the numbers do not show it."""
        return "" if self.verdict.good else self.verdict.reason

    @property
    def _planned(self) -> int:
        return self.counts.planned or self.planned

    def _status(self) -> str:
        state = self.verdict.state
        if state == "starting":
            return self.doing or state
        missing = self.counts.without_workers
        if state == "running" and missing:
            return f"no workers for {duration(missing)}: waiting for some"
        left = self.counts.seconds_left
        if state == "running" and left is not None:
            return f"{duration(left)} left"
        return state

    def _when(self) -> Iterator[str]:
        # Nobody updates a panel any more whose kernel has gone, or whose notebook was saved.
        if self.updated is not None and not self.verdict.ended:
            yield f"last updated {time.strftime('%H:%M:%S', time.localtime(self.updated))}"

    def _bars(self) -> dict[str, tuple[int, int, int]]:
        counts = self.counts
        if counts.splits:
            return {n: (s.done, s.planned, s.refused) for n, s in counts.splits.items()}
        return {self.unit: (min(counts.images, self._planned), self._planned, counts.refused)}

    def _numbers(self) -> Iterator[str]:
        counts = self.counts
        if counts.images_per_second is not None and not self.verdict.ended:
            yield f"{counts.images_per_second:,.0f} {self.unit}/s"
            if counts.read_per_second is not None:
                yield f"{size_text(counts.read_per_second)}/s read"
            if counts.written_per_second is not None:
                yield f"{size_text(counts.written_per_second)}/s written"
        shards = sum(counts.shard_states.values()) or self.shards
        if shards:
            yield f"{counts.shards:,} of {counted(shards, 'shard')}{and_failed(counts)}"
        if counts.seconds:
            yield duration(counts.seconds)

    def _refused(self) -> Iterator[str]:
        if self.counts.refused:
            reasons = ", ".join(f"{n:,} {reason}" for reason, n in self.counts.reasons.items())
            yield f"{self.counts.refused:,} refused" + (f": {reasons}" if reasons else "")


def and_failed(counts: LiveCounts) -> str:
    """Say how many shards have failed; empty if none has.

    >>> and_failed(LiveCounts(shard_states={"failed": 2}))
    ', 2 failed'
    """
    failed = counts.shard_states.get("failed", 0)
    return f", {failed:,} failed" if failed else ""


def _kind_of(verdict: Verdict) -> str:
    """Return how a verdict is coloured; see ``heading`` in ``templates/notebook``."""
    if verdict.good:
        return "good"
    return "bad" if verdict.state in ("failed", "too many refused", "leaks") else "s"


class Screen:
    """A scene that changes, and the cells that show it."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self._output = Output(lambda: (self.scene.html(), self.scene.text()))
        self._shown_at = 0.0

    def show(self) -> None:
        """Show the scene in the cell that runs now, too."""
        self._output.show()

    def change(self, **changes: Any) -> None:
        """Change attributes of the scene, and show that at once."""
        self.scene = replace(self.scene, updated=time.time(), **changes)
        self.refresh()

    def conclude(self, verdict: Verdict) -> None:
        """Change the verdict, and show that at once."""
        self.change(verdict=verdict, counts=replace(self.scene.counts, verdict=verdict))

    def advance(self, counts: LiveCounts) -> None:
        """Change the counts, and show that soon.

        The verdict stays: that of counts is about the shards alone.
        """
        counts = replace(counts, verdict=self.scene.verdict)
        self.scene = replace(self.scene, counts=counts, updated=time.time())
        if time.monotonic() - self._shown_at >= _EVERY:
            self.refresh()

    def refresh(self) -> None:
        """Show the scene as it is now, wherever it is seen."""
        self._shown_at = time.monotonic()
        self._output.update()


class Panel(Callback):
    """Shows the events of an operation on a screen."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen

    def stage_started(self, event: StageStarted) -> None:
        self._screen.change(verdict=Verdict(), doing=event.doing)

    def run_started(self, event: RunStarted) -> None:
        if event.complete:
            self._screen.change(note="already complete, nothing to do")

    def work_started(self, event: WorkStarted) -> None:
        self._screen.change(
            verdict=RUNNING,
            planned=event.planned,
            unit=event.unit,
            shards=event.shards,
            links=dashboard_links(event.dashboard, event.page) if event.dashboard else {},
            note=event.note or "",
            counts=LiveCounts(),
        )

    def progress(self, event: LiveCounts) -> None:
        self._screen.advance(event)

    def run_ended(self, event: RunEnded) -> None:
        if isinstance(event.report, RunReport):
            counts = _final(event.report, self._screen.scene.counts)
            self._screen.change(counts=counts, report=event.report.page or "")
        self._screen.conclude(event.verdict)


def _final(report: RunReport, last: LiveCounts) -> LiveCounts:
    """Return the counts that were shown last, or those of the report if nothing was done."""
    images = report.images
    if last.planned == last.images == images["planned"]:
        return last
    return LiveCounts(
        planned=images["planned"],
        images=images["planned"],
        refused=images["refused"],
        shards=report.shards,
        bytes_read=report.source_bytes,
        bytes_written=report.bytes,
        splits={
            name: SplitCounts(
                planned=split["planned"], done=split["planned"], refused=split["refused"]
            )
            for name, split in report.splits.items()
        },
        shard_states={"resumed": report.shards},
        reasons=report.refused_by_reason(),
        mean=report.mean,
        std=report.std,
    )
