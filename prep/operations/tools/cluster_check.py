"""Check whether a cluster can do the work."""

from __future__ import annotations

from prep.config.model import Config
from prep.execution.clusters.choice import ClusterChoice
from prep.execution.clusters.connect import opened_cluster
from prep.execution.preflight import checks
from prep.execution.preflight.rules import ClusterCheck
from prep.sources.naming import Sources
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
    places = _places(config) if read else ()
    readable = [file for place in places for file in checks.samples_of(place)]
    writable = absolute(config.output) if write else None
    with opened_cluster(choice) as client:
        wanted = choice.workers or choice.spec().workers or 1
        checks.await_workers(client, wanted, _JOIN_WITHIN)
        return checks.check_cluster(client, readable=readable, writable=writable, workers=wanted)


def _places(config: Config) -> tuple[str, ...]:
    """Return the paths and URLs that a configuration has images in; none for a list in Python."""
    source = config.source
    given = source.paths if isinstance(source, Sources) else (source,)
    return tuple(path for path in (*given, config.images) if isinstance(path, str))
