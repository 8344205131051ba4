"""The scheduler plugin that watches runs, for the dashboard and for clients that ask."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

from distributed import Scheduler, SchedulerPlugin
from tornado.ioloop import PeriodicCallback

from prep.monitoring.counts import ShardState
from prep.monitoring.dashboard.mount import add_pages
from prep.monitoring.dashboard.sheet import ContactSheet
from prep.monitoring.heartbeat import TallyMessage, task_of
from prep.monitoring.metrics import export_runs, withdraw_runs
from prep.monitoring.noise import keep_layout_of_groups, silence_closed_pages
from prep.monitoring.runwatch import RunInfo, WorkerLook
from prep.monitoring.watches import Runs, worker_looks
from prep.output.report.verdict import Verdict

#: The calls of clients: at the beginning of a run, during it, and at its end.
BEGIN_CALL, LOOK_CALL, END_CALL = "prep_begin", "prep_look", "prep_end"

_LOOK_EVERY = 500  # milliseconds; heartbeats come no more often
_STATE_OF_TASK: Mapping[str, ShardState] = {
    "processing": "running",
    "memory": "committed",
    "erred": "failed",
    "waiting": "waiting",
    "queued": "waiting",
    "no-worker": "waiting",
}

logger = logging.getLogger(__name__)


class RunsPlugin(SchedulerPlugin):
    """Watches the runs of a scheduler, and shows them on a page.

    Registering a second one changes nothing.
    """

    name = "prep-runs"
    idempotent = True
    _started = False

    async def start(self, scheduler: Scheduler) -> None:
        """Add the calls, the page and the metrics.

        A scheduler that starts calls this a second time for plugins that a preload has registered.
        """
        if self._started:
            return
        self._started = True
        self._scheduler = scheduler
        self._runs = Runs()
        self._sheet = ContactSheet(scheduler)
        self._looks = PeriodicCallback(self._look, _LOOK_EVERY)
        scheduler.handlers[BEGIN_CALL] = self.begin
        scheduler.handlers[LOOK_CALL] = self.look
        scheduler.handlers[END_CALL] = self.end
        silence_closed_pages()
        keep_layout_of_groups()
        self._no_page = self._add_pages()
        export_runs(self._runs)

    def _add_pages(self) -> str | None:
        try:
            return add_pages(self._scheduler, self._runs, self._sheet)
        except Exception as error:  # Whatever this version of Dask or Bokeh has changed.
            logger.debug("the page of prep can't be shown", exc_info=True)
            return f"{type(error).__name__}: {error}"

    async def close(self) -> None:
        """End with the scheduler."""
        self._looks.stop()
        withdraw_runs(self._runs)

    # Calls of clients

    async def begin(self, info: dict[str, Any], client: str) -> str | None:
        """Begin to watch a run; return why there is no page, if there is none."""
        self._runs.begin(RunInfo.from_json(info), time.monotonic(), client)
        self._looks.start()
        return self._no_page

    async def look(self, run: str) -> dict[str, Any]:
        """Return the progress of a run, a :class:`prep.monitoring.counts.LiveCounts` as JSON."""
        return self._runs[run].look(time.monotonic(), self._workers()).to_json()

    async def end(
        self, run: str, verdict: dict[str, Any], totals: TallyMessage | None
    ) -> dict[str, Any]:
        """End a watch; return its :class:`prep.output.report.history.History` as JSON."""
        ended = Verdict.from_json(verdict)
        return self._runs[run].finish(ended, time.monotonic(), totals).to_json()

    # Calls of the scheduler

    def transition(self, key: Any, start: str, finish: str, *args: Any, **kwargs: Any) -> None:
        """Note the new state of a task."""
        state, named = _STATE_OF_TASK.get(finish), task_of(key)
        if state is not None and named is not None:
            run, task = named
            if (watch := self._runs.get(run)) is not None:
                watch.shard_is(task, state)

    def remove_client(self, scheduler: Scheduler, client: str) -> None:
        """End the watches of a client that is gone."""
        self._runs.abandon(client, time.monotonic())

    def _look(self) -> None:
        running = self._runs.running
        for watch in running:
            watch.look(time.monotonic(), self._workers())
        if running:
            self._sheet.refresh()
        else:
            self._looks.stop()

    def _workers(self) -> list[WorkerLook]:
        return worker_looks(worker.metrics for worker in self._scheduler.workers.values())
