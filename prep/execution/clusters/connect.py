"""Start or reach the cluster of a spec, and explain why that failed."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
from collections.abc import Iterator
from typing import Any

import dask
from distributed import Client

from prep.errors import ClusterError, PrepError, chain_of
from prep.execution.clusters.choice import ClusterChoice
from prep.execution.clusters.deployments import Deployment
from prep.execution.clusters.jobqueue import describe_uncancelled
from prep.execution.clusters.plugins import leave_workers, mount_on_workers
from prep.execution.clusters.spec import ClusterSpec
from prep.execution.interrupts import deferred, heard, pressed_again
from prep.execution.spawning import (
    has_server_with,
    noticing_a_missing_guard,
    server_for_a_cluster,
)
from prep.execution.workarounds import configured, kill_workers, new_client, require_listener
from prep.monitoring.link import install_page
from prep.monitoring.noise import QuietWorker, quietly
from prep.text import reason_of

_LOGGER = logging.getLogger("prep")

_METHOD = "distributed.worker.multiprocessing-method"
_ENVIRONMENT = "distributed.nanny.pre-spawn-environ"

# Errors of a full machine, beside MemoryError. EAGAIN is that of too many processes.
_FULL = {errno.ENOMEM, errno.ENOSPC, errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.EDQUOT}


@contextlib.contextmanager
def cluster(
    file: str | os.PathLike[str] | None = None,
    *,
    profile: str | None = None,
    workers: int | None = None,
    trust: bool = False,
) -> Iterator[Client]:
    """Start a cluster, and close it at the end of the ``with`` block.

    If the file names a cluster that runs already, connect to it, and leave it running.

    Args:
        file: a cluster file; by default, one single-threaded process per core of this machine.
        profile: a profile of the file; by default ``local``, or the file's top level.
        workers: number of workers, instead of the file's.
        trust: let the file start classes of packages other than Dask's own. This runs their code.

    Yields:
        A Dask client of the cluster.

    Raises:
        ConfigError: the file is not a valid cluster file, or has no such profile.
        ClusterError: the cluster can't be started, or does not answer.

    ::

        with prep.cluster(workers=4) as client:
            print(client.dashboard_link)
            prep.run(config, client)
    """
    with opened_cluster(
        ClusterChoice(file=file, profile=profile, workers=workers, trust=trust)
    ) as client:
        yield client


@contextlib.contextmanager
def opened_cluster(choice: ClusterChoice) -> Iterator[Client]:
    """Start or reach the chosen cluster; see :func:`cluster`."""
    spec, deployment = choice.spec(), choice.deployment()
    deployment.require_startable()
    stack = contextlib.ExitStack()
    try:
        with deferred(), quietly():
            client = _open(deployment, spec, stack)
            # The next client undoes what a scheduler that hangs takes in later.
            with heard() if spec.exists else contextlib.nullcontext():
                _set_up(client, spec, stack)
        try:
            yield client
        except KeyboardInterrupt as error:
            if pressed_again(error):
                stack.callback(kill_workers, client.cluster)
            raise
    finally:
        with deferred(), quietly():
            stack.close()


def _open(deployment: Deployment, spec: ClusterSpec, stack: contextlib.ExitStack) -> Client:
    stack.enter_context(configured(deployment.config))
    if deployment.spawns:
        stack.enter_context(server_for_a_cluster())
        # Of these two, one is Dask's default, and one is what another cluster of ours has set.
        chosen = dask.config.get(_METHOD) not in ("spawn", "forkserver")
        if not chosen and _METHOD not in deployment.config:
            method = "forkserver" if has_server_with(_environment()) else "spawn"
            stack.enter_context(configured({_METHOD: method}))
    if deployment.start is None:
        client = _connect(deployment)
    else:
        cluster = _start(deployment, spec)
        stack.callback(_warn_of_uncancelled_jobs, cluster)
        stack.enter_context(cluster)
        client = new_client(cluster)
    stack.callback(client.close)  # As a context, a client can only be left in its own thread.
    return client


def _environment() -> dict[str, str]:
    """Return the variables that workers are to begin with by settings other than Dask's defaults.

    As Dask has it, those of this process count more.
    """
    defaults = dask.config.get(_ENVIRONMENT, config=dask.config.merge(*dask.config.defaults))
    settings = dask.config.get(_ENVIRONMENT)
    return {
        name: os.environ.get(name, str(value))
        for name, value in settings.items()
        if value not in (None, defaults.get(name))
    }


def _connect(deployment: Deployment) -> Client:
    address = str(deployment.address)
    try:
        with heard():
            require_listener(address)
            return new_client(address, security=deployment.security())
    except Exception as error:  # Whatever is wrong with address, network, or certificates.
        raise not_connected(error, address) from error


def _start(deployment: Deployment, spec: ClusterSpec) -> Any:
    """Return a new cluster.

    Ctrl-C waits for processes of this machine, so that none is left behind. All other starts take
    longer; they are given up, and with them the connections.
    """
    assert deployment.start is not None
    with noticing_a_missing_guard() as require_guard:
        try:
            with contextlib.nullcontext() if deployment.here else heard():
                cluster = deployment.start()
        except Exception as error:
            require_guard()
            raise not_started(error, spec) from error
    if deployment.adapt:
        try:
            cluster.adapt(**deployment.adapt)
        except Exception as error:
            cluster.close()
            raise spec.error(("adapt",), f"{spec.class_} can't: {cause(error)}") from error
    return cluster


def _set_up(client: Client, spec: ClusterSpec, stack: contextlib.ExitStack) -> None:
    """Register with the cluster what its workers, also late ones, need.

    Workers that lack this package are reported before a run, not here.
    """
    if spec.exists:  # It outlives this client.
        stack.callback(leave_workers, client)
    with contextlib.suppress(Exception):
        if spec.mounts:
            mount_on_workers(client, spec.mounts)
    if not spec.exists:
        with contextlib.suppress(Exception):
            client.register_plugin(QuietWorker())
    with contextlib.suppress(Exception):  # A run says why there is no page.
        install_page(client)


def _warn_of_uncancelled_jobs(cluster: Any) -> None:
    if (left := describe_uncancelled(cluster)) is not None:
        _LOGGER.warning("prep: %s", left)


def not_started(error: Exception, spec: ClusterSpec) -> PrepError:
    """Return the error to raise for a cluster class that could not be called."""
    failed = f"the cluster can't be started: {cause(error)}"
    chain = list(chain_of(error))
    if any(_is_full(part) for part in chain):
        return ClusterError(
            f"{failed}; make sure that there is memory, and room in /dev/shm, and run the same "
            "command again: nothing was lost"
        )
    if any(isinstance(part, OSError) for part in chain):
        return ClusterError(f"{failed}; check the hosts, servers, programs and ports that it needs")
    if isinstance(chain[-1], TypeError):
        return spec.error(("kwargs",), f"{failed}; check what arguments {spec.class_} takes")
    if isinstance(chain[-1], ValueError):
        remedy = f"check what arguments {spec.class_} takes, and what credentials it needs"
        return ClusterError(str(spec.error(("kwargs",), f"{failed}; {remedy}")))
    return ClusterError(f"{failed}; check what {spec.class_} needs")


def not_connected(error: Exception, address: str) -> ClusterError:
    """Return the error to raise for a scheduler that could not be connected to."""
    failed = f"the cluster at {address} does not answer"
    if isinstance(error, TypeError) and "ssl_context" in str(error):  # Dask's words for this.
        return ClusterError(
            f"{failed}: it expects certificates, got none; give them in the cluster file, under "
            "security"
        )
    return ClusterError(
        f"{failed}: {cause(error)}; check that its scheduler runs, and check address and "
        "certificates"
    )


def cause(error: BaseException) -> str:
    """Return the most telling of an error and its causes: the system's, or else the first.

    >>> cause(TimeoutError("too long"))
    'too long'
    """
    chain = [part for part in chain_of(error) if str(part).strip()]
    if not chain:
        return type(error).__name__
    of_system = [part for part in chain if isinstance(part, OSError) and part.errno is not None]
    chosen = (of_system or chain)[-1]
    kind = "" if isinstance(chosen, OSError) else f"{type(chosen).__name__}: "
    return f"{kind}{reason_of(chosen)}"


def _is_full(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in _FULL)
