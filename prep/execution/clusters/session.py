"""The cluster that a session keeps: started when it is first needed, and used from then on.

In a notebook, a cell is run again and again; a cluster that starts and closes each time would take
longer than the work.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from distributed import Client, LocalCluster

from prep.errors import ClusterError, ConfigError
from prep.execution.clusters.choice import ANY_CLUSTER, ClusterChoice
from prep.execution.clusters.connect import opened
from prep.execution.clusters.plugins import visiting
from prep.execution.clusters.spec import ClusterSpec
from prep.execution.interrupts import before_exit, deferred
from prep.execution.machine import in_notebook
from prep.text import shown

_ANSWERS_WITHIN = 5.0  # seconds


@dataclass(slots=True, kw_only=True)
class _Kept:
    """A cluster, what it was started from, and how many runs are at work on it."""

    spec: ClusterSpec
    workers: int | None
    client: Client
    closing: contextlib.ExitStack
    users: int = 0


_lock = threading.RLock()
_kept: _Kept | None = None


def require_usable(client: Client | None, choice: ClusterChoice) -> None:
    """Raises UsageError where :func:`usable_client` could not even try."""
    if client is None:
        choice.deployment().require_startable()
    elif not _is_any(choice):
        raise ConfigError(
            "workers, cluster, profile: they describe a cluster to start, but a client was given; "
            "leave out either"
        )
    else:
        _require_open(client)


def _require_open(client: Client) -> None:
    if not isinstance(client, Client):
        raise ConfigError(f"client: got {shown(client)}; expected a Client of dask.distributed")
    if client.asynchronous:
        raise ConfigError(
            "client: got an asynchronous one; expected one made without asynchronous=True"
        )
    if client.status in ("closing", "closed"):
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
    """The client that was given; or else the session's, in a notebook or where there is one.

    Otherwise a cluster is started for the length of the block. What workers were prepared with
    does not outlast it either.

    Args:
        parts: of the work to be done: no more workers are started for the block alone.
        tell: told what is started, before that is.

    Raises:
        ClusterError: it can't be started.
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
        with opened(wanted) as client:
            yield client


@contextlib.contextmanager
def session_client(choice: ClusterChoice = ANY_CLUSTER) -> Iterator[Client]:
    """The session's cluster, which stays when the block ends; it is started if need be.

    One that is another than asked for, or does not answer any more, is closed first, unless a run
    is at work on it. Where nothing is asked for, any will do. That it has no workers yet, or none
    for the time being, is no reason to close it. What workers were prepared with in the block does
    not outlast it.

    Raises:
        ClusterError: it can't be started; or a run is at work on the one that is to be closed.
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
        if kept is None or (why := _unusable(kept, choice)) is not None:
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


def _unusable(kept: _Kept, choice: ClusterChoice) -> str | None:
    """Why another is needed, if so."""
    if not _suits(kept, choice):
        return "is not the one asked for"
    if not _answers(kept.client):
        return "does not answer"
    if not kept.users and _is_deserted(kept):
        return "has no workers left"
    return None


def _start(choice: ClusterChoice) -> _Kept:
    global _kept
    spec = choice.spec()
    with deferred():  # A cluster that nobody knows of could not be closed.
        closing = contextlib.ExitStack()
        client = closing.enter_context(opened(choice))
        _kept = _Kept(spec=spec, workers=choice.workers, client=client, closing=closing)
    return _kept


def _close() -> None:
    global _kept
    last, _kept = _kept, None
    if last is not None:
        last.closing.close()


def is_open() -> bool:
    """Whether the session has a cluster that answers."""
    return _is_kept(ANY_CLUSTER)


def _is_kept(choice: ClusterChoice) -> bool:
    with _lock:
        return _kept is not None and _suits(_kept, choice) and _answers(_kept.client)


def _is_any(choice: ClusterChoice) -> bool:
    """Whether any cluster will do: each has a dashboard."""
    return replace(choice, dashboard=False) == ANY_CLUSTER


def _suits(kept: _Kept, choice: ClusterChoice) -> bool:
    if _is_any(choice):
        return True
    return (choice.spec(), choice.workers) == (kept.spec, kept.workers)


def _answers(client: Client) -> bool:
    """Whether its scheduler does; its workers may be still to come, or for the time being gone."""
    return _known_of(client) is not None


def _is_deserted(kept: _Kept) -> bool:
    """Whether its workers are gone, and nobody is to start others."""
    fixed = isinstance(kept.client.cluster, LocalCluster) and kept.spec.adapt is None
    known = _known_of(kept.client) if fixed else None
    return known is not None and not known["workers"]


def _known_of(client: Client) -> Mapping[str, Any] | None:
    """What its scheduler knows of its workers; None where it does not answer."""
    if client.status != "running":
        return None
    scheduler: Any = client.scheduler
    try:
        return client.sync(  # type: ignore[no-any-return]
            scheduler.identity, n_workers=-1, callback_timeout=_ANSWERS_WITHIN
        )
    except OSError:
        return None


def _at_exit() -> None:
    with contextlib.suppress(Exception):  # Dask's own exit handler has the last word.
        _close()


before_exit(_at_exit)
