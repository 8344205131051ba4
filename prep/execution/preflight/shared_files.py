"""Check that all hosts of a cluster see the same files, and can write to the output."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from prep.execution.preflight import probes
from prep.execution.preflight.poll import Poll
from prep.execution.preflight.rules import check_space, error
from prep.output.findings import Finding
from prep.storage.newfile import temporary_name
from prep.storage.urls import is_url

_STORAGE = "check that it exists, and that the options or the host's credentials permit access"
_SEEN_WITHIN = 10.0  # seconds for a file of one host to be seen by another


class Sharing:
    """A check of the files that one worker of each host sees.

    Args:
        poll: asks the workers, and collects the findings.
        hosts: the name of each worker's host.

    Attributes:
        free: bytes free at the output, by host; None if not known.
    """

    def __init__(self, poll: Poll, hosts: Mapping[str, str]) -> None:
        self._poll = poll
        self._hosts = hosts
        self._chosen = list({host: worker for worker, host in hosts.items()}.values())
        self.free: dict[str, int | None] = {}

    def look(self, readable: Sequence[str], writable: str | None) -> None:
        """Look at files, and add findings to the poll.

        Args:
            readable: files that must have the same contents as here.
            writable: folder in which each host must be able to write files that all others see.
        """
        self._require_readable(readable)
        if writable is not None:
            self._look_for_space(writable)
            self._require_shared(writable)

    def _require_readable(self, paths: Sequence[str]) -> None:
        here = probes.read_digests(paths)
        for worker, there in self._poll.ask(self._chosen, probes.read_digests, paths).items():
            for path, expected, found in zip(paths, here, there, strict=True):
                # A file that can't be read here need not be readable elsewhere.
                if found != expected and probes.is_digest(expected):
                    self._poll.add(worker, [_unreadable(path, found)])

    def _look_for_space(self, folder: str) -> None:
        for worker, free in self._poll.ask(self._chosen, probes.free_space, folder).items():
            self.free[self._hosts[worker]] = free
            self._poll.add(worker, check_space(free))

    def _require_shared(self, folder: str) -> None:
        """Write a file on each host, and look for it on all others.

        If this process is killed, the next run removes the files as leftovers.
        """
        new = probes.new_folders(folder)
        new_there = self._poll.ask(self._chosen, probes.new_folders, folder)
        names = {worker: temporary_name() for worker in self._chosen}
        try:
            self._require_seen(folder, self._written(folder, names))
        finally:  # A check leaves nothing behind, here or there.
            probes.remove_files(folder, list(names.values()))
            self._poll.ask(self._chosen, probes.remove_files, folder, list(names.values()))
            for worker, folders in new_there.items():
                self._poll.ask([worker], probes.remove_folders, folders)
            probes.remove_folders(new)

    def _written(self, folder: str, names: Mapping[str, str]) -> dict[str, str]:
        """Write a file on each worker; return the names of those that could be written."""
        written = {}
        for worker, name in names.items():
            answers = self._poll.ask([worker], probes.write_file, folder, name, name.encode())
            problem = answers.get(worker)
            if problem is not None:
                self._poll.add(worker, [_unwritable(folder, problem)])
            elif worker in answers:
                written[worker] = name
        return written

    def _require_seen(self, folder: str, written: Mapping[str, str]) -> None:
        """Add findings for files that this machine does not see, or other hosts do not."""
        paths = {worker: f"{folder.rstrip('/')}/{name}" for worker, name in written.items()}
        digests = {worker: probes.digest_of(name.encode()) for worker, name in written.items()}

        def unseen_here(writers: list[str]) -> list[str]:
            found = probes.read_digests([paths[worker] for worker in writers])
            return [w for w, digest in zip(writers, found, strict=True) if digest != digests[w]]

        unseen = _wait_for_none(unseen_here, list(written))
        for writer in unseen:
            self._poll.add(writer, [_unshared(folder, "this machine does not see what it writes")])
        seen = [worker for worker in written if worker not in unseen]
        expected = [digests[worker] for worker in seen]

        def blind(readers: list[str]) -> list[str]:
            answers = self._poll.ask(readers, probes.read_digests, [paths[w] for w in seen])
            return [reader for reader, found in answers.items() if found != expected]

        for reader in _wait_for_none(blind, self._chosen):
            self._poll.add(reader, [_unshared(folder, "it does not see what other hosts write")])


def _wait_for_none(look: Callable[[list[str]], list[str]], workers: list[str]) -> list[str]:
    """Return the workers that ``look`` still finds after a while: file servers take their time."""
    deadline = time.monotonic() + _SEEN_WITHIN
    left = look(workers)
    while left and time.monotonic() < deadline:
        time.sleep(0.1)
        left = look(left)
    return left


def _unreadable(path: str, found: str) -> Finding:
    seen = "the file has other contents there" if probes.is_digest(found) else found
    remedy = (
        "mount the source under the same path on all hosts, or give the host's own path under "
        "mounts in the cluster file"
    )
    return error(f"it can't read {path} ({seen})", _STORAGE if is_url(path) else remedy)


def _unwritable(folder: str, found: str) -> Finding:
    remedy = (
        "let the worker's account write there, or give the host's own path under mounts in the "
        "cluster file"
    )
    return error(f"it can't write to {folder} ({found})", _STORAGE if is_url(folder) else remedy)


def _unshared(folder: str, what: str) -> Finding:
    return error(
        f"{what}, in {folder}",
        "mount one shared folder under the same path on all hosts, or give the host's own path "
        "under mounts in the cluster file",
    )
