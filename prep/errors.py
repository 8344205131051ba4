"""All exceptions, as one tree.

::

    PrepError                  anything this package raises on purpose      exit 1
    ├── UsageError             the request can't be carried out             exit 2
    │   ├── ConfigError        a key is unknown, missing, or out of range
    │   ├── SourceError        the source is missing or can't be read
    │   │   └── NoImages       the source is there, and has no images
    │   ├── LabelError         the label map is malformed or lacks a class
    │   ├── OutputConflict     the output already holds something else
    │   └── UntrustedPlan      the plan of the output may be somebody else's
    ├── OutputNotSeen          a process does not find the output where others do
    ├── RefusedImage           one image can't be used (carries the reason)
    ├── BadImageError          the same, when the user asked to stop at it
    ├── RecordError            a TFRecord file is damaged, or is not one
    ├── NotAsAsked             all is written, and fails a condition of the configuration
    │   ├── TooManyRefused     more images were refused than ``max_refused`` allows
    │   └── LeaksFound         splits hold the same images, and ``leaks`` is ``fail``
    ├── ClusterError           the cluster can't be started, or is not fit for the work
    │   └── WorkerDied         a task has ended every process that it was given to
    ├── StorageUnavailable     a storage did not answer, even when asked again
    ├── ShardError             shards failed; the others are committed
    ├── StoppedShard           a worker was told to leave a shard unfinished
    └── Interrupted            stopped by the user; committed shards stay   exit 130

Every message says what was expected, what came, and what to do.
All errors survive pickling, because worker processes raise them.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from types import TracebackType
from typing import Any


class PrepError(Exception):
    """Base class of all errors that prep raises on purpose."""

    exit_code = 1
    #: The traceback that IPython has shown in part, and the number of the cell.
    _shown: tuple[int, int] | None = None

    def _render_traceback_(self) -> list[str]:
        """Return the traceback down to this package; all of it for ``%tb``, in a later cell.

        IPython asks any exception for this, unless the user has set a handler of their own.
        https://ipython.readthedocs.io/en/stable/config/integrating.html
        """
        shell, trace = sys.modules["IPython"].get_ipython(), self.__traceback__
        shown = (id(trace), shell.execution_count)
        again = self._shown is not None and self._shown[0] == shown[0] and self._shown != shown
        if again:
            lines: list[str] = shell.InteractiveTB.structured_traceback(type(self), self, trace)
            return lines
        self._shown = shown
        with _alone(self):
            callers = _callers(trace) or trace
            lines = shell.InteractiveTB.structured_traceback(type(self), self, callers)
            return lines


class UsageError(PrepError, ValueError):
    """The request can't be carried out; nothing was written."""

    exit_code = 2


class ConfigError(UsageError):
    """A configuration key is unknown, missing, or has a value that is not allowed."""


class SourceError(UsageError):
    """The source is missing, can't be listed, or has no images in it."""


class NoImages(SourceError):
    """The source is there, and has no images in it."""


class LabelError(UsageError):
    """The label map is malformed, or a class is absent from it."""


class OutputConflict(UsageError):
    """The output already holds a different run."""


class UntrustedPlan(UsageError):
    """The output's plan may be somebody else's, and the user has not agreed to follow it."""


class OutputNotSeen(PrepError):
    """A process does not find the output where others do."""


class RefusedImage(PrepError):
    """One image can't be used.

    Attributes:
        reason: one of the documented reasons, for counting.
        detail: what was found, for people.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}" if self.detail else self.reason


class BadImageError(PrepError):
    """An image was refused and ``on_bad_image`` is ``fail``."""


class NotAsAsked(PrepError):
    """All is written, and fails a condition of the configuration; everything is kept.

    Attributes:
        summary: what was found, and what the configuration says.
        report: the :class:`prep.RunReport` of what is written, if it was a run.
    """

    report: Any = None

    def __init__(self, summary: str, *remedy: str) -> None:
        super().__init__(summary, *remedy)
        self.summary = summary

    def __str__(self) -> str:
        return "; ".join(map(str, self.args))


class TooManyRefused(NotAsAsked):
    """More images were refused than ``max_refused`` allows."""


class LeaksFound(NotAsAsked):
    """Splits hold the same images, or images that look alike, and ``leaks`` is ``fail``."""


class RecordError(PrepError):
    """A TFRecord file or a record in it is damaged or not of the expected form."""


class ClusterError(PrepError):
    """The cluster can't be started, or is not fit for the work.

    Attributes:
        summary: one line.
        findings: what is wrong with the cluster, one line each.
    """

    def __init__(self, summary: str, *findings: str) -> None:
        super().__init__(summary, *findings)
        self.summary = summary
        self.findings = findings

    def __str__(self) -> str:
        return "\n  ".join(map(str, self.args))


class WorkerDied(ClusterError):
    """A task has ended all processes that it was given to."""


class StorageUnavailable(PrepError):
    """A storage did not answer, even when asked again.

    Attributes:
        lasted: seconds for which it has not answered, as far as known.
    """

    lasted: float = 0.0


class ShardError(PrepError):
    """Some shards could not be written; the committed ones are kept."""


class StoppedShard(PrepError):
    """A worker was told to abandon a shard; nothing of it is left."""


class Interrupted(PrepError, KeyboardInterrupt):
    """The user stopped the run; committed shards are kept."""

    exit_code = 130


@contextlib.contextmanager
def _alone(error: BaseException) -> Iterator[None]:
    """Hide the cause and context of an error for the length of the block."""
    cause, suppressed = error.__cause__, error.__suppress_context__
    error.__cause__ = None  # This suppresses the context, too.
    try:
        yield
    finally:
        error.__cause__, error.__suppress_context__ = cause, suppressed


def _callers(trace: TracebackType | None) -> TracebackType | None:
    """Return the part of a traceback before the first line of this package."""
    if trace is None or trace.tb_frame.f_globals.get("__name__", "").partition(".")[0] == "prep":
        return None
    rest = _callers(trace.tb_next)
    return TracebackType(rest, trace.tb_frame, trace.tb_lasti, trace.tb_lineno)


def chain_of(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and its causes, the root cause last."""
    seen: set[int] = set()
    part: BaseException | None = error
    while part is not None and id(part) not in seen:
        seen.add(id(part))
        yield part
        part = part.__cause__ or (None if part.__suppress_context__ else part.__context__)
