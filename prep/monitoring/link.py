"""A client's view of its run: what the scheduler knows of it, or what it finds out itself."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from distributed import Client

from prep.monitoring.counts import LiveCounts, ShardState
from prep.monitoring.messages import TallyMessage
from prep.monitoring.plugin import BEGIN_CALL, END_CALL, LOOK_CALL, RunsPlugin
from prep.monitoring.registry import worker_looks
from prep.monitoring.runwatch import RunInfo, RunWatch
from prep.output.report.history import History
from prep.output.report.verdict import RUNNING, Verdict

logger = logging.getLogger(__name__)

_ANSWERS_WITHIN = 10.0  # seconds

T = TypeVar("T")


class RunLink(Protocol):
    """Where to look up how far a run has come.

    Attributes:
        note: what a user should know of it, if anything.
    """

    note: str | None

    def settled(self, task: int, state: ShardState) -> None:
        """The client has seen a task of the run end."""

    def look(self) -> LiveCounts: ...

    def finish(self, verdict: Verdict, totals: TallyMessage | None = None) -> History | None:
        """The run has ended; see :meth:`prep.monitoring.runwatch.RunWatch.finish`.

        Returns:
            What was measured; None where the scheduler is gone.
        """


def open_link(client: Client, info: RunInfo) -> RunLink:
    """Begins to watch a run.

    On a scheduler that takes no plugins, or has another version of this package, it is the client
    that puts together what the workers tell: then there is no page in the dashboard.
    """
    try:
        install_page(client)
        no_page = client.sync(
            getattr(client.scheduler, BEGIN_CALL), info=info.to_json(), client=client.id
        )
    except Exception as error:  # Whatever a foreign scheduler does not like.
        logger.debug("no plugin on the scheduler", exc_info=True)
        return _ClientLink(client, info, _no_page(f"{type(error).__name__}: {error}"))
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


def install_page(client: Client) -> None:
    """Adds the page ``/prep`` to the dashboard of a client's scheduler, if it has none yet."""
    client.register_plugin(RunsPlugin())


def _no_page(reason: str) -> str:
    return f"no page 'prep' in the dashboard: {' '.join(reason.split())}"


class _SchedulerLink:
    def __init__(self, client: Client, info: RunInfo, note: str | None) -> None:
        self.note = note
        self._client = client
        self._run = info.run
        self._counts = LiveCounts(verdict=RUNNING, planned=sum(info.splits.values()))

    def settled(self, task: int, state: ShardState) -> None:
        """It knows."""

    def look(self) -> LiveCounts:
        self._counts = self._call(LOOK_CALL, LiveCounts.from_json) or self._counts
        return self._counts

    def finish(self, verdict: Verdict, totals: TallyMessage | None = None) -> History | None:
        return self._call(END_CALL, History.from_json, verdict=verdict.to_json(), totals=totals)

    def _call(self, name: str, parse: Callable[[Any], T], **arguments: Any) -> T | None:
        """What the scheduler answers; None if it does not, for a run is no worse for that.

        If it is gone, the futures tell.
        """
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


class _ClientLink:
    def __init__(self, client: Client, info: RunInfo, note: str) -> None:
        self.note: str | None = note
        self._client = client
        self._watch = RunWatch(info, time.monotonic())

    def settled(self, task: int, state: ShardState) -> None:
        self._watch.shard_is(task, state)

    def look(self) -> LiveCounts:
        with contextlib.suppress(OSError):
            workers = scheduler_identity(self._client, timeout=_ANSWERS_WITHIN)["workers"]
            looks = worker_looks(worker["metrics"] for worker in workers.values())
            return self._watch.look(time.monotonic(), looks)
        return self._watch.counts

    def finish(self, verdict: Verdict, totals: TallyMessage | None = None) -> History | None:
        return self._watch.finish(verdict, time.monotonic(), totals)
