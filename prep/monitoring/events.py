"""Events of an operation, the callbacks that are called with them, and the token that stops it.

Terminal, notebook and log displays are callbacks like those of a user.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prep.errors import ConfigError, Interrupted, NotAsAsked
from prep.monitoring.counts import LiveCounts
from prep.output.report.verdict import Verdict
from prep.text import failure, one_line, shown

if TYPE_CHECKING:
    from prep.planning.plan import RunPlan

_LOGGER = logging.getLogger("prep")


@dataclass(frozen=True, slots=True, kw_only=True)
class StageStarted:
    """A step in which nothing is counted has started, such as listing images.

    Attributes:
        doing: the step, in words.
    """

    doing: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """A run knows what it has to do.

    Attributes:
        plan: images, classes, shards and configuration.
        output: path or URL of the output folder.
        resumed_shards: number of shards that earlier runs have committed.
    """

    plan: RunPlan
    output: str
    resumed_shards: int

    @property
    def complete(self) -> bool:
        """True if all shards are there already."""
        return self.resumed_shards == len(self.plan.shards)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkStarted:
    """Work has started of which ``progress`` counts how much is done.

    Attributes:
        title: what the work is called.
        planned: number of images, or of whatever ``unit`` says.
        unit: what is counted, as a plural.
        shards: number of shards, those of earlier runs included; None if none are counted.
        dashboard: URL of the Dask dashboard; empty if there is none.
        page: the page of the dashboard that shows this work best.
        note: what a user should know, if anything.
    """

    title: str
    planned: int
    unit: str = "images"
    shards: int | None = None
    dashboard: str = ""
    page: str = "status"
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardCommitted:
    """A shard has been written and committed.

    Attributes:
        split, index, count: which shard it is, and of how many in its split.
        path: path or URL of its file.
        images: number of records in it.
        refused: number of images refused.
        bytes: size of the file.
        seconds: time that it took to write.
        worker: host and process that wrote it.
    """

    split: str
    index: int
    count: int
    path: str
    images: int
    refused: int
    bytes: int
    seconds: float
    worker: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRefused:
    """An image of a committed shard was refused.

    Attributes:
        path: path relative to the source.
        split, class_name: where it belongs.
        reason: one of the documented reasons, for counting.
        detail: what was found, for people.
    """

    path: str
    split: str
    class_name: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded:
    """An operation has ended.

    Attributes:
        verdict: how it has ended, and why.
        report: what the operation returns; after an error, what it has, or None.
        error: what the operation raises; None if it returns.
    """

    verdict: Verdict
    report: Any = None
    error: BaseException | None = None


class StopRun(Exception):
    """Raised by a callback to stop the run: committed shards are kept.

    The run ends as after ``RunHandle.cancel()``: with Interrupted, and the state ``stopped``. The
    message is part of both.
    """


class Callback:
    """Is called as a run goes on. Subclass it, and override what you need.

    Calls come one at a time and in order, in the thread that runs the operation: the caller's for
    ``prep.run``, the run's own for ``prep.start``. Nothing of a callback is sent to workers. While
    one is called, workers go on with the shards that they were given: hundreds on a cluster, but
    one each without.

    If a callback raises an exception, the run stops, committed shards are kept, and the exception
    reaches the caller. To stop a run on purpose, raise :class:`prep.StopRun`.

    ``verify``, ``merge`` and ``mean_rgb`` call ``stage_started``, ``work_started``, ``progress``
    and ``run_ended``; a repair also calls ``shard_committed`` and ``image_refused``.
    """

    def stage_started(self, event: StageStarted) -> None:
        """Handle the start of a step in which nothing is counted."""

    def run_started(self, event: RunStarted) -> None:
        """Handle the start of a run, once its images are listed and its output was looked at."""

    def work_started(self, event: WorkStarted) -> None:
        """Handle the start of work that ``progress`` counts."""

    def shard_committed(self, event: ShardCommitted) -> None:
        """Handle a shard that this run has committed; called once for each."""

    def image_refused(self, event: ImageRefused) -> None:
        """Handle a refused image, once its shard is committed; called once for each."""

    def progress(self, event: LiveCounts) -> None:
        """Handle new counts: about twice a second, and with a final verdict when work is done."""

    def run_ended(self, event: RunEnded) -> None:
        """Handle the end, good or not: always the last call, and exactly once."""


_METHODS: Mapping[type, str] = {
    StageStarted: "stage_started",
    RunStarted: "run_started",
    WorkStarted: "work_started",
    ShardCommitted: "shard_committed",
    ImageRefused: "image_refused",
    LiveCounts: "progress",
    RunEnded: "run_ended",
}


class CancelToken:
    """A request to stop, made from any thread, that an operation looks at between its steps.

    Attributes:
        reason: why, if a reason was given.
    """

    def __init__(self) -> None:
        self.reason = ""
        self._cancelled = False

    def cancel(self, reason: str = "") -> None:
        """Request a stop; the first reason counts."""
        self._cancelled = True
        self.reason = self.reason or reason

    def require_going(self) -> None:
        """Raise Interrupted if a stop was requested."""
        if self._cancelled:
            raise Interrupted(f"stopped: {self.reason or 'as asked'}")


class Events:
    """Calls callbacks with what happens in one operation.

    Attributes:
        token: stops the operation.
        counts: the counts that callbacks were told of last; None before work starts.
    """

    def __init__(self, callbacks: Iterable[Callback], token: CancelToken | None = None) -> None:
        self.token = token or CancelToken()
        self.counts: LiveCounts | None = None
        self._callbacks = list(callbacks)
        self._faulty: list[Callback] = []
        self._ended = False

    def subscribe(self, callback: Callback) -> None:
        """Call this callback from now on, too."""
        self._callbacks.append(callback)

    def wants(self, *events: type) -> bool:
        """Return whether any callback handles one of these events."""
        names = [_METHODS[event] for event in events]
        return any(
            getattr(getattr(callback, name), "__func__", None) is not getattr(Callback, name)
            for callback in self._callbacks
            for name in names
        )

    def stage(self, doing: str) -> None:
        """Start a step in which nothing is counted, unless a stop was requested."""
        self.token.require_going()
        self.emit(StageStarted(doing=doing))

    def emit(self, *events: Any) -> None:
        """Call all callbacks with each event, and then raise what the first faulty one has raised.

        A faulty callback is not called again before the end.
        """
        errors: list[BaseException] = []
        for event in events:
            self.counts = event if isinstance(event, LiveCounts) else self.counts
            faults = self._call(self._callbacks, event)
            errors += [error for _, error in faults]
            self._faulty += [each for each, error in faults if isinstance(error, Exception)]
            self._callbacks = [c for c in self._callbacks if all(c is not f for f in self._faulty)]
        if errors:
            raise errors[0]

    def end(self, report: Any = None, error: BaseException | None = None) -> None:
        """Tell all callbacks, once, how the operation has ended.

        What a callback raises is logged if the operation has failed, and raised if it has not.
        """
        if self._ended:
            return
        self._ended = True
        verdict = Verdict.of_error(error) if error is not None else Verdict("done")
        verdict = report.verdict if report is not None else verdict
        event = RunEnded(verdict=verdict, report=report, error=error)
        for _, fault in self._call([*self._callbacks, *self._faulty], event):
            if error is None or not isinstance(fault, Exception):
                raise fault
            _LOGGER.warning("prep: a callback failed: %s", failure(fault))

    def _call(
        self, callbacks: Iterable[Callback], event: Any
    ) -> list[tuple[Callback, BaseException]]:
        """Call all callbacks, and return those that raise an error, with the error."""
        name = _METHODS[type(event)]
        faults: list[tuple[Callback, BaseException]] = []
        for callback in callbacks:
            try:
                getattr(callback, name)(event)
            except StopRun as stop:
                self.token.cancel(one_line(str(stop)))
            except BaseException as error:  # Ctrl-C, too: the others are to miss nothing.
                faults.append((callback, error))
        return faults


@contextlib.contextmanager
def emitting(callbacks: Iterable[Callback], token: CancelToken | None = None) -> Iterator[Events]:
    """Emit events in the block, and at its end how it has ended."""
    events = Events(callbacks, token)
    try:
        yield events
    except BaseException as error:
        events.end(error.report if isinstance(error, NotAsAsked) else None, error)
        raise
    events.end()


def require_callbacks(callbacks: Iterable[Callback]) -> list[Callback]:
    """Return callbacks as a list; raise ConfigError if they are none."""
    given = list(callbacks) if isinstance(callbacks, Iterable) else None
    wrong = [each for each in given or () if not isinstance(each, Callback)]
    if given is None or wrong:
        raise ConfigError(
            f"callbacks: got {shown(wrong[0] if wrong else callbacks)}; expected a list of objects "
            "of subclasses of prep.Callback"
        )
    return given
