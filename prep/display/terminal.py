"""Live counts → a terminal: drawn in place, or a line now and then where that can't be."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from prep.display.progress import (
    Display,
    Stages,
    Work,
    bar,
    describe,
    describe_shards,
    only_committed,
    share_done,
)
from prep.execution.interrupts import deferred, noticing
from prep.monitoring.counts import LiveCounts
from prep.output.receipt import SplitTotals
from prep.output.report.verdict import Verdict

_FINISHING, _STOPPING = "finishing", "stopping"
_LEAST_PAUSE, _LONGEST_PAUSE = 5.0, 60.0  # seconds between two lines
# Seconds before a line tells of a stage: where that fails at once, the error says enough.
_STAGE_AFTER = 0.5


class _State(Stages):
    """What is being done, and how far it has come, as one that draws it needs to know."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.what = ""
        self.since = time.monotonic()
        self.work: Work | None = None
        self.counts = LiveCounts()

    def doing(self, what: str) -> None:
        self.what, self.since, self.work = what, time.monotonic(), None
        self.changed()

    def __call__(self, work: Work) -> Display:
        return _Part(self, work)

    def begin(self, work: Work) -> None:
        self.title, self.work, self.counts = work.title, work, LiveCounts()
        self.what = ""
        self.changed()

    def update(self, counts: LiveCounts) -> None:
        self.counts = counts

    def complete(self) -> None:
        """All of the work is done, and what remains is not counted."""
        self.what = _FINISHING
        self.changed()

    def changed(self) -> None:
        """What is done is something else now."""

    def stopped(self, shards: int, totals: SplitTotals | None) -> None:
        self.counts = only_committed(self.counts, shards, totals)

    def ended(self, verdict: Verdict) -> str | None:
        """Return how far the work had come that was cut short so; None where none was."""
        if self.work is None or self.what == _FINISHING:
            return None
        counts = dataclasses.replace(
            self.counts, images_per_second=None, seconds_left=None, without_workers=None
        )
        return f"{verdict.state} at {' · '.join(_figures(self.work, counts))}"


class _Part:
    """Some work of an operation, which is shown as that is."""

    def __init__(self, state: _State, work: Work) -> None:
        self._state = state
        self._work = work

    def __enter__(self) -> _Part:
        self._state.begin(self._work)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._state.complete()

    def update(self, counts: LiveCounts) -> None:
        self._state.update(counts)


class AtTerminal(_State):
    """Draws what is being done, and then a bar and numbers, in place.

    All is drawn by a thread of its own, four times a second.
    """

    def __init__(self, title: str, console: Console) -> None:
        super().__init__(title)
        self._stopping = False
        self._console = console
        self._open = contextlib.ExitStack()
        self._live = Live(
            get_renderable=self._picture, console=console, refresh_per_second=4, transient=True
        )

    def __enter__(self) -> Self:
        try:
            with deferred():
                self._open.enter_context(noticing(self._notice))
                self._live.start(refresh=True)
        except KeyboardInterrupt:  # It came meanwhile, and nobody else would take the bar away.
            self._close()
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
            self._close()
            told = self.ended(Verdict.of_error(error)) if error is not None else None
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
            dashboard = f"dashboard {work.address}" if work.dashboard else None
            parts = filter(None, [describe_shards(work, counts), dashboard])
            yield Text(" · ".join(parts))
            if work.note:
                yield Text(work.note, style="dim")
        if self._stopping:
            yield Text(f"{_STOPPING} …")
        elif self.what:
            passed = int(time.monotonic() - self.since) if work is None else 0
            yield Text(f"{self.what} …" + (f" {passed} s" if passed else ""))

    def _bar(self, work: Work) -> Text:
        title = f"{work.title} "
        percentage = f" {share_done(work, self.counts):>4.0%}"
        width = max(self._console.width - len(title) - len(percentage), 1)
        drawn = bar(work, self.counts, width, plain=self._console.options.ascii_only)
        return Text.assemble((title, "bold"), drawn, percentage)


class AsLines(_State):
    """Prints a line now and then, for logs, pipes, and terminals that can't move their cursor."""

    def __init__(self, title: str, console: Console) -> None:
        super().__init__(title)
        self._console = console
        self._began = self._shown = time.monotonic()
        self._last = ""
        self._later: threading.Timer | None = None
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self._open.enter_context(noticing(lambda: self._print(f"{_STOPPING} …")))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._later is not None:
            self._later.cancel()
        told = self.ended(Verdict.of_error(error)) if error is not None else None
        with contextlib.suppress(OSError):  # The terminal may be gone.
            self._print(told or "")
        self._open.close()

    def doing(self, what: str) -> None:
        self._tell_stage()
        super().doing(what)
        self._later = threading.Timer(_STAGE_AFTER, self._tell_stage)
        self._later.daemon = True
        self._later.start()

    def _tell_stage(self) -> None:
        """Print the line of a stage, once, if none was printed yet."""
        later, self._later = self._later, None
        if later is not None:
            later.cancel()
            self._print(f"{self.what} …")

    def begin(self, work: Work) -> None:
        self._tell_stage()
        super().begin(work)

    def changed(self) -> None:
        if self.work is None:
            return
        if self.what != _FINISHING:
            self._began = time.monotonic()
            self._print(f"dashboard {self.work.address}" if self.work.dashboard else "")
            self._print(self.work.note or "")
        self._show()

    def update(self, counts: LiveCounts) -> None:
        super().update(counts)
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


def _figures(work: Work, counts: LiveCounts) -> Iterator[str]:
    yield f"{share_done(work, counts):.0%}"
    yield describe(work, counts)
    shards = describe_shards(work, counts)
    if shards is not None:
        yield shards
