"""Watches of runs: those of a scheduler, and one in the process that has begun the run."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from prep.monitoring.counts import LiveCounts, ShardState
from prep.monitoring.heartbeat import METRIC, TallyMessage
from prep.monitoring.runwatch import RunInfo, RunWatch, WorkerLook
from prep.output.report.history import History
from prep.output.report.verdict import Verdict

_RUNS_REMEMBERED = 10
_ABANDONED = Verdict("stopped", "the process that ran it is gone")


class Runs:
    """The runs that continue, and the last few that have ended."""

    def __init__(self) -> None:
        self._watches: dict[str, RunWatch] = {}
        self._owners: dict[str, str] = {}

    def __getitem__(self, run: str) -> RunWatch:
        return self._watches[run]

    def get(self, run: str) -> RunWatch | None:
        return self._watches.get(run)

    @property
    def current(self) -> RunWatch | None:
        """The run that began last among those that continue, or else among all."""
        return next(reversed(self.running or list(self._watches.values())), None)

    @property
    def newest_first(self) -> list[RunWatch]:
        """All runs that are remembered."""
        return list(reversed(self._watches.values()))

    @property
    def running(self) -> list[RunWatch]:
        """The runs that have not ended."""
        return [watch for watch in self._watches.values() if not watch.verdict.ended]

    def begin(self, info: RunInfo, now: float, owner: str = "") -> None:
        """Begin to watch a run of the client ``owner``."""
        self._watches[info.run] = RunWatch(info, now)
        self._owners[info.run] = owner
        ended = [run for run, watch in self._watches.items() if watch.verdict.ended]
        for old in ended[: max(0, len(self._watches) - _RUNS_REMEMBERED)]:
            del self._watches[old], self._owners[old]

    def abandon(self, owner: str, now: float) -> None:
        """End the watches of a client that is gone."""
        for watch in self.running:
            if self._owners[watch.info.run] == owner:
                watch.finish(_ABANDONED, now)


def worker_looks(metrics: Iterable[Mapping[str, Any]]) -> list[WorkerLook]:
    """Return the workers' last heartbeats that have a message, from their metrics."""
    return [WorkerLook(each[METRIC], each.get("cpu", 0.0)) for each in metrics if each.get(METRIC)]


class OwnWatch:
    """A run that the process which has begun it watches itself.

    Args:
        info: of the run.
        metrics: returns the last metrics of all workers; OSError if they are not to be had.
        note: what the user should know, if anything.
    """

    def __init__(
        self,
        info: RunInfo,
        metrics: Callable[[], Iterable[Mapping[str, Any]]],
        note: str | None = None,
    ) -> None:
        self.note = note
        self._metrics = metrics
        self._watch = RunWatch(info, time.monotonic())

    def task_ended(self, task: int, state: ShardState) -> None:
        self._watch.shard_is(task, state)

    def look(self) -> LiveCounts:
        with contextlib.suppress(OSError):
            return self._watch.look(time.monotonic(), worker_looks(self._metrics()))
        return self._watch.counts

    def finish(self, verdict: Verdict, totals: TallyMessage | None = None) -> History | None:
        return self._watch.finish(verdict, time.monotonic(), totals)
