"""Folders that hosts see under paths of their own."""

from __future__ import annotations

import fnmatch
import socket
from collections.abc import Mapping

from distributed import Worker, WorkerPlugin

from prep import locations

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
        self._mounted = locations.Mounts({})

    def setup(self, worker: Worker) -> None:
        self._mounted = locations.Mounts.of(mounts_of(self._by_host, names_of(worker.ip)))
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
