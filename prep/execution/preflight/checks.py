"""Whether a cluster can do the work that it is given: found out before the work begins."""

from __future__ import annotations

import contextlib
import inspect
import logging
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from distributed import Client, LocalCluster

from prep.errors import ClusterError, SourceError
from prep.execution.clusters.jobqueue import describe_jobs, describe_rejected, require_jobs
from prep.execution.clusters.plugins import prepare_workers
from prep.execution.futures import no_workers, number_of_workers, patience_for_workers
from prep.execution.preflight import probes, software
from prep.execution.preflight.findings import (
    ClusterCheck,
    Facts,
    HostState,
    job_troubles,
    merged,
    process_troubles,
    scheduler_troubles,
    setup_troubles,
    silence_troubles,
    silent,
    software_troubles,
    worker_troubles,
)
from prep.execution.preflight.poll import Poll
from prep.execution.preflight.shared_files import Sharing
from prep.sources.folders.tree import require_images_folder
from prep.storage.location import locate
from prep.storage.store import require_answer
from prep.storage.urls import is_url
from prep.text import one_line, reason_and_file

_LOGGER = logging.getLogger("prep")

_SAID_AFTER, _SAID_AGAIN = 5.0, 4  # seconds of waiting for workers, and times as many each time
# Runs the text of ``software`` where this package may be absent: nothing but ``eval``
# is asked for there.
_DESCRIBE = "(exec(source, namespace), namespace['describe_process']())[1]"


def require_fit(
    client: Client, *, readable: Sequence[str] = (), writable: str | None = None
) -> None:
    """Makes sure, before a run, that it would not fail for what its cluster lacks.

    Workers that this process has started on this machine are as it is: these are asked nothing.

    Args:
        readable: files that all workers must be able to read, and see as they are here.
        writable: folder that all workers must be able to write to.

    Raises:
        ClusterError: it would, or there are no workers.
    """
    if isinstance(client.cluster, LocalCluster):
        return
    await_worker(client)
    found = check_cluster(client, readable=readable, writable=writable)
    for trouble in found.warnings:
        _LOGGER.warning("prep: %s", trouble)
    if found.errors:
        raise ClusterError(
            "the cluster is not fit for this run (prep cluster check says more):",
            *(one_line(str(trouble)) for trouble in found.errors),
        )


def await_worker(client: Client, patience: float | None = None) -> None:
    """Waits until a worker is there; an adaptive cluster is given reason to start one.

    It may be busy with what others have given it: then a run waits for its turn.

    Args:
        patience: seconds to wait at most; by default what Dask's configuration says.

    Raises:
        ClusterError: none came, or none will come.
    """
    patience = patience_for_workers() if patience is None else patience
    began = time.monotonic()
    asked = client.submit(os.getpid, pure=False)
    say = _SAID_AFTER
    try:
        while not (asked.done() or number_of_workers(client)):
            require_jobs(client.cluster)
            waited = time.monotonic() - began
            if patience is not None and waited > patience:
                raise ClusterError(no_workers(patience, client.cluster))
            if waited > say:
                told = "; ".join(["waiting for workers", *describe_jobs(client.cluster)])
                _LOGGER.warning("prep: %s; Ctrl-C stops", told)
                say *= _SAID_AGAIN
            time.sleep(0.05)
    finally:
        asked.release()


def await_workers(client: Client, number: int, patience: float) -> None:
    """Gives workers time to come, for a look at the cluster: that there are none is a finding.

    Args:
        patience: seconds to wait for others, once one is there.
    """
    with contextlib.suppress(ClusterError):
        await_worker(client)
        await_others(client, number, patience)


def await_others(client: Client, number: int, patience: float) -> None:
    """Waits until so many workers are there, but no longer than so many seconds."""
    with contextlib.suppress(TimeoutError):
        client.wait_for_workers(number, timeout=patience)


def check_cluster(
    client: Client,
    *,
    readable: Sequence[str] = (),
    writable: str | None = None,
    workers: int | None = None,
) -> ClusterCheck:
    """Finds out what is wrong with a cluster for a run, and what to do about it.

    Args:
        readable, writable: as for :func:`require_fit`.
        workers: how many there should be, if that is known.
    """
    return _Check(client).carry_out(readable, writable, workers)


