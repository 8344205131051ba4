"""The operation ``prep.run``.

What carries a run out takes longer to load than a small run takes. So a first worker process is
started before.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from prep.config.model import AnyConfig, Config
from prep.execution.clusters.choice import ClusterChoice, choice_of
from prep.execution.placing import first_worker_ahead, placed, require_usable

if TYPE_CHECKING:
    from distributed import Client

    from prep.monitoring.events import Callback
    from prep.output.report.report import RunReport


def run(
    config: AnyConfig,
    client: Client | None = None,
    *,
    workers: int | None = None,
    overwrite: bool = False,
    append: bool = False,
    compact: bool = False,
    cluster: str | os.PathLike[str] | ClusterChoice | None = None,
    profile: str | None = None,
    progress: bool | None = None,
    dashboard: bool = False,
    callbacks: Iterable[Callback] = (),
) -> RunReport:
    """Prepare a source: write its shards, their mean and a report.

    Shards that are already committed are not written again. So to continue a run that was stopped,
    run it again.

    Args:
        config: what to do: a :class:`prep.Config`, a mapping of its keys, or the path of a JSON,
            YAML or TOML file with them.
        client: a Dask client to use, and leave running. Without one, a cluster is started as
            ``cluster`` says (by default, one process per core), and closed at the end. In a
            notebook it is kept for the next run, and so is one that ``start`` has started. A few
            thousand images are prepared without a cluster, unless you ask for one.
        workers: number of worker processes; no more are started than there are shards to write.
        overwrite: start afresh: remove what earlier runs have written to the output, and any file
            there that has the name of a shard or of another output file. Other files are never
            touched.
        append: add images that are new in the source to what the output holds: they go into new
            shards, and the shards that are there stay as they are, but for the number of shards
            in their names. Classes keep their labels, new ones get the next numbers, and images
            keep their splits. Images that are gone from the source or have changed are named, and
            stay as they were written.
        compact: as ``append``; and write the shards again that hold images which are gone or have
            changed.
        cluster: a cluster file, as for ``prep.cluster``.
        profile: a profile of the cluster file; by default ``local``, or the file's top level.
        progress: whether to show progress; if None, only in a notebook and at a terminal.
        dashboard: use a cluster, which has a dashboard, even for few images.
        callbacks: objects to call as the run goes on; see :class:`prep.Callback`.

    Returns:
        What the run has written, as in ``report.json``.

    Raises:
        UsageError: the request can't be carried out. Nothing was written.
        BadImageError: an image was refused, and ``on_bad_image`` is ``fail``.
        TooManyRefused: more images were refused than ``max_refused`` allows. All others are
            written.
        ShardError: shards failed. All others are committed.
        StorageUnavailable: a storage does not answer. Committed shards are kept.
        ClusterError: the cluster can't be started, or the run would fail on it.
        Interrupted: the user or a callback stopped the run (also a KeyboardInterrupt). Committed
            shards are kept.
        Exception: whatever a callback has raised. Committed shards are kept.

    A script that lets this start a cluster needs the usual guard of multiprocessing::

        if __name__ == "__main__":
            prep.run(prep.Config(source="photos", output="shards"))
    """
    config = Config.of(config)
    choice = choice_of(cluster, profile, workers, dashboard)
    require_usable(client, choice)
    with first_worker_ahead(client, choice, config.output, overwrite=overwrite):
        from prep.display.displays import display_of_run
        from prep.monitoring.events import require_callbacks
        from prep.operations.growth.appending import aim_of
        from prep.operations.running.carrying_out import carry_out

        start = functools.partial(placed, client, choice)
        own = require_callbacks(callbacks)
        shown = display_of_run(config, progress)
        aim = aim_of(overwrite=overwrite, append=append, compact=compact)
        return carry_out(config, start, aim=aim, callbacks=[*shown, *own])
