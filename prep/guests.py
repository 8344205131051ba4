"""What a client registers with the workers of a cluster, which others may use at the same time.

It is the client's own, by its name: another one that comes, goes, or looks at the cluster changes
nothing of it. What it takes to do some work goes when that work ends; all else when the client says
that it leaves. A client that was killed takes back nothing: the next one does it.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from distributed import Client

from prep.mounts import MountsByHost, WorkerMounts
from prep.worker import WorkerSetup

_ANSWERS_WITHIN = 10.0  # seconds


@dataclass(slots=True)
class _Visit:
    """A client at work, and how many runs of it are."""

    holder: str
    runs: int = 0


_lock = threading.Lock()
_visits: dict[str, _Visit] = {}
# Ends of visits are not waited for, and may come after the next one's begin: each has its own name.
_numbers = itertools.count(1)


@contextlib.contextmanager
def visiting(client: Client) -> Iterator[None]:
    """Has what workers are prepared with in the block be taken back at its end.

    Where runs of one client overlap, that is the end of the last one.
    """
    with _lock:
        visit = _visits.setdefault(client.id, _Visit(f"{client.id}:{next(_numbers)}"))
        visit.runs += 1
    try:
        yield
    finally:
        with _lock:
            visit.runs -= 1
            last = not visit.runs
            if last:
                del _visits[client.id]
        if last:
            _take_back(client, visit.holder)


def prepare_workers(client: Client) -> None:
    """Has workers, those that join late too, be set up for what this client gives them to do."""
    _forget_the_gone(client)
    with _lock:
        visit = _visits.get(client.id)
    client.register_plugin(WorkerSetup(visit.holder if visit else client.id))


def mount_on_workers(client: Client, mounts: MountsByHost) -> None:
    """Has workers, those that join late too, find folders where their hosts see them."""
    _forget_the_gone(client)
    client.register_plugin(WorkerMounts(mounts, client.id))


def leave_workers(client: Client) -> None:
    """Takes back all that this client has registered, before it goes."""
    _take_back(client, client.id)


def _take_back(client: Client, holder: str) -> None:
    if client.status != "running":
        return
    with contextlib.suppress(Exception):  # The scheduler may be gone, or hang.
        client.run_on_scheduler(_unregister, of=holder, callback_timeout=_ANSWERS_WITHIN)


def _forget_the_gone(client: Client) -> None:
    """A client that was killed could not take anything back."""
    with contextlib.suppress(Exception):  # The scheduler may lack this package: that is told later.
        client.run_on_scheduler(_unregister)


def _unregister(dask_scheduler: Any, of: str | None = None) -> None:
    """Ends, on the scheduler, what a holder has registered; by default, what all have that left.

    Args:
        of: a client, with all its visits, or one of these.
    """
    for name in list(dask_scheduler.worker_plugins):
        kind, _, holder = name.partition(":")
        client = holder.partition(":")[0]
        ours = kind in (WorkerSetup.kind, WorkerMounts.kind)
        if ours and (of in (holder, client) if of else client not in dask_scheduler.clients):
            # Nobody waits for it, for a worker may be cut off.
            dask_scheduler.loop.add_callback(dask_scheduler.unregister_worker_plugin, None, name)
