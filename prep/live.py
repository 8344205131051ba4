"""How far a run has come → HTML and plain text."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from prep import markup
from prep.notebook import Output
from prep.text import counted, duration, megabytes, one_line
from prep.watching.counts import LiveCounts

State = Literal["starting", "running", "done", "failed", "cancelled"]

_NAMES_SHOWN = 3  # of refused images
_EVERY = 0.45  # seconds between two pictures; heartbeats come twice a second


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """All that is to be seen of a run at one time.

    Attributes:
        title: what is done.
        state: as of :class:`prep.RunHandle`.
        doing: what is done while it starts.
        counts: how far it has come.
        planned: of what ``unit`` says, in all; where ``counts`` do not say.
        shards: to be written, if any.
        links: where the dashboard is to be seen.
        note: what a user should know, if anything.
        error: what went wrong, in a line.
    """

    title: str
    state: State = "starting"
    doing: str = ""
    counts: LiveCounts = field(default_factory=LiveCounts)
    planned: int = 0
    unit: str = "images"
    shards: int | None = None
    links: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    error: str = ""

    def html(self) -> str:
        """Compact, for the output of a cell."""
        counts = self.counts
        kind = {"done": "good", "failed": "bad"}.get(self.state, "s")
        parts = [markup.heading(self.title, self._status(), kind)]
        if self.error:
            parts.append(markup.line(self.error, kind=kind))
        if self._planned:
            parts.append(markup.split_bars(self._bars()))
            parts.append(markup.line(*self._numbers(), kind="s"))
            parts.append(markup.swatch(counts.mean, counts.std))
        if counts.refused:
            parts.append(markup.line(*self._refused(), kind="bad"))
        names = [f"{image.path} ({image.reason})" for image in counts.latest[:_NAMES_SHOWN]]
        parts.append(markup.line("the last: " + ", ".join(names), kind="s") if names else "")
        parts += [markup.line(self.note, kind="s"), markup.links(self.links)]
        return markup.panel(*parts)

    def text(self) -> str:
        """``prep: running · 1,200 of 5,000 images · 640/s``."""
        parts = [f"{self.title}: {self._status()}"]
        if self._planned:
            done = min(self.counts.images, self._planned)
            parts.append(f"{done:,} of {self._planned:,} {self.unit}")
            parts += [*self._numbers(), *self._refused()]
        ended = self.state not in ("starting", "running")
        parts += filter(None, [self.error, self.note if ended else ""])
        return one_line(" · ".join(parts))

    @property
    def _planned(self) -> int:
        return self.counts.planned or self.planned

    def _status(self) -> str:
        if self.state == "starting":
            return self.doing or "starting"
        missing = self.counts.without_workers
        if self.state == "running" and missing:
            return f"no workers for {duration(missing)}: waiting for some"
        left = self.counts.seconds_left
        if self.state == "running" and left is not None:
            return f"{duration(left)} left"
        return self.state

    def _bars(self) -> dict[str, tuple[int, int]]:
        splits = self.counts.splits
        if splits:
            return {name: (split.done, split.planned) for name, split in splits.items()}
        return {self.unit: (min(self.counts.images, self._planned), self._planned)}

    def _numbers(self) -> Iterator[str]:
        counts = self.counts
        if counts.images_per_second is not None and self.state == "running":
            yield f"{counts.images_per_second:,.0f} {self.unit}/s"
            if counts.read_per_second is not None:
                yield f"{megabytes(counts.read_per_second)}/s read"
            if counts.written_per_second is not None:
                yield f"{megabytes(counts.written_per_second)}/s written"
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
    """What to say of shards that could not be written, behind how many are.

    >>> and_failed(LiveCounts(shard_states={"failed": 2}))
    ', 2 failed'
    """
    failed = counts.shard_states.get("failed", 0)
    return f", {failed:,} failed" if failed else ""


class Screen:
    """A scene that changes, and the cells in which it is seen."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self._output = Output(lambda: (self.scene.html(), self.scene.text()))
        self._shown_at = 0.0

    def show(self) -> None:
        """Shows it in the cell that runs now, too."""
        self._output.show()

    def change(self, **changes: Any) -> None:
        """Changes attributes of the scene, which is seen at once."""
        self.scene = replace(self.scene, **changes)
        self.refresh()

    def advance(self, counts: LiveCounts) -> None:
        """Changes the counts, which is seen soon."""
        self.scene = replace(self.scene, counts=counts)
        if time.monotonic() - self._shown_at >= _EVERY:
            self.refresh()

    def refresh(self) -> None:
        """Shows it once more wherever it is seen."""
        self._shown_at = time.monotonic()
        self._output.update()
