"""The cluster that a session keeps: started when it is first needed, and used from then on.

In a notebook, cells are run again and again, and a cluster that starts and closes each time would
take longer than the work.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from distributed import Client, LocalCluster

from prep.errors import ClusterError, ConfigError
from prep.execution.clusters.choice import ANY_CLUSTER, ClusterChoice, in_notebook
from prep.execution.clusters.connect import opened_cluster
from prep.execution.clusters.plugins import visiting
from prep.execution.clusters.spec import ClusterSpec
from prep.execution.interrupts import before_exit, deferred
from prep.monitoring.link import scheduler_identity
from prep.text import shown

_ANSWERS_WITHIN = 5.0  # seconds


@dataclass(slots=True, kw_only=True)
class _Kept:
    """The session's cluster, what it was started from, and the number of runs that use it."""

    spec: ClusterSpec
    workers: int | None
    client: Client
    closing: contextlib.ExitStack
    users: int = 0

    def suits(self, choice: ClusterChoice) -> bool:
        if _is_any(choice):
            return True
        return (choice.spec(), choice.workers) == (self.spec, self.workers)

    def identity(self) -> dict[str, Any] | None:
        """Return what the scheduler knows of its workers; None if it does not answer."""
        if self.client.status != "running":
            return None
        try:
            return scheduler_identity(self.client, timeout=_ANSWERS_WITHIN)
        except OSError:
            return None

    def unusable(self, choice: ClusterChoice) -> str | None:
        """Return why another cluster is needed, if so."""
        if not self.suits(choice):
            return "is not the one asked for"
        if (identity := self.identity()) is None:
            return "does not answer"
        # Others may have workers that are still to come, or are gone for a while.
        fixed = isinstance(self.client.cluster, LocalCluster) and self.spec.adapt is None
        if not self.users and fixed and not identity["workers"]:
            return "has no workers left"
        return None


_lock = threading.RLock()
_kept: _Kept | None = None


def require_usable_client(client: Client | None, choice: ClusterChoice) -> None:
    """Raise UsageError if :func:`usable_client` could not even try."""
    if client is None:
        choice.deployment().require_startable()
    elif not _is_any(choice):
        raise ConfigError(
            "workers, cluster, profile: they describe a cluster to start, but a client was given; "
            "leave out either"
        )
    elif not isinstance(client, Client):
        raise ConfigError(f"client: got {shown(client)}; expected a Client of dask.distributed")
    elif client.asynchronous:
        raise ConfigError(
            "client: got an asynchronous one; expected one made without asynchronous=True"
        )
    elif client.status in ("closing", "closed"):
        raise ConfigError(
            "client: got a closed one, or its cluster is closed; expected an open one"
        )


@contextlib.contextmanager
def usable_client(
    given: Client | None,
    choice: ClusterChoice,
    parts: int | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Iterator[Client]:
    """Yield the given client; or else the session's, in a notebook or if there is one.

    Otherwise start a cluster, and close it at the end of the block. Worker plugins are unregistered
    then in any case.

    Args:
        parts: number of parts of the work; no more workers are started for the block alone.
        tell: told what is about to be started.

    Raises:
        ClusterError: the cluster can't be started.
    """
    if given is not None:
        tell("checking the cluster")
        with visiting(given):
            yield given
    elif in_notebook() or _is_kept(choice):
        tell("starting the cluster")
        with session_client(choice) as client:
            yield client
    else:
        wanted = choice if parts is None else choice.at_most(parts)
        tell(wanted.starting())
        with opened_cluster(wanted) as client:
            yield client


@contextlib.contextmanager
def session_client(choice: ClusterChoice = ANY_CLUSTER) -> Iterator[Client]:
    """Yield a client of the session's cluster; start it if need be, and leave it running.

    If the cluster is not the chosen one, does not answer, or has lost all its workers for good, it
    is closed first, unless a run uses it. Worker plugins are unregistered at the end of the block.

    Raises:
        ClusterError: the cluster can't be started, or a run uses the one that has to be closed.
    """
    kept = _take(choice)
    try:
        with visiting(kept.client):
            yield kept.client
    finally:
        with _lock:
            kept.users -= 1


def close_cluster() -> None:
    """Close the cluster that this session keeps between runs, if there is one.

    It is closed at the end of the process anyway. The next run starts another one.

    Raises:
        ClusterError: a run is using it.
    """
    with _lock:
        if _kept is not None and _kept.users:
            raise ClusterError(
                "the session's cluster can't be closed: a run is using it; call its cancel(), "
                "or wait for its result()"
            )
        _close()


def _take(choice: ClusterChoice) -> _Kept:
    with _lock:
        kept = _kept
        if kept is None or (why := kept.unusable(choice)) is not None:
            if kept is not None and kept.users:
                raise ClusterError(
                    f"a run is using the session's cluster, which {why}; wait for the run's "
                    "result(), call its cancel(), leave out workers, cluster and profile, or pass "
                    "a client"
                )
            _close()
            kept = _start(choice)
        kept.users += 1
        return kept


def _start(choice: ClusterChoice) -> _Kept:
    global _kept
    spec = choice.spec()
    with deferred():  # A cluster that nobody knows of could not be closed.
        closing = contextlib.ExitStack()
        client = closing.enter_context(opened_cluster(choice))
        _kept = _Kept(spec=spec, workers=choice.workers, client=client, closing=closing)
    return _kept


def _close() -> None:
    global _kept
    last, _kept = _kept, None
    if last is not None:
        last.closing.close()


def is_open() -> bool:
    """Return whether the session has a cluster that answers."""
    return _is_kept(ANY_CLUSTER)


def _is_kept(choice: ClusterChoice) -> bool:
    with _lock:
        return _kept is not None and _kept.suits(choice) and _kept.identity() is not None


def _is_any(choice: ClusterChoice) -> bool:
    """Return whether any cluster will do; each has a dashboard."""
    return replace(choice, dashboard=False) == ANY_CLUSTER


def _at_exit() -> None:
    with contextlib.suppress(Exception):  # Dask's own exit handler has the last word.
        _close()


before_exit(_at_exit)
