"""Jobs that a batch system does not take.

Dask tells of it in tracebacks only, and waits for workers that never come.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from distributed import Status

from prep.errors import ClusterError
from prep.text import counted, one_line


@dataclass(slots=True)
class _Submissions:
    """What became of the jobs of one cluster.

    Attributes:
        asked: how many the batch system has still to answer for.
        taken: those that wait there or run.
        refusals: why others were not taken, the last one last.
    """

    asked: int = 0
    taken: set[Any] = field(default_factory=set)
    refusals: list[str] = field(default_factory=list)


def noting(job: type[Any]) -> type[Any]:
    """A class of dask-jobqueue's jobs, for one cluster, that notes what becomes of them.

    One that is not taken counts as begun, or Dask would log a traceback for it.
    """
    submissions = _Submissions()

    class Noted(job):  # type: ignore[misc]
        noted = submissions

        async def start(self) -> None:
            submissions.asked += 1
            try:
                await super().start()
                submissions.taken.add(self)
            except Exception as error:
                submissions.refusals.append(_told(error))
                self.status = Status.running
            finally:
                submissions.asked -= 1

        async def close(self) -> None:
            submissions.taken.discard(self)
            await super().close()

    return Noted


def require_jobs(cluster: Any) -> None:
    """Raises ClusterError where a cluster has jobs, and none was taken: no worker will come."""
    jobs = _submissions(cluster)
    if jobs.refusals and not jobs.asked and not jobs.taken:
        raise ClusterError(
            f"none of the cluster's jobs was taken: {jobs.refusals[-1]}; mend that (queue, account "
            "and what a job needs are given in the cluster file), and run the same command again"
        )


def not_taken(cluster: Any) -> str | None:
    """Says how many of a cluster's jobs were not taken, and why; None where all were."""
    refusals = _submissions(cluster).refusals
    return f"{counted(len(refusals), 'job')} not taken: {refusals[-1]}" if refusals else None


def _submissions(cluster: Any) -> _Submissions:
    found = getattr(getattr(cluster, "job_cls", None), "noted", None)
    return found if isinstance(found, _Submissions) else _Submissions()


def _told(error: Exception) -> str:
    """What the batch system said, of all that dask-jobqueue tells of it."""
    said = str(error).rpartition("stderr:\n")[2].strip()
    return one_line(said or str(error) or type(error).__name__)
