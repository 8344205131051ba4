"""The choice of a cluster by a user; the code that starts it is imported when it is needed."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from prep.errors import ConfigError
from prep.execution.local.resources import cores
from prep.text import counted

if TYPE_CHECKING:
    from prep.execution.clusters.deployments import Deployment
    from prep.execution.clusters.spec import ClusterSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterChoice:
    """The cluster that is asked for.

    Attributes:
        file: a cluster file; None for the one that comes with the package.
        profile: a profile of the file; None for the default.
        workers: number of workers, instead of the file's.
        trust: whether the file may start classes of packages other than Dask's own.
        dashboard: whether to use Dask even for little work, so that there is a dashboard.
    """

    file: str | os.PathLike[str] | None = None
    profile: str | None = None
    workers: int | None = None
    trust: bool = False
    dashboard: bool = False

    @property
    def means_dask(self) -> bool:
        """True if this asks for anything that only a Dask cluster has."""
        return self.dashboard or replace(self, workers=None) != ANY_CLUSTER

    def spec(self) -> ClusterSpec:
        """Read the chosen profile of the file.

        Raises:
            ConfigError: it is not a valid cluster file, or has no such profile.
        """
        from prep.execution.clusters.spec import ClusterSpec

        return ClusterSpec.read(self.file, self.profile, trust=self.trust)

    def deployment(self) -> Deployment:
        """Return how to start or reach the cluster.

        Raises:
            ConfigError: the file is not valid, or asks for what does not exist.
        """
        from prep.execution.clusters.deployments import deployment_of

        return deployment_of(self.spec(), self.workers)

    def at_most(self, parts: int) -> ClusterChoice:
        """Return the same choice with at most one worker for each part of the work, if known."""
        workers = self._number_of_workers()
        if workers is None or workers <= parts:
            return self
        return replace(self, workers=max(1, parts))

    def starting(self) -> str:
        """Say what is about to be started, or connected to."""
        workers = self._number_of_workers()
        if workers is not None:
            return starting_workers(workers)
        return "connecting to the cluster" if self.spec().exists else "starting the cluster"

    def _number_of_workers(self) -> int | None:
        """Return how many workers will be started; None if not fixed, or not known."""
        spec = self.spec()
        if spec.exists or spec.class_ == "SSHCluster" or (spec.adapt and self.workers is None):
            return None
        workers = self.workers or spec.workers or spec.kwargs.get("n_workers")
        threads = spec.kwargs.get("threads_per_worker")
        if workers is None and spec.class_ == "LocalCluster" and isinstance(threads, int):
            workers = max(1, cores() // max(1, threads))
        return workers if isinstance(workers, int) else None

    def starts_here(self) -> bool:
        """Return whether this is a cluster of processes of this machine, which is to be started."""
        spec = self.spec()
        local = not spec.exists and spec.class_ == "LocalCluster"
        return local and spec.kwargs.get("processes") is not False

    def require_workers(self) -> None:
        """Raise ConfigError if the number of workers is less than 1."""
        if self.workers is not None and self.workers < 1:
            raise ConfigError(f"workers: got {self.workers}; expected a whole number of at least 1")


def starting_workers(number: int) -> str:
    """Say that so many workers are about to be started."""
    return f"starting {counted(number, 'worker')}"


#: The choice if nothing in particular is asked for.
ANY_CLUSTER = ClusterChoice()


def choice_of(
    cluster: str | os.PathLike[str] | ClusterChoice | None,
    profile: str | None,
    workers: int | None,
    dashboard: bool = False,
) -> ClusterChoice:
    """Return the choice that the arguments of a public function make."""
    if isinstance(cluster, ClusterChoice):
        return cluster
    return ClusterChoice(file=cluster, profile=profile, workers=workers, dashboard=dashboard)


def in_notebook() -> bool:
    """Return whether this process is a notebook's kernel, not a script or IPython at a terminal."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None
