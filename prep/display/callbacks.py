"""Callbacks that come with the package: a tqdm bar, and events as JSON lines."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
from collections.abc import Mapping
from typing import Any, TextIO

from prep.display.links import page_link
from prep.errors import ConfigError
from prep.execution.interrupts import noticing
from prep.monitoring.counts import LiveCounts
from prep.monitoring.events import (
    Callback,
    ImageRefused,
    RunEnded,
    RunStarted,
    ShardCommitted,
    StageStarted,
    WorkStarted,
)

_PAUSE = 1.0  # seconds between two progress events


class TqdmCallback(Callback):
    """Shows progress on a tqdm bar. It needs tqdm (``pip install 'dask-prep[tqdm]'``).

    Pass ``progress=False`` beside it, or there are two displays.

    Args:
        options: keywords of ``tqdm.auto.tqdm``.

    Raises:
        ConfigError: tqdm is not installed.
    """

    def __init__(self, **options: Any) -> None:
        try:
            from tqdm.auto import tqdm
        except ImportError:
            raise ConfigError(
                "TqdmCallback: tqdm is not installed; install it with: pip install tqdm"
            ) from None
        self._make = tqdm
        self._options = options
        self._bar: Any = None

    def work_started(self, event: WorkStarted) -> None:
        self._close()
        given = {"total": event.planned, "desc": event.title, "unit": f" {event.unit}"}
        self._bar = self._make(**{**given, **self._options})

    def progress(self, event: LiveCounts) -> None:
        if event.refused:
            self._bar.set_postfix(refused=event.refused, refresh=False)
        self._bar.update(event.images - self._bar.n)

    def run_ended(self, event: RunEnded) -> None:
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()


class JsonLinesCallback(Callback):
    """Writes each event as one JSON object a line: ``event``, ``time``, and what is known of it.

    ``docs/terminal.md`` has a table of them. Progress is written about once a second. Characters
    outside of ASCII are escaped, so that any encoding will do.

    Args:
        target: the path of a file, to which lines are appended; a text stream, which is flushed
            after each line; or a logger, to which lines are logged as INFO.
    """

    def __init__(self, target: str | os.PathLike[str] | TextIO | logging.Logger) -> None:
        self._target = target
        self._work: WorkStarted | None = None
        self._counts: LiveCounts | None = None
        self._written: LiveCounts | None = None
        self._written_at = 0.0

    def stage_started(self, event: StageStarted) -> None:
        self.write("stage", {"doing": event.doing})

    def run_started(self, event: RunStarted) -> None:
        plan = event.plan
        self.write(
            "run_started",
            {
                "source": plan.shown_source,
                "read_as": plan.read_as,
                "output": event.output,
                "images": plan.images,
                "splits": {name: sum(counts.values()) for name, counts in plan.counts.items()},
                "classes": len(plan.labelled),
                "shards": len(plan.shards),
                "resumed_shards": event.resumed_shards,
                "fingerprint": plan.fingerprint.digest,
            },
        )

    def work_started(self, event: WorkStarted) -> None:
        self._work = event
        self._counts = self._written = None
        self.write(
            "work",
            {
                "title": event.title,
                "planned": event.planned,
                "unit": event.unit,
                "shards": event.shards,
                "dashboard": page_link(event.dashboard, event.page) if event.dashboard else None,
                "note": event.note,
            },
        )

    def shard_committed(self, event: ShardCommitted) -> None:
        self.write("shard_committed", _members(event))

    def image_refused(self, event: ImageRefused) -> None:
        self.write("image_refused", _members(event))

    def progress(self, event: LiveCounts) -> None:
        self._counts = event
        if event.verdict.ended or time.monotonic() - self._written_at >= _PAUSE:
            self.write_progress()

    def run_ended(self, event: RunEnded) -> None:
        self.write_progress()
        report = None if event.report is None else event.report.to_json()
        error = None
        if event.error is not None:
            error = {"type": type(event.error).__name__, "message": str(event.error)}
        self.write(
            "run_ended", {"verdict": event.verdict.to_json(), "error": error, "report": report}
        )

    def write_progress(self) -> None:
        """Write the last counts, unless they were written."""
        counts, self._written_at = self._counts, time.monotonic()
        if counts is None or counts == self._written:
            return
        self._written = counts
        self.write(
            "progress",
            {
                "planned": counts.planned,
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

    def write(self, event: str, values: Mapping[str, Any]) -> None:
        """Write an event: its name, when it was, and what is known of it."""
        line = json.dumps({"event": event, "time": round(time.time(), 3), **values})
        target = self._target
        if isinstance(target, logging.Logger):
            target.info(line)
        elif isinstance(target, str | os.PathLike):
            with open(target, "a", encoding="ascii") as file:
                file.write(f"{line}\n")
        else:
            print(line, file=target, flush=True)  # Python has no standard output if it is closed.


class CommandEvents(JsonLinesCallback):
    """Writes the events of a command to standard output; the command itself tells of its end.

    Args:
        title: what the operation is called.
    """

    def __init__(self, title: str, target: TextIO) -> None:
        super().__init__(target)
        self._title = title
        self._open = contextlib.ExitStack()
        self._started = False

    def stage_started(self, event: StageStarted) -> None:
        if not self._started:
            self._started = True
            self._open.enter_context(noticing(lambda: self.write("stopping", {})))
        self.write("stage", {"title": self._title, "doing": event.doing})

    def run_ended(self, event: RunEnded) -> None:
        self._open.close()
        self.write_progress()


def _members(event: Any) -> dict[str, Any]:
    return {name: getattr(event, name) for name in event.__slots__}
