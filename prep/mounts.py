"""Folders that hosts see under paths of their own."""

from __future__ import annotations

import fnmatch
import socket
from collections.abc import Mapping

from distributed import Worker, WorkerPlugin

from prep import locations

#: By folder, and then by pattern on the names and addresses of hosts: where these see it.
Mounts = Mapping[str, Mapping[str, str]]


class WorkerMounts(WorkerPlugin):
    """Has each worker find folders where its host sees them; those that join late, too."""

    name = "prep-mounts"

    def __init__(self, mounts: Mounts) -> None:
        self._mounts = {folder: dict(by_host) for folder, by_host in mounts.items()}

    def setup(self, worker: Worker) -> None:
        for folder, here in mounts_of(self._mounts, names_of(worker.ip)).items():
            locations.mount(folder, here)

    def teardown(self, worker: Worker) -> None:
        for folder in self._mounts:
            locations.mount(folder, folder)


def names_of(address: str) -> list[str]:
    """What a pattern may name this host by: its name, whole and in short, and an address of it."""
    name = socket.gethostname()
    return list(dict.fromkeys([name, name.partition(".")[0], address]))


def mounts_of(mounts: Mounts, names: list[str]) -> dict[str, str]:
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
