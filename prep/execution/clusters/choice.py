"""Which cluster is asked for, if one is; what it takes to have it is loaded when it is needed."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from prep.errors import ConfigError
from prep.execution.machine import cores
from prep.text import counted

if TYPE_CHECKING:
    from prep.execution.clusters.deployments import Deployment
    from prep.execution.clusters.spec import ClusterSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterChoice:
    """Which cluster is asked for.

    Attributes:
        file: a cluster file; None for the one that comes with the package.
        profile: one of its profiles; None for the default.
        workers: number of workers, instead of what the file says.
        trust: whether the file may start classes of packages other than Dask's own.
        dashboard: whether Dask is to do even what is small, so that there is a dashboard.
    """

    file: str | os.PathLike[str] | None = None
    profile: str | None = None
    workers: int | None = None
    trust: bool = False
    dashboard: bool = False

    @property
    def means_dask(self) -> bool:
        """Whether anything is asked for that only a Dask cluster has."""
        return self.dashboard or replace(self, workers=None) != ANY_CLUSTER

    def spec(self) -> ClusterSpec:
        """What the file says of it.

        Raises:
            ConfigError: it is no cluster file, or has no such profile.
        """
        from prep.execution.clusters.spec import ClusterSpec

        return ClusterSpec.read(self.file, self.profile, trust=self.trust)

    def deployment(self) -> Deployment:
        """How to have it.

        Raises:
            ConfigError: it is no cluster file, or asks for what does not exist.
        """
        from prep.execution.clusters.deployments import deployment_of

        return deployment_of(self.spec(), self.workers)

    def at_most(self, parts: int) -> ClusterChoice:
        """The same with no more workers than there are parts of the work, where that is known."""
        workers = self._number_of_workers()
        few = workers is not None and workers > parts
        return replace(self, workers=max(1, parts)) if few else self

    def starting(self) -> str:
        """Say what is about to be started, or connected to."""
        workers = self._number_of_workers()
        if workers is not None:
            return starting_workers(workers)
        return "connecting to the cluster" if self.spec().exists else "starting the cluster"

    def _number_of_workers(self) -> int | None:
        """How many are to be started, where that is fixed and known."""
        spec = self.spec()
        if spec.exists or spec.class_ == "SSHCluster" or (spec.adapt and self.workers is None):
            return None
        workers = self.workers or spec.workers or spec.kwargs.get("n_workers")
        threads = spec.kwargs.get("threads_per_worker")
        if workers is None and spec.class_ == "LocalCluster" and isinstance(threads, int):
            workers = max(1, cores() // max(1, threads))
        return workers if isinstance(workers, int) else None

    def require_workers(self) -> None:
        """Raise ConfigError where the number of workers is none."""
        if self.workers is not None and self.workers < 1:
            raise ConfigError(f"workers: got {self.workers}; expected a whole number of at least 1")


def starting_workers(number: int) -> str:
    """Say that so many are about to be started."""
    return f"starting {counted(number, 'worker')}"


#: Asked for nothing in particular.
ANY_CLUSTER = ClusterChoice()


def choice_of(
    cluster: str | os.PathLike[str] | ClusterChoice | None,
    profile: str | None,
    workers: int | None,
    dashboard: bool = False,
) -> ClusterChoice:
    """Return what the arguments of a public function ask for."""
    if isinstance(cluster, ClusterChoice):
        return cluster
    return ClusterChoice(file=cluster, profile=profile, workers=workers, dashboard=dashboard)
