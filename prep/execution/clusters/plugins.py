"""Worker plugins that a client registers with a cluster, which others may use at the same time.

Each plugin is named for its owner, so that other clients which come, go, or look at the cluster
change nothing of it. What a run needs goes when the run ends; all else when the client leaves. A
client that was killed takes nothing back: the next client does.
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

from prep.execution.workarounds import after_replacement
from prep.execution.worker import WorkerSetup
from prep.storage.locate import Mounts

#: By folder, and then by pattern on the names and addresses of hosts: where these see the folder.
MountsByHost = Mapping[str, Mapping[str, str]]

_ANSWERS_WITHIN = 10.0  # seconds


class WorkerMounts(WorkerPlugin):
    """Worker plugin that maps folders to where each host sees them.

    Args:
        mounts: the folders.
        owner: the client whose mounts they are. Those of other clients stay as they are.
    """

    kind = "prep-mounts"

    def __init__(self, mounts: MountsByHost, owner: str) -> None:
        self.name = f"{self.kind}:{owner}"
        self._by_host = {folder: dict(by_host) for folder, by_host in mounts.items()}
        self._mounted = Mounts({})

    def setup(self, worker: Worker) -> None:
        """Mount the folders in this process."""
        self._mounted = Mounts.of(mounts_of(self._by_host, names_of(worker.ip)))
        self._mounted.apply(self.name)

    def teardown(self, worker: Worker) -> None:
        """Withdraw them."""
        after_replacement(worker, self._mounted.withdraw, self.name)


def names_of(address: str) -> list[str]:
    """Return the names of this host for patterns: in full, in short, and one of its addresses."""
    name = socket.gethostname()
    return list(dict.fromkeys([name, name.partition(".")[0], address]))


def mounts_of(mounts: MountsByHost, names: list[str]) -> dict[str, str]:
    """Return where a host sees folders. The first pattern that matches one of its names counts.

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


@dataclass(slots=True)
class _Visit:
    """A client at work.

    Attributes:
        owner: name for what is registered meanwhile.
        runs: number of its runs.
    """

    owner: str
    runs: int = 0


_lock = threading.Lock()
_visits: dict[str, _Visit] = {}
# The end of a visit may come after the next one's begin, so each has a name of its own.
_numbers = itertools.count(1)


@contextlib.contextmanager
def visiting(client: Client) -> Iterator[None]:
    """Unregister on exit what :func:`prepare_workers` registers for this client in the block.

    If runs of one client overlap, the last one to end does so.
    """
    with _lock:
        visit = _visits.setdefault(client.id, _Visit(f"{client.id}:{next(_numbers)}"))
        visit.runs += 1
    try:
        yield
    finally:
        with _lock:
            visit.runs -= 1
            if last := not visit.runs:
                del _visits[client.id]
        if last:
            _unregister(client, visit.owner)


def prepare_workers(client: Client) -> None:
    """Set up workers, also those that join late, for the tasks of this client."""
    _unregister_the_gone(client)
    with _lock:
        visit = _visits.get(client.id)
    client.register_plugin(WorkerSetup(visit.owner if visit else client.id))


def mount_on_workers(client: Client, mounts: MountsByHost) -> None:
    """Map folders to where each host sees them, on all workers, also those that join late."""
    _unregister_the_gone(client)
    client.register_plugin(WorkerMounts(mounts, client.id))


def leave_workers(client: Client) -> None:
    """Unregister everything that this client has registered."""
    _unregister(client, client.id)


def _unregister(client: Client, owner: str) -> None:
    if client.status == "running":
        with contextlib.suppress(Exception):  # The scheduler may be gone, or hang.
            client.run_on_scheduler(_unregister_there, of=owner, callback_timeout=_ANSWERS_WITHIN)


def _unregister_the_gone(client: Client) -> None:
    with contextlib.suppress(Exception):  # The check reports a scheduler that lacks this package.
        client.run_on_scheduler(_unregister_there)


def _unregister_there(dask_scheduler: Any, of: str | None = None) -> None:
    """Unregister, on the scheduler, an owner's plugins; by default, those of clients that are gone.

    Args:
        of: a client, with all its visits, or one of these.
    """
    for name in list(dask_scheduler.worker_plugins):
        kind, _, owner = name.partition(":")
        client = owner.partition(":")[0]
        ours = kind in (WorkerSetup.kind, WorkerMounts.kind)
        if ours and (of in (owner, client) if of else client not in dask_scheduler.clients):
            # Not awaited, since a worker may be cut off.
            dask_scheduler.loop.add_callback(dask_scheduler.unregister_worker_plugin, None, name)
