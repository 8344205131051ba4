"""Displays on standard error: drawn in place at a terminal, or a line now and then."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
from collections.abc import Iterator

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from prep.display.progress import bar, dashboard_of, describe, describe_shards, share_done
from prep.execution.interrupts import deferred, noticing
from prep.monitoring.counts import LiveCounts
from prep.monitoring.events import Callback, RunEnded, StageStarted, WorkStarted

_FINISHING, _STOPPING = "finishing", "stopping"
_LEAST_PAUSE, _LONGEST_PAUSE = 5.0, 60.0  # seconds between two lines
# Seconds before a line tells of a stage: where that fails at once, the error says enough.
_STAGE_AFTER = 0.5


class _Shown(Callback):
    """The stage and the progress of an operation, for displays that draw it themselves."""

    def __init__(self, title: str, console: Console) -> None:
        self.title = title
        self.what = ""
        self.since = time.monotonic()
        self.work: WorkStarted | None = None
        self.counts = LiveCounts()
        self._console = console
        self._started = False
        self._open = contextlib.ExitStack()

    def stage_started(self, event: StageStarted) -> None:
        if not self._started:
            self._started = True
            self.start()
        self.what, self.since, self.work = event.doing, time.monotonic(), None
        self.changed()

    def work_started(self, event: WorkStarted) -> None:
        self.title, self.work, self.counts = event.title, event, LiveCounts()
        self.what = ""
        self.changed()

    def progress(self, event: LiveCounts) -> None:
        self.counts = event
        if event.verdict.ended:
            self.what = _FINISHING
            self.changed()

    def start(self) -> None:
        """Begin to show the operation."""

    def changed(self) -> None:
        """Show that the operation does something else now."""

    def ended(self, event: RunEnded) -> str | None:
        """Return how far work had come that an error has cut short; None if none was."""
        if event.error is None or self.work is None or self.what == _FINISHING:
            return None
        counts = dataclasses.replace(
            self.counts, images_per_second=None, seconds_left=None, without_workers=None
        )
        return f"{event.verdict.state} at {' · '.join(_figures(self.work, counts))}"


class AtTerminal(_Shown):
    """Draws what is being done, and then a bar and numbers, in place.

    All is drawn by a thread of its own, four times a second.
    """

    def __init__(self, title: str, console: Console) -> None:
        super().__init__(title, console)
        self._stopping = False
        self._live = Live(
            get_renderable=self._picture, console=console, refresh_per_second=4, transient=True
        )

    def start(self) -> None:
        try:
            with deferred():
                self._open.enter_context(noticing(self._notice))
                self._live.start(refresh=True)
        except KeyboardInterrupt:  # It came meanwhile, and nobody else would take the bar away.
            self._close()
            raise

    def run_ended(self, event: RunEnded) -> None:
        # An impatient Ctrl-C would leave the bar, and what is printed next beside it.
        with deferred():
            self._close()
            told = self.ended(event)
            if told is not None:
                with contextlib.suppress(OSError):
                    self._console.print(Text(f"{self.title}: {told}"), soft_wrap=True)

    def changed(self) -> None:
        self._live.refresh()

    def _notice(self) -> None:
        self._stopping = True
        self._live.refresh()

    def _close(self) -> None:
        with contextlib.suppress(OSError):  # The terminal may be gone.
            self._live.stop()
        self._open.close()

    def _picture(self) -> RenderableType:
        # The line after the last one takes the ^C that terminals show, and keeps the others whole.
        return Group(*self._lines(), Text())

    def _lines(self) -> Iterator[Text]:
        work, counts = self.work, self.counts
        if work is not None:
            yield self._bar(work)
            yield Text(describe(work, counts))
            dashboard = f"dashboard {dashboard_of(work)}" if work.dashboard else None
            parts = filter(None, [describe_shards(work, counts), dashboard])
            yield Text(" · ".join(parts))
            if work.note:
                yield Text(work.note, style="dim")
        if self._stopping:
            yield Text(f"{_STOPPING} …")
        elif self.what:
            passed = int(time.monotonic() - self.since) if work is None else 0
            yield Text(f"{self.what} …" + (f" {passed} s" if passed else ""))

    def _bar(self, work: WorkStarted) -> Text:
        title = f"{work.title} "
        percentage = f" {share_done(work, self.counts):>4.0%}"
        width = max(self._console.width - len(title) - len(percentage), 1)
        drawn = bar(work, self.counts, width, plain=self._console.options.ascii_only)
        return Text.assemble((title, "bold"), drawn, percentage)


class AsLines(_Shown):
    """Prints a line now and then, for logs, pipes, and terminals that can't move their cursor."""

    def __init__(self, title: str, console: Console) -> None:
        super().__init__(title, console)
        self._began = self._shown = time.monotonic()
        self._last = ""
        self._later: threading.Timer | None = None

    def start(self) -> None:
        self._open.enter_context(noticing(lambda: self._print(f"{_STOPPING} …")))

    def run_ended(self, event: RunEnded) -> None:
        if self._later is not None:
            self._later.cancel()
        with contextlib.suppress(OSError):  # The terminal may be gone.
            self._print(self.ended(event) or "")
        self._open.close()

    def stage_started(self, event: StageStarted) -> None:
        self._tell_stage()
        super().stage_started(event)
        self._later = threading.Timer(_STAGE_AFTER, self._tell_stage)
        self._later.daemon = True
        self._later.start()

    def _tell_stage(self) -> None:
        """Print the line of a stage, once, if none was printed yet."""
        later, self._later = self._later, None
        if later is not None:
            later.cancel()
            self._print(f"{self.what} …")

    def work_started(self, event: WorkStarted) -> None:
        self._tell_stage()
        super().work_started(event)

    def changed(self) -> None:
        if self.work is None:
            return
        if self.what != _FINISHING:
            self._began = time.monotonic()
            self._print(f"dashboard {dashboard_of(self.work)}" if self.work.dashboard else "")
            self._print(self.work.note or "")
        self._show()

    def progress(self, event: LiveCounts) -> None:
        super().progress(event)
        now = time.monotonic()
        if now - self._shown >= pause_after(now - self._began):
            self._show()

    def _show(self) -> None:
        if self.work is not None:
            self._shown = time.monotonic()
            self._print(" · ".join(_figures(self.work, self.counts)))

    def _print(self, text: str) -> None:
        if text and text != self._last:
            self._last = text
            line = f"{time.strftime('%H:%M:%S')} {self.title}: {text}"
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)


def pause_after(seconds: float) -> float:
    """Return how long to wait for the next line of a log, after so many seconds of work.

    >>> [pause_after(seconds) for seconds in (1, 60, 120, 3600)]
    [5.0, 5.0, 10.0, 60.0]
    """
    return min(max(seconds / 12, _LEAST_PAUSE), _LONGEST_PAUSE)


def _figures(work: WorkStarted, counts: LiveCounts) -> Iterator[str]:
    yield f"{share_done(work, counts):.0%}"
    yield describe(work, counts)
    shards = describe_shards(work, counts)
    if shards is not None:
        yield shards
