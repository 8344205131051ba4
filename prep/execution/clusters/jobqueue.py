"""Jobs of a batch system: which it accepted, which it rejected, and which are left at the end.

Seen in dask-jobqueue 0.9.0: rejected jobs are only logged, as tracebacks, and workers are waited
for that never come; a batch system that does not answer blocks start and close. Not reported
upstream as far as we know. :func:`tracking_jobs` can go when a cluster says what became of its
jobs.
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

_ANSWERS_WITHIN = 5.0  # seconds for a job that is being submitted when the cluster closes
# Seconds to cancel a job. A batch system that ends this process waits for 30 s, and then kills.
_CANCELS_WITHIN = 20.0


@dataclass(slots=True)
class _Jobs:
    """The jobs of one cluster, and their states.

    Attributes:
        submitted: jobs that the batch system has still to answer for.
        accepted: jobs that wait there or run.
        rejections: why other jobs were rejected, the newest last.
        left: jobs that could not be cancelled.
        reason: why not.
    """

    submitted: set[Any] = field(default_factory=set)
    accepted: set[Any] = field(default_factory=set)
    rejections: list[str] = field(default_factory=list)
    left: list[Any] = field(default_factory=list)
    reason: str = ""


def tracking_jobs(job: type[Any]) -> type[Any]:
    """Return a subclass of a dask-jobqueue job, for one cluster, that tracks its jobs.

    Each job counts as started at once: Dask would wait for the answers to all of them.
    """
    jobs = _Jobs()

    class Tracked(job):  # type: ignore[misc]
        tracked = jobs
        script: str | None = None

        async def start(self) -> None:
            jobs.submitted.add(self)
            self.answer = asyncio.ensure_future(self._submit())
            self.status = Status.running

        async def _submit(self) -> None:
            try:
                await super().start()
                jobs.accepted.add(self)
            except Exception as error:
                jobs.rejections.append(_reason(error))
            finally:
                jobs.submitted.discard(self)

        async def _submit_job(self, script: str) -> Any:
            self.script = script
            return await super()._submit_job(script)

        async def close(self) -> None:
            # A job that is accepted later, under a number unknown to us, could not be cancelled.
            await asyncio.wait([self.answer], timeout=_ANSWERS_WITHIN)
            if self.script is not None and not self.answer.done():
                _kill_command(self.script)
                await asyncio.wait([self.answer], timeout=_ANSWERS_WITHIN)
            self.answer.cancel()
            jobs.accepted.discard(self)
            await self._cancel()
            self.status = Status.closed

        async def _cancel(self) -> None:
            cancelling = asyncio.ensure_future(super().close())
            await asyncio.wait([cancelling], timeout=_CANCELS_WITHIN)
            if not cancelling.done():
                jobs.left.append(self)
                jobs.reason = "the batch system does not answer"
                _kill_command(f"{self.cancel_command} {self.job_id}")
                await asyncio.wait([cancelling], timeout=_ANSWERS_WITHIN)
                cancelling.cancel()
            elif (error := cancelling.exception()) is not None:
                jobs.left.append(self)
                jobs.reason = _reason(error)

    return Tracked


def require_jobs(cluster: Any) -> None:
    """Raise ClusterError if all jobs of a cluster were rejected: no worker will come."""
    jobs = _jobs(cluster)
    if jobs.rejections and not jobs.submitted and not jobs.accepted:
        raise ClusterError(
            f"the batch system rejected all jobs: {jobs.rejections[-1]}; correct the queue, "
            "account or resources in the cluster file, and run the same command again"
        )


def describe_rejected(cluster: Any) -> str | None:
    """Say how many of a cluster's jobs were rejected, and why; None if none was."""
    rejections = _jobs(cluster).rejections
    return f"{counted(len(rejections), 'job')} rejected: {rejections[-1]}" if rejections else None


def describe_jobs(cluster: Any) -> list[str]:
    """Say what is known of a cluster's jobs that explains why there are no workers."""
    jobs = _jobs(cluster)
    rejected = describe_rejected(cluster)
    known = [rejected] if rejected else []
    # The cluster's thread adds to these sets.
    if submitted := len(jobs.submitted):
        known.append(f"the batch system has not answered for {counted(submitted, 'job')}")
    if accepted := jobs.accepted.copy():
        numbers = sorted((str(job.job_id) for job in accepted), key=lambda text: (len(text), text))
        known.append(
            f"{counted(len(numbers), 'job')} accepted, but no worker has connected: "
            f"{some(numbers)} (the batch system says what a job waits for; if it has ended, its "
            "log says why)"
        )
    return known


def describe_uncancelled(cluster: Any) -> str | None:
    """Say which jobs of a closed cluster may still be there; None if none."""
    jobs = _jobs(cluster)
    if not jobs.left:
        return None
    command = " ".join([jobs.left[0].cancel_command, *(str(job.job_id) for job in jobs.left)])
    return (
        f"{counted(len(jobs.left), 'job')} not cancelled: {jobs.reason}; to cancel what still "
        f"waits or runs: {command}"
    )


def _kill_command(words: str) -> None:
    """Kill the command that has these words among its arguments."""
    for process in psutil.Process().children():
        with contextlib.suppress(psutil.Error):
            if f"{words} " in f"{' '.join(process.cmdline())} ":
                process.kill()


def _jobs(cluster: Any) -> _Jobs:
    found = getattr(getattr(cluster, "job_cls", None), "tracked", None)
    return found if isinstance(found, _Jobs) else _Jobs()


def _reason(error: BaseException) -> str:
    """Return what the batch system said, out of all that dask-jobqueue says of it."""
    of_system = str(error).rpartition("stderr:\n")[2].strip()
    text = of_system or str(error) or type(error).__name__
    return "; ".join(map(one_line, text.splitlines()))
