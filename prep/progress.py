"""Live counts → a terminal, a notebook, or plain lines where output is neither."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from prep.addresses import dashboard_links, page_link
from prep.interrupts import deferred
from prep.live import Scene, Screen, and_failed
from prep.notebook import in_notebook
from prep.text import duration, megabytes
from prep.verdict import RUNNING, Verdict
from prep.watching.counts import LiveCounts

_PLAIN_EVERY = 5.0  # seconds between plain lines


class Display(Protocol):
    """Shows how far a run has come."""

    def __enter__(self) -> Display: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
    def update(self, counts: LiveCounts) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is to be done.

    Attributes:
        title: what it is called.
        planned: how many images, or whatever ``unit`` says.
        shards: how many shards are to be written, if any.
        dashboard: where the Dask dashboard is to be seen.
        note: what a user should know beforehand, if anything.
        page: which page of the dashboard shows this work best.
    """

    title: str
    planned: int
    unit: str = "images"
    shards: int | None = None
    dashboard: str
    note: str | None = None
    page: str = "status"

    @property
    def address(self) -> str:
        """Of that page."""
        return page_link(self.dashboard, self.page)


#: Whether to show progress (if None, where somebody is looking), or what to show it on.
ShowOn = bool | None | Callable[[Work], Display]


def describe(work: Work, counts: LiveCounts) -> str:
    """``1,200 of 5,000 images · 640/s · 70.1 MB/s · 6 s left · 3 refused``."""
    parts = [f"{counts.images:,} of {work.planned:,} {work.unit}"]
    if counts.images_per_second:
        parts.append(f"{counts.images_per_second:,.0f}/s")
        if counts.read_per_second:
            parts.append(f"{megabytes(counts.read_per_second)}/s")
    if counts.seconds_left is not None:
        parts.append(f"{duration(counts.seconds_left)} left")
    if counts.without_workers:
        parts.append(f"no workers for {duration(counts.without_workers)}: waiting for some")
    if counts.refused:
        parts.append(f"{counts.refused:,} refused")
    return " · ".join(parts)


def describe_shards(work: Work, counts: LiveCounts) -> str | None:
    """``3 of 40 shards, 1 failed``; None where none are counted."""
    if work.shards is None:
        return None
    return f"{counts.shards:,} of {work.shards:,} shards{and_failed(counts)}"


def make_display(work: Work, progress: ShowOn) -> Display:
    """A display that suits where this runs.

    In a notebook, that is the output of the cell; else standard error: live at a terminal, plain
    lines elsewhere.
    """
    if callable(progress):
        return progress(work)
    console = Console(stderr=True)
    if progress is not False and in_notebook():
        return NotebookDisplay(work)
    if progress is False or (progress is None and not console.is_terminal):
        return Silent()
    return LiveDisplay(work, console) if console.is_terminal else PlainLines(work, console)


class LiveDisplay:
    """A bar that moves, with the numbers under it."""

    def __init__(self, work: Work, console: Console) -> None:
        self._work = work
        self._counts = LiveCounts()
        self._bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.percentage:>3.0f}%"),
            console=console,
            expand=True,
        )
        self._task: TaskID = self._bar.add_task(work.title, total=max(work.planned, 1))
        self._live = Live(self._table(), console=console, refresh_per_second=4, transient=True)

    def _table(self) -> Table:
        table = Table.grid(expand=True)
        table.add_row(self._bar)
        table.add_row(Text(describe(self._work, self._counts)))
        shards = describe_shards(self._work, self._counts)
        dashboard = f"dashboard {self._work.address}"
        table.add_row(Text(f"{shards} · {dashboard}" if shards else dashboard))
        if self._work.note:
            table.add_row(Text(self._work.note, style="dim"))
        return table

    def __enter__(self) -> LiveDisplay:
        try:
            with deferred():
                self._live.__enter__()
        except KeyboardInterrupt:  # It came meanwhile, and nobody else would take the bar away.
            self._live.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # An impatient Ctrl-C would leave the bar, and what is printed next beside it.
        with deferred():
            self._live.__exit__(kind, error, trace)

    def update(self, counts: LiveCounts) -> None:
        self._counts = counts
        self._bar.update(self._task, completed=counts.images)
        self._live.update(self._table())


class PlainLines:
    """A line now and then, for logs and pipes."""

    def __init__(self, work: Work, console: Console) -> None:
        self._work = work
        self._counts = LiveCounts()
        self._console = console
        self._shown = time.monotonic()

    def __enter__(self) -> PlainLines:
        self._print(f"dashboard {self._work.address}")
        if self._work.note:
            self._print(self._work.note)
        self._show()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._show()

    def update(self, counts: LiveCounts) -> None:
        self._counts = counts
        if time.monotonic() - self._shown >= _PLAIN_EVERY:
            self._show()

    def _show(self) -> None:
        self._shown = time.monotonic()
        shards = describe_shards(self._work, self._counts)
        self._print(describe(self._work, self._counts) + (f" · {shards}" if shards else ""))

    def _print(self, text: str) -> None:
        line = f"{self._work.title}: {text}"
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


class NotebookDisplay:
    """Bars and numbers in the output of the cell that runs."""

    def __init__(self, work: Work) -> None:
        self._screen = Screen(scene_of(work))

    def __enter__(self) -> NotebookDisplay:
        self._screen.show()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._screen.conclude(Verdict.of_error(error) if error else Verdict("done"))

    def update(self, counts: LiveCounts) -> None:
        self._screen.advance(counts)


def scene_of(work: Work) -> Scene:
    """What is to be seen of work that has just begun."""
    return Scene(
        title=work.title,
        verdict=RUNNING,
        planned=work.planned,
        unit=work.unit,
        shards=work.shards,
        note=work.note or "",
        links=dashboard_links(work.dashboard, work.page) if work.dashboard else {},
    )


class Silent:
    """Shows nothing."""

    def __enter__(self) -> Silent:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def update(self, counts: LiveCounts) -> None: ...
