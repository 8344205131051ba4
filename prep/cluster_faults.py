"""Why a cluster did not start, or did not answer, in one line."""

from __future__ import annotations

import errno
import socket
import time

import dask
from dask.utils import parse_timedelta
from distributed.comm.addressing import get_address_host_port

from prep.cluster_spec import ClusterSpec
from prep.errors import ClusterError, PrepError, chain_of
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