class _Check:
    """Asks all processes of a cluster what they are like."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._poll = Poll(client)
        self._facts: dict[str, Facts] = {}

    def carry_out(
        self, readable: Sequence[str], writable: str | None, workers: int | None
    ) -> ClusterCheck:
        poll = self._poll
        cluster, there = self._client.cluster, len(poll.workers)
        poll.add("scheduler", worker_troubles(there, workers, describe_jobs(cluster)))
        if there:  # Or else it is told why there are none.
            poll.add("batch system", job_troubles(describe_rejected(cluster)))
        self._ask_scheduler()
        self._ask_software()
        sharing = Sharing(poll, {worker: self._host(worker) for worker in self._facts})
        if not poll.has_errors:  # Or else there may be nobody who could look.
            self._set_up()
            sharing.look(readable, writable)
        names = {w: f"{w} on {facts['host']}" for w, facts in self._facts.items()}
        troubles = {names.get(process, process): found for process, found in poll.troubles.items()}
        return ClusterCheck(
            hosts=tuple(self._hosts(sharing.free)), troubles=merged(troubles, len(poll.workers))
        )

    def _ask_scheduler(self) -> None:
        here = software.describe_process()
        try:
            there = self._client.run_on_scheduler(eval, _DESCRIBE, _namespace())
        except Exception as problem:
            self._poll.add("scheduler", [silent(problem)])
            return
        self._poll.add("scheduler", software_troubles(here, there, scheduler=True))
        self._poll.add("scheduler", scheduler_troubles(there))
        self._poll.add("scheduler", silence_troubles(there))

    def _ask_software(self) -> None:
        here, poll = software.describe_process(), self._poll
        began = time.time()
        self._facts = poll.ask(list(poll.workers), eval, _DESCRIBE, _namespace())
        ended = time.time()
        for worker, there in self._facts.items():
            poll.add(worker, software_troubles(here, there))
            poll.add(worker, silence_troubles(there))
            poll.add(worker, process_troubles(here, there, poll.workers[worker], began, ended))

    def _set_up(self) -> None:
        poll = self._poll
        try:
            prepare_workers(self._client)
        except Exception as problem:
            poll.add("workers", [silent(problem)])
            return
        for worker, probe in poll.ask(list(poll.workers), probes.probe_process).items():
            poll.add(worker, setup_troubles(probe))

    def _host(self, worker: str) -> str:
        return f"{self._facts[worker]['host']} {self._poll.workers[worker]['host']}"

    def _hosts(self, free: Facts) -> Iterable[HostState]:
        hosts: dict[str, HostState] = {}
        for worker, facts in self._facts.items():
            info, key = self._poll.workers[worker], self._host(worker)
            host = hosts.get(key) or HostState(
                name=facts["host"],
                address=info["host"],
                workers=0,
                threads=0,
                cores=facts["cores"],
                memory=facts["memory"],
                free=free.get(key),
            )
            hosts[key] = replace(
                host, workers=host.workers + 1, threads=host.threads + info["nthreads"]
            )
        return hosts.values()


def _namespace() -> dict[str, Any]:
    return {"source": inspect.getsource(software), "namespace": {}}


def samples_of(source: str) -> list[str]:
    """A file of a source, to be looked for by others; none where it has none.

    Raises:
        SourceError: it is no folder, or can't be listed.
        StorageUnavailable: it is in a storage that does not answer.
    """
    if not is_url(source):
        require_images_folder(source)
        source = os.path.abspath(source)
    place = locate(source)
    try:
        first = next(_files_below(place), None)
    except OSError as error:
        require_answer(place, error, "source: can't be listed")
        raise SourceError(f"source: can't be listed: {reason_and_file(error)}") from None
    return [] if first is None else [source.rstrip("/") + first]


def _files_below(folder: Path) -> Iterator[str]:
    """What is to be read in a folder and below, folder by folder, by the rest of its path."""
    visible = (entry for entry in folder.iterdir() if not entry.name.startswith("."))
    for entry in sorted(visible, key=lambda entry: entry.name):
        if entry.is_dir():
            yield from (f"/{entry.name}{below}" for below in _files_below(entry))
        elif entry.is_file():
            yield f"/{entry.name}"
