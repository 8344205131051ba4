"""Folders that hosts see under paths of their own.

What a client registers with the workers of a cluster, which others may use at the same time.

It is the client's own, by its name: another one that comes, goes, or looks at the cluster changes
nothing of it. What it takes to do some work goes when that work ends; all else when the client says
that it leaves. A client that was killed takes back nothing: the next one does it.
"""

from __future__ import annotations

import contextlib
import fnmatch
import itertools
import socket
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from distributed import Client, Worker, WorkerPlugin

from prep.execution.worker import WorkerSetup
from prep.storage import location

#: By folder, and then by pattern on the names and addresses of hosts: where these see it.
MountsByHost = Mapping[str, Mapping[str, str]]


class WorkerMounts(WorkerPlugin):
    """Has each worker find folders where its host sees them; those that join late, too.

    Args:
        holder: whom it is for. What others have mounted stays as it is.
    """

    kind = "prep-mounts"

    def __init__(self, mounts: MountsByHost, holder: str) -> None:
        self.name = f"{self.kind}:{holder}"
        self._by_host = {folder: dict(by_host) for folder, by_host in mounts.items()}
        self._mounted = location.Mounts({})

    def setup(self, worker: Worker) -> None:
        self._mounted = location.Mounts.of(mounts_of(self._by_host, names_of(worker.ip)))
        self._mounted.apply(self.name)

    def teardown(self, worker: Worker) -> None:
        # Dask ends the old one before it begins the new one. In between, all would lack it.
        worker.loop.add_callback(self._mounted.withdraw, self.name)


def names_of(address: str) -> list[str]:
    """What a pattern may name this host by: its name, whole and in short, and an address of it."""
    name = socket.gethostname()
    return list(dict.fromkeys([name, name.partition(".")[0], address]))


def mounts_of(mounts: MountsByHost, names: list[str]) -> dict[str, str]:
    """Where a host sees folders. The first pattern that one of its names matches counts.

    >>> mounts_of({"/data": {"gpu-*": "/mnt/data", "*": "/srv"}}, ["gpu-1.lab", "10.0.0.7"])
    {'/data': '/mnt/data'}
    """
    found = {}
    for folder, by_host in mounts.items():
        for pattern, here in by_host.items():
            if any(fnmatch.fnmatchcase(name.lower(), pattern.lower()) for name in names):
                found[folder] = here
                break
    return found


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
