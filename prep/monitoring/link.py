"""A client's view of its run: through the scheduler's plugin, or without it."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

from distributed import Client

from prep.monitoring.counts import LiveCounts, ShardState
from prep.monitoring.heartbeat import TallyMessage
from prep.monitoring.plugin import BEGIN_CALL, END_CALL, LOOK_CALL, RunsPlugin
from prep.monitoring.runwatch import RunInfo
from prep.monitoring.watches import OwnWatch
from prep.output.report.history import History
from prep.output.report.verdict import RUNNING, Verdict

logger = logging.getLogger(__name__)

_ANSWERS_WITHIN = 10.0  # seconds

T = TypeVar("T")


class RunLink(Protocol):
    """A client's access to the progress of its run.

    Attributes:
        note: what the user should know, if anything.
    """

    note: str | None

    def task_ended(self, task: int, state: ShardState) -> None:
        """Note that the client has seen a task of the run end."""

    def look(self) -> LiveCounts:
        """Return the progress of the run."""

    def finish(self, verdict: Verdict, totals: TallyMessage | None = None) -> History | None:
        """End the watch, and return the measurements; None if the scheduler is gone.

        See :meth:`prep.monitoring.runwatch.RunWatch.finish`.
        """


def open_link(client: Client, info: RunInfo) -> RunLink:
    """Begin to watch a run.

    If the scheduler takes no plugins, or has another version of this package, the client puts
    together what workers report, and there is no page in the dashboard.
    """
    try:
        install_page(client)
        no_page = client.sync(
            getattr(client.scheduler, BEGIN_CALL), info=info.to_json(), client=client.id
        )
    except Exception as error:  # Whatever a foreign scheduler does not like.
        logger.debug("no plugin on the scheduler", exc_info=True)
        note = _no_page(f"{type(error).__name__}: {error}")
        return OwnWatch(info, functools.partial(_metrics, client), note)
    return _SchedulerLink(client, info, _no_page(no_page) if no_page else None)


def scheduler_identity(
    client: Client, workers: int = -1, timeout: float | None = None
) -> dict[str, Any]:
    """Return what the scheduler knows of itself, and of so many workers (-1 for all).

    ``Client.scheduler_info`` has no time limit, and hides that the scheduler did not answer.

    Raises:
        OSError: the scheduler is gone, or does not answer within ``timeout`` seconds.
    """
    scheduler: Any = client.scheduler
    known: dict[str, Any] = client.sync(
        scheduler.identity, n_workers=workers, callback_timeout=timeout
    )
    return known


def _metrics(client: Client) -> list[Mapping[str, Any]]:
    workers = scheduler_identity(client, timeout=_ANSWERS_WITHIN)["workers"]
    return [worker["metrics"] for worker in workers.values()]


def install_page(client: Client) -> None:
    """Add the page ``/prep`` to the dashboard of a client's scheduler, unless it is there."""
    client.register_plugin(RunsPlugin())


def _no_page(reason: str) -> str:
    return f"no page 'prep' in the dashboard: {' '.join(reason.split())}"


class _SchedulerLink:
    """Asks the plugin on the scheduler."""

    def __init__(self, client: Client, info: RunInfo, note: str | None) -> None:
        self.note = note
        self._client = client
        self._run = info.run
        self._counts = LiveCounts(verdict=RUNNING, planned=sum(info.splits.values()))

    def task_ended(self, task: int, state: ShardState) -> None:
        """Do nothing: the scheduler knows."""

    def look(self) -> LiveCounts:
        self._counts = self._call(LOOK_CALL, LiveCounts.from_json) or self._counts
        return self._counts

    def finish(self, verdict: Verdict, totals: TallyMessage | None = None) -> History | None:
        return self._call(END_CALL, History.from_json, verdict=verdict.to_json(), totals=totals)

    def _call(self, name: str, parse: Callable[[Any], T], **arguments: Any) -> T | None:
        """Return the scheduler's answer; None if there is none. If it is gone, futures say so."""
        if self._client.status != "running":
            return None
        try:
            call = getattr(self._client.scheduler, name)
            return parse(
                self._client.sync(
                    call, run=self._run, callback_timeout=_ANSWERS_WITHIN, **arguments
                )
            )
        except Exception:
            logger.debug("the scheduler does not answer", exc_info=True)
            return None
