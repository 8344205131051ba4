"""The choice of an executor: processes of this machine, or which Dask cluster."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from prep.execution.clusters.choice import ClusterChoice, in_notebook, starting_workers
from prep.execution.executor import Executor, Workload
from prep.execution.spawning import end_if_only_imported, start_server, stop_server

if TYPE_CHECKING:
    from distributed import Client


#: Up to so many images, work is done without a cluster unless one is asked for. To start and close
#: one takes about 2.3 seconds, in which two cores prepare so many images. Processes without one are
#: no slower for more images either, but for these the dashboard is worth what the cluster costs.
FEW_IMAGES = 3000


def require_usable(client: Client | None, choice: ClusterChoice) -> None:
    """Raise UsageError if :func:`placed` could not even try."""
    end_if_only_imported()
    choice.require_workers()
    if client is not None or choice.means_dask:
        if client is None and choice.starts_here():
            start_server()  # It loads what workers need while this process loads Dask.
        from prep.execution.clusters import session

        try:
            session.require_usable_client(client, choice)
        except BaseException:
            stop_server(within=0)
            raise


@contextlib.contextmanager
def first_worker_ahead(
    client: Client | None, choice: ClusterChoice, output: str, *, overwrite: bool = False
) -> Iterator[None]:
    """Start a worker process for what may be little work, while that is planned.

    None is started where a cluster will be used in any case, or where an output is complete, so
    that there is hardly anything to do.
    """
    done = not overwrite and os.path.exists(os.path.join(output, "report.json"))
    if client is not None or choice.means_dask or done or _in_a_session():
        try:
            yield
        finally:
            stop_server(within=0)  # There may have been nothing to do, or an error.
        return
    from prep.execution.local.member import started_ahead

    with started_ahead("prep.execution.writing"):
        yield


@contextlib.contextmanager
def placed(
    client: Client | None,
    choice: ClusterChoice,
    workload: Workload,
    tell: Callable[[str], None] = lambda _: None,
) -> Iterator[Executor]:
    """Provide an executor within the block.

    It uses the client that was given; a cluster, if one is asked for; the session's, in a notebook
    or if there is one; a new cluster if there is much to do; and else processes of this machine.

    Args:
        tell: called with what is started, before that is.

    Raises:
        ClusterError: the cluster can't be started.
    """
    if client is None and _is_little(workload) and not (choice.means_dask or _in_a_session()):
        from prep.execution.local.crew_executor import local_executor, processes_for

        tell(starting_workers(processes_for(workload, choice.workers)))
        with local_executor(workload, choice.workers) as executor:
            yield executor
        return

    from prep.execution.local.member import end_started

    end_started()
    if client is None and choice.starts_here():
        start_server()
    from prep.execution.clusters.session import usable_client
    from prep.execution.dask import DaskExecutor

    with usable_client(client, choice, workload.parts, tell) as used:
        yield DaskExecutor(used)


def _is_little(workload: Workload) -> bool:
    return workload.images <= FEW_IMAGES


def _in_a_session() -> bool:
    """Return whether a cluster is there already, or will be of use again."""
    session = sys.modules.get("prep.execution.clusters.session")
    return in_notebook() or (session is not None and session.is_open())
