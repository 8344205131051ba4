"""Live counts → one JSON object a line on standard output, for programs."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Mapping
from typing import Any, Self

from prep.display.progress import Display, Stages, Work, only_committed
from prep.execution.interrupts import noticing
from prep.monitoring.counts import LiveCounts
from prep.output.receipt import SplitTotals

_PAUSE = 1.0  # seconds between two progress events

Emit = Callable[[str, Mapping[str, Any]], None]


def emit(event: str, values: Mapping[str, Any]) -> None:
    """Print an event: its name, when it was, and what there is to know of it.

    Characters outside of ASCII are escaped, so that any encoding will do.
    """
    print(json.dumps({"event": event, "time": round(time.time(), 3), **values}), flush=True)


class JsonLines(Stages):
    """Tells what is being done, and how far it has come, about once a second.

    The events are ``stage``, ``work``, ``progress`` and ``stopping``; docs/terminal.md says what
    is in them.
    """

    def __init__(self, title: str, emit: Emit = emit) -> None:
        self._title = title
        self._emit = emit
        self._open = contextlib.ExitStack()
        self._part: _WorkEvents | None = None

    def __enter__(self) -> Self:
        self._open.enter_context(noticing(lambda: self._emit("stopping", {})))
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def doing(self, what: str) -> None:
        self._emit("stage", {"title": self._title, "doing": what})

    def __call__(self, work: Work) -> Display:
        self._part = _WorkEvents(work, self._emit)
        return self._part

    def stopped(self, shards: int, totals: SplitTotals | None) -> None:
        if self._part is not None:
            self._part.correct(shards, totals)


class _WorkEvents:
    def __init__(self, work: Work, emit: Emit) -> None:
        self._work = work
        self._emit = emit
        self._counts = LiveCounts()
        self._told_at = 0.0
        self._told: LiveCounts | None = None

    def __enter__(self) -> _WorkEvents:
        work = self._work
        self._emit(
            "work",
            {
                "title": work.title,
                "planned": work.planned,
                "unit": work.unit,
                "shards": work.shards,
                "dashboard": work.address if work.dashboard else None,
                "note": work.note,
            },
        )
        return self

    def __exit__(self, *_: object) -> None:
        if self._counts is not self._told:
            self._tell()

    def update(self, counts: LiveCounts) -> None:
        self._counts = counts
        if time.monotonic() - self._told_at >= _PAUSE:
            self._tell()

    def correct(self, shards: int, totals: SplitTotals | None) -> None:
        """Tell once more how far it has come, now that it is known what stays of it."""
        self._counts = only_committed(self._counts, shards, totals)
        if self._counts != self._told:
            self._tell()

    def _tell(self) -> None:
        counts = self._told = self._counts
        self._told_at = time.monotonic()
        self._emit(
            "progress",
            {
                "planned": self._work.planned,
                "done": counts.images,
                "written": counts.written,
                "refused": counts.refused,
                "shards": counts.shards,
                "bytes_read": counts.bytes_read,
                "bytes_written": counts.bytes_written,
                "seconds": round(counts.seconds, 3),
                "per_second": counts.images_per_second,
                "seconds_left": counts.seconds_left,
                "without_workers": counts.without_workers,
            },
        )
