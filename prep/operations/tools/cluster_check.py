"""Check whether a cluster can do the work."""

from __future__ import annotations

from prep.config import Config
from prep.execution.clusters.choice import ClusterChoice
from prep.execution.clusters.connect import opened_cluster
from prep.execution.preflight import checks
from prep.execution.preflight.rules import ClusterCheck
from prep.storage.locate import absolute

_JOIN_WITHIN = 60.0  # seconds for workers to join before a cluster is looked at


def check_chosen_cluster(
    choice: ClusterChoice, config: Config, *, read: bool, write: bool
) -> ClusterCheck:
    """Open a cluster, and return what is wrong with it for a run.

    Args:
        read, write: whether its hosts are to read from the source, and to write to the output.

    Raises:
        ClusterError: the cluster can't be started.
        SourceError: the source can't be listed.
    """
    config.grant()
    listed = read and isinstance(config.source, str)
    readable = checks.samples_of(str(config.source)) if listed else []
    writable = absolute(config.output) if write else None
    with opened_cluster(choice) as client:
        wanted = choice.workers or choice.spec().workers or 1
        checks.await_workers(client, wanted, _JOIN_WITHIN)
        return checks.check_cluster(client, readable=readable, writable=writable, workers=wanted)
