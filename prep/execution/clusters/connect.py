"""Why a cluster did not start, or did not answer, in one line.

A cluster spec → a Dask client.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import signal
import socket
import time
from collections.abc import Iterator
from typing import Any

import dask
from dask.utils import parse_timedelta
from distributed import Client, LocalCluster, Nanny, Worker, WorkerPlugin
from distributed.comm.addressing import get_address_host_port

from prep.errors import ClusterError, PrepError, chain_of
from prep.execution.clusters.choice import ClusterChoice
from prep.execution.clusters.deployments import Deployment
from prep.execution.clusters.jobqueue import not_cancelled
from prep.execution.clusters.plugins import leave_workers, mount_on_workers
from prep.execution.clusters.spec import ClusterSpec
from prep.execution.interrupts import deferred, heard, pressed_again
from prep.execution.machine import told_of_a_missing_guard
from prep.execution.workarounds import configured, quietly
from prep.monitoring.link import install_page
from prep.text import reason_of

# What a machine that is full says. MemoryError and BlockingIOError (too many processes) are others.
_FULL = {errno.ENOMEM, errno.ENOSPC, errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.EDQUOT}


def not_started(error: Exception, spec: ClusterSpec) -> PrepError:
    """What to tell of a class of clusters that could not be called."""
    told = f"the cluster can't be started: {cause(error)}"
    chain = list(chain_of(error))
    if any(_is_full(part) for part in chain):
        return ClusterError(
            f"{told}; make sure that there is memory, and room in /dev/shm, and run the same "
            "command again: nothing was lost"
        )
    if any(isinstance(part, OSError) for part in chain):
        return ClusterError(f"{told}; check the hosts, servers, programs and ports that it needs")
    if isinstance(chain[-1], TypeError):
        return spec.error(("kwargs",), f"{told}; check what arguments {spec.class_} takes")
    if isinstance(chain[-1], ValueError):
        remedy = f"check what arguments {spec.class_} takes, and what credentials it needs"
        return ClusterError(str(spec.error(("kwargs",), f"{told}; {remedy}")))
    return ClusterError(f"{told}; check what {spec.class_} needs")


def not_connected(error: Exception, address: str) -> ClusterError:
    """What to tell of a scheduler that could not be connected to."""
    told = f"the cluster at {address} does not answer"
    if isinstance(error, TypeError) and "ssl_context" in str(error):  # Dask's own first word.
        return ClusterError(
            f"{told}: it expects certificates, got none; give them in the cluster file, under "
            "security"
        )
    return ClusterError(
        f"{told}: {cause(error)}; check that its scheduler runs, and check address and certificates"
    )


def cause(error: BaseException) -> str:
    """The most telling of an error and its causes: what the system said, or else the first word.

    >>> cause(TimeoutError("too long"))
    'too long'
    """
    chain = [part for part in chain_of(error) if str(part).strip()]
    if not chain:
        return type(error).__name__
    said = [part for part in chain if isinstance(part, OSError) and part.errno is not None]
    told = (said or chain)[-1]
    return (
        reason_of(told)
        if isinstance(told, OSError)
        else f"{type(told).__name__}: {reason_of(told)}"
    )


def require_listener(address: str, seconds: float = 5) -> None:
    """Raises OSError where nobody listens at an address, which Dask would find out and not tell.

    It may be about to be started, so that is tried for a while. For one that takes the connection
    and says nothing, Dask would wait for ever.
    """
    scheme, separator, _ = address.partition("://")
    scheme = scheme if separator else dask.config.get("distributed.comm.default-scheme")
    if scheme not in ("tcp", "tls"):
        return  # Dask knows how to get there.
    try:
        place = get_address_host_port(address)
    except ValueError:
        return  # Dask tells what is wrong with it.
    patience = parse_timedelta(dask.config.get("distributed.comm.timeouts.connect"))
    deadline = time.monotonic() + min(seconds, patience)
    while True:
        try:
            with socket.create_connection(place, timeout=patience) as connection:
                if scheme == "tcp":  # With TLS we are to begin, and Dask waits no longer for that.
                    _require_word(connection)
            return
        except TimeoutError:
            raise
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _require_word(connection: socket.socket) -> None:
    """A process of Dask begins to speak by itself."""
    try:
        connection.recv(1)
    except TimeoutError:
        seconds = connection.gettimeout()
        raise TimeoutError(
            f"it accepts the connection, but says nothing for {seconds:g} s"
        ) from None


def _is_full(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in _FULL)


_LOGGER = logging.getLogger("prep")


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
    with opened(ClusterChoice(file=file, profile=profile, workers=workers, trust=trust)) as client:
        yield client


@contextlib.contextmanager
def opened(choice: ClusterChoice) -> Iterator[Client]:
    """The same, for a choice."""
    spec, deployment = choice.spec(), choice.deployment()
    deployment.require_startable()
    stack = contextlib.ExitStack()
    try:
        with deferred(), quietly():
            client = _open(deployment, spec, stack)
            # What a scheduler that hangs takes in later is forgotten by the next client.
            with heard() if spec.exists else contextlib.nullcontext():
                _set_up(client, spec, stack)
        try:
            yield client
        except KeyboardInterrupt as error:
            if pressed_again(error):
                stack.callback(_kill_workers, client.cluster)
            raise
    finally:
        with deferred(), quietly():
            stack.close()


def _open(deployment: Deployment, spec: ClusterSpec, stack: contextlib.ExitStack) -> Client:
    stack.enter_context(configured(deployment.config))
    if deployment.start is None:
        client = _connected(deployment)
    else:
        cluster = _started(deployment, spec)
        stack.callback(_tell_what_is_left, cluster)
        stack.enter_context(cluster)
        client = _client(cluster)
    stack.callback(client.close)  # Entered as a context, it could only be left in this thread.
    return client


def _client(*args: Any, **kwargs: Any) -> Client:
    """A client; one that does not connect is closed, so that nothing of it stays.

    Dask leaves that to the garbage collector, which then waits for a lock of Dask's that its own
    thread may hold: for ever. Where Dask does close it, it leaves its thread running.
    """
    client = Client.__new__(Client)  # To have it in hand where __init__ fails.
    try:
        Client.__init__(client, *args, **kwargs)
    except BaseException:
        with contextlib.suppress(Exception):
            client.close()
        with contextlib.suppress(Exception):
            client._loop_runner.stop()
        raise
    return client


def _connected(deployment: Deployment) -> Client:
    address = str(deployment.address)
    try:
        with heard():
            require_listener(address)
            return _client(address, security=deployment.security())
    except Exception as error:  # Whatever is wrong with address, network, or certificates.
        raise not_connected(error, address) from error


def _set_up(client: Client, spec: ClusterSpec, stack: contextlib.ExitStack) -> None:
    """Tells its workers, those that join late too, what they need to know beforehand.

    Where they lack this package, that is told before a run, and not here.
    """
    if spec.exists:  # It stays when we are gone.
        stack.callback(leave_workers, client)
    with contextlib.suppress(Exception):
        if spec.mounts:
            mount_on_workers(client, spec.mounts)
    if not spec.exists:
        with contextlib.suppress(Exception):
            client.register_plugin(_WorkerOfOurs())
    with contextlib.suppress(Exception):  # A run tells why there is no page.
        install_page(client)


def _started(deployment: Deployment, spec: ClusterSpec) -> Any:
    """A cluster; what goes wrong is told here, and not by Dask.

    Processes of this machine are waited for, so that none is left behind. All others take their
    time, and are given up with the connections to them.
    """
    assert deployment.start is not None
    with told_of_a_missing_guard() as require_guard:
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


def _tell_what_is_left(cluster: Any) -> None:
    """Of jobs that a batch system was to cancel when their cluster was closed."""
    if (told := not_cancelled(cluster)) is not None:
        _LOGGER.warning("prep: %s", told)


def _kill_workers(cluster: Any) -> None:
    """Ends worker processes of this machine, whatever they are at: Dask would wait for that."""
    for nanny in cluster.workers.values() if isinstance(cluster, LocalCluster) else ():
        if isinstance(nanny, Nanny) and nanny.pid:
            nanny.close_gracefully()  # It starts no other one.
            with contextlib.suppress(ProcessLookupError):
                os.kill(nanny.pid, signal.SIGKILL)


class _WorkerOfOurs(WorkerPlugin):
    """Has a worker log only what the client does not tell of in the end.

    That is not: what went wrong in a task, that it was stopped, that the scheduler is gone.
    """

    name = "prep-worker-of-ours"

    def setup(self, worker: Worker) -> None:
        names = ("distributed.worker", "distributed.worker.state_machine")
        for name in names if worker.nanny else ():  # Without one, this may be anyone's process.
            logging.getLogger(name).addFilter(_is_not_told_by_the_client)


def _is_not_told_by_the_client(record: logging.LogRecord) -> bool:
    message = record.getMessage()
    cancelled = message.startswith("Async instruction") and message.endswith("CancelledError")
    known = ("Compute Failed", "Failed to communicate with scheduler during heartbeat")
    return not cancelled and not message.startswith(known)
