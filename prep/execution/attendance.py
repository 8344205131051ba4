"""The workers of a cluster: how many there are, and how long to wait where there are none."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

import dask
from dask.utils import parse_timedelta
from distributed import Client

from prep.errors import ClusterError, ConfigError
from prep.execution.clusters.jobqueue import describe_jobs, require_jobs
from prep.execution.clusters.spec import WAIT_FOR_WORKERS
from prep.monitoring.heartbeat import MISFITS
from prep.monitoring.link import scheduler_identity
from prep.text import duration, shown

_EVERY = 2.0  # seconds between two looks


class Attendance:
    """Counts workers now and then, and ends the wait for some.

    Args:
        client: of the cluster.
        patience: seconds to wait for workers while there are none; None for ever.
        clock: gives seconds.

    Attributes:
        missing: seconds for which there have been no workers; None while there are some.
    """

    def __init__(
        self,
        client: Client,
        patience: float | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._patience = patience
        self._clock = clock
        self._next = clock()
        self._since: float | None = None
        self.missing: float | None = None

    def look(self) -> None:
        """Count workers, if it is time to; call it often.

        Raises:
            ClusterError: there have been none for too long, or none will come.
        """
        now = self._clock()
        if now < self._next:
            return
        self._next = now + _EVERY
        if number_of_workers(self._client) != 0:  # If the scheduler is gone, the futures will tell.
            self._since = self.missing = None
            return
        require_jobs(self._client.cluster)
        self._since = now if self._since is None else self._since
        self.missing = now - self._since
        if self._patience is not None and self.missing >= self._patience:
            raise ClusterError(
                "; ".join([*self._left(), no_workers(self.missing, self._client.cluster)])
            )

    def _left(self) -> list[str]:
        """Return why the last worker that could not do the work has gone, if any has."""
        with contextlib.suppress(OSError):
            events: Any = self._client.get_events(MISFITS)
            return [str(why) for _, why in events[-1:]]
        return []


def number_of_workers(client: Client) -> int | None:
    """Return the number of workers, busy or not; None if the scheduler does not say."""
    with contextlib.suppress(OSError):
        return int(scheduler_identity(client, workers=0, timeout=_EVERY)["n_workers"])
    return None


def patience_for_workers() -> float | None:
    """Return how many seconds to wait for workers while there are none; None for ever.

    It is Dask's setting ``prep.wait-for-workers``.

    Raises:
        ConfigError: that is no time.
    """
    value = dask.config.get("prep.wait-for-workers", WAIT_FOR_WORKERS)
    try:
        seconds: float | None = parse_timedelta(value) if value is not None else None
    except (ValueError, KeyError, TypeError):
        raise ConfigError(
            f"prep.wait-for-workers: got {shown(value)}; expected a time, such as 10 minutes, "
            "or null"
        ) from None
    return seconds


def no_workers(waited: float, cluster: Any) -> str:
    """Say that there are no workers, and what to do."""
    known = describe_jobs(cluster)
    told = "; ".join([f"no workers for {duration(waited)}", *known])
    remedy = "correct that" if known else "start some"
    return (
        f"{told}; {remedy}, and run the same command again: committed shards are kept (Dask's "
        "setting prep.wait-for-workers says how long a run waits)"
    )
