"""Check a cluster before the work begins, and wait for its workers."""

from __future__ import annotations

import contextlib
import inspect
import logging
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from distributed import Client, LocalCluster

from prep.errors import ClusterError, SourceError
from prep.execution.attendance import no_workers, number_of_workers, patience_for_workers
from prep.execution.clusters.jobqueue import describe_jobs, describe_rejected, require_jobs
from prep.execution.clusters.plugins import prepare_workers
from prep.execution.preflight import probes, rules, software
from prep.execution.preflight.poll import Poll
from prep.execution.preflight.rules import ClusterCheck, Facts, HostState
from prep.execution.preflight.shared_files import Sharing
from prep.sources.layouts.base import Place
from prep.storage.locate import absolute, locate
from prep.storage.location import Location
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
    """Raise ClusterError if a run would fail on its cluster; warn of what would cost time.

    Workers that this process has started on this machine are like it, and are not asked.

    Args:
        readable: files that all workers must be able to read, and see as they are here.
        writable: folder that all workers must be able to write to.

    Raises:
        ClusterError: the run would fail, or there are no workers.
    """
    if isinstance(client.cluster, LocalCluster):
        return
    await_worker(client)
    found = check_cluster(client, readable=readable, writable=writable)
    for finding in found.warnings:
        _LOGGER.warning("prep: %s", finding)
    if found.errors:
        raise ClusterError(
            "the cluster is not fit for this run (prep cluster check says more):",
            *(one_line(str(finding)) for finding in found.errors),
        )


def await_worker(client: Client, patience: float | None = None) -> None:
    """Wait for a first worker. A task gives an adaptive cluster a reason to start one.

    The worker may be busy with the tasks of others: then a run waits for its turn.

    Args:
        patience: seconds to wait at most; by default, Dask's setting ``prep.wait-for-workers``.

    Raises:
        ClusterError: no worker came, or none will come.
    """
    patience = patience_for_workers() if patience is None else patience
    began = time.monotonic()
    task = client.submit(os.getpid, pure=False)
    say = _SAID_AFTER
    try:
        while not (task.done() or number_of_workers(client)):
            require_jobs(client.cluster)
            waited = time.monotonic() - began
            if patience is not None and waited > patience:
                raise ClusterError(no_workers(patience, client.cluster))
            if waited > say:
                state = "; ".join(["waiting for workers", *describe_jobs(client.cluster)])
                _LOGGER.warning("prep: %s; Ctrl-C stops", state)
                say *= _SAID_AGAIN
            time.sleep(0.05)
    finally:
        task.release()


def await_workers(client: Client, number: int, patience: float) -> None:
    """Give workers time to come before a check, which reports it if there are none.

    Args:
        number: number of workers to wait for.
        patience: seconds to wait for the others, once the first has come.
    """
    with contextlib.suppress(ClusterError):
        await_worker(client)
        with contextlib.suppress(TimeoutError):
            client.wait_for_workers(number, timeout=patience)


def check_cluster(
    client: Client,
    *,
    readable: Sequence[str] = (),
    writable: str | None = None,
    workers: int | None = None,
) -> ClusterCheck:
    """Return what is wrong with a cluster for a run, and what to do about it.

    Args:
        readable, writable: as for :func:`require_fit`.
        workers: number of workers that there should be, if known.
    """
    return _Check(client).carry_out(readable, writable, workers)


class _Check:
    """A check of all processes of a cluster."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._poll = Poll(client)
        self._facts: dict[str, Facts] = {}

    def carry_out(
        self, readable: Sequence[str], writable: str | None, workers: int | None
    ) -> ClusterCheck:
        poll = self._poll
        cluster, there = self._client.cluster, len(poll.workers)
        poll.add("scheduler", rules.check_number_of_workers(there, workers, describe_jobs(cluster)))
        rejected = describe_rejected(cluster)
        if there and rejected is not None:  # Without workers, that finding says it.
            remedy = "correct that in the cluster file, or ask for fewer workers"
            poll.add("batch system", [rules.warning(rejected, remedy)])
        self._ask_scheduler()
        self._ask_software()
        sharing = Sharing(poll, {worker: self._host(worker) for worker in self._facts})
        if not poll.has_errors:  # Or else there may be nobody who could look.
            self._set_up()
            sharing.look(readable, writable)
        names = {w: f"{w} on {facts['host']}" for w, facts in self._facts.items()}
        findings = {names.get(process, process): found for process, found in poll.findings.items()}
        return ClusterCheck(
            hosts=tuple(self._hosts(sharing.free)),
            findings=rules.merged(findings, len(poll.workers)),
        )

    def _ask_scheduler(self) -> None:
        here = software.describe_process()
        try:
            there = self._client.run_on_scheduler(eval, _DESCRIBE, _namespace())
        except Exception as problem:
            self._poll.add("scheduler", [rules.not_answering(problem)])
            return
        self._poll.add("scheduler", rules.compare_software(here, there, scheduler=True))
        self._poll.add("scheduler", rules.check_scheduler(there))
        self._poll.add("scheduler", rules.check_timeout(there))

    def _ask_software(self) -> None:
        here, poll = software.describe_process(), self._poll
        began = time.time()
        self._facts = poll.ask(list(poll.workers), eval, _DESCRIBE, _namespace())
        ended = time.time()
        for worker, there in self._facts.items():
            poll.add(worker, rules.compare_software(here, there))
            poll.add(worker, rules.check_timeout(there))
            poll.add(worker, rules.check_process(here, there, poll.workers[worker], began, ended))

    def _set_up(self) -> None:
        poll = self._poll
        try:
            prepare_workers(self._client)
        except Exception as problem:
            poll.add("workers", [rules.not_answering(problem)])
            return
        for worker, probe in poll.ask(list(poll.workers), probes.probe_process).items():
            poll.add(worker, rules.check_setup(probe))

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
    """Return a file of a source for workers to read; none if the source is an empty folder.

    Args:
        source: the path or URL of a folder, or of a file: an archive or a list.

    Raises:
        SourceError: the source is missing, or can't be listed.
        StorageUnavailable: its storage does not answer.
    """
    source = absolute(source)
    if not is_url(source):
        Place.at(source)
    place = locate(source)
    try:
        if place.is_file():
            return [source]
        first = next(_files_below(place), None)
    except OSError as error:
        place.require_answer(error, "source: can't be listed")
        raise SourceError(f"source: can't be listed: {reason_and_file(error)}") from None
    return [] if first is None else [source.rstrip("/") + first]


def _files_below(folder: Location) -> Iterator[str]:
    """Yield the paths of files below a folder, relative to it and with a leading slash."""
    visible = (entry for entry in folder.iterdir() if not entry.name.startswith("."))
    for entry in sorted(visible, key=lambda entry: entry.name):
        if entry.is_dir():
            yield from (f"/{entry.name}{below}" for below in _files_below(entry))
        elif entry.is_file():
            yield f"/{entry.name}"
