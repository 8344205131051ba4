"""Jobs of a batch system: which it took, and which it did not.

Dask tells of the latter in tracebacks only, and waits for workers that never come.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import Any

import psutil
from distributed import Status

from prep.errors import ClusterError
from prep.text import counted, one_line, some

_ANSWERS_WITHIN = 5.0  # seconds for a job that is asked for, when the cluster closes
# Seconds for a job to be cancelled. A batch system that ends us waits for 30 s, and then kills.
_CANCELS_WITHIN = 20.0


@dataclass(slots=True)
class _Submissions:
    """What became of the jobs of one cluster.

    Attributes:
        asked: those that the batch system has still to answer for.
        taken: those that wait there or run.
        refusals: why others were not taken, the last one last.
        left: those that could not be cancelled.
        reason: why not.
    """

    asked: set[Any] = field(default_factory=set)
    taken: set[Any] = field(default_factory=set)
    refusals: list[str] = field(default_factory=list)
    left: list[Any] = field(default_factory=list)
    reason: str = ""


def noting(job: type[Any]) -> type[Any]:
    """A class of dask-jobqueue's jobs, for one cluster, that notes what becomes of them.

    Each counts as begun at once. Dask would wait for the answers to all of them, whatever comes
    meanwhile, and log a traceback for one that is not taken.
    """
    submissions = _Submissions()

    class Noted(job):  # type: ignore[misc]
        noted = submissions
        script: str | None = None

        async def start(self) -> None:
            submissions.asked.add(self)
            self.answer = asyncio.ensure_future(self._ask())
            self.status = Status.running

        async def _ask(self) -> None:
            try:
                await super().start()
                submissions.taken.add(self)
            except Exception as error:
                submissions.refusals.append(_told(error))
            finally:
                submissions.asked.discard(self)

        async def _submit_job(self, script: str) -> Any:
            self.script = script
            return await super()._submit_job(script)

        async def close(self) -> None:
            # What is taken without our knowing its number could not be cancelled.
            await asyncio.wait([self.answer], timeout=_ANSWERS_WITHIN)
            if self.script is not None and not self.answer.done():
                _end_command(self.script)
                await asyncio.wait([self.answer], timeout=_ANSWERS_WITHIN)
            self.answer.cancel()
            submissions.taken.discard(self)
            await self._cancel()
            self.status = Status.closed

        async def _cancel(self) -> None:
            cancelling = asyncio.ensure_future(super().close())
            await asyncio.wait([cancelling], timeout=_CANCELS_WITHIN)
            if not cancelling.done():
                submissions.left.append(self)
                submissions.reason = "the batch system does not answer"
                _end_command(f"{self.cancel_command} {self.job_id}")
                await asyncio.wait([cancelling], timeout=_ANSWERS_WITHIN)
                cancelling.cancel()
            elif (error := cancelling.exception()) is not None:
                submissions.left.append(self)
                submissions.reason = _told(error)

    return Noted


def require_jobs(cluster: Any) -> None:
    """Raises ClusterError where a cluster has jobs, and none was taken: no worker will come."""
    jobs = _submissions(cluster)
    if jobs.refusals and not jobs.asked and not jobs.taken:
        raise ClusterError(
            f"the batch system rejected all jobs: {jobs.refusals[-1]}; correct the queue, account "
            "or resources in the cluster file, and run the same command again"
        )


def not_taken(cluster: Any) -> str | None:
    """Say how many of a cluster's jobs were rejected, and why; None if none was."""
    refusals = _submissions(cluster).refusals
    return f"{counted(len(refusals), 'job')} rejected: {refusals[-1]}" if refusals else None


def missing(cluster: Any) -> list[str]:
    """What is known of a cluster's jobs that says why there are no workers."""
    jobs = _submissions(cluster)
    refused = not_taken(cluster)
    told = [refused] if refused else []
    # The cluster's thread adds to them.
    if asked := len(jobs.asked):
        told.append(f"the batch system has not answered for {counted(asked, 'job')}")
    if taken := jobs.taken.copy():
        numbers = sorted((str(job.job_id) for job in taken), key=lambda text: (len(text), text))
        told.append(
            f"{counted(len(numbers), 'job')} accepted, but no worker has connected: "
            f"{some(numbers)} (the batch system says what a job waits for; if it has ended, its "
            "log says why)"
        )
    return told


def not_cancelled(cluster: Any) -> str | None:
    """Says which jobs of a cluster that was closed may still be there; None where none is."""
    jobs = _submissions(cluster)
    if not jobs.left:
        return None
    command = " ".join([jobs.left[0].cancel_command, *(str(job.job_id) for job in jobs.left)])
    return (
        f"{counted(len(jobs.left), 'job')} not cancelled: {jobs.reason}; to cancel what still "
        f"waits or runs: {command}"
    )


def _end_command(words: str) -> None:
    """Ends what was to tell the batch system of a job, by the words that are in its command."""
    for process in psutil.Process().children():
        with contextlib.suppress(psutil.Error):
            if f"{words} " in f"{' '.join(process.cmdline())} ":
                process.kill()


def _submissions(cluster: Any) -> _Submissions:
    found = getattr(getattr(cluster, "job_cls", None), "noted", None)
    return found if isinstance(found, _Submissions) else _Submissions()


def _told(error: BaseException) -> str:
    """What the batch system said, of all that dask-jobqueue tells of it."""
    said = str(error).rpartition("stderr:\n")[2].strip()
    return "; ".join(map(one_line, (said or str(error) or type(error).__name__).splitlines()))
