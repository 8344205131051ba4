"""Faults of Dask and its companions, reproduced without our workarounds.

A test that fails means that a fault is gone: take out its workaround, which the test names.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import runpy
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import dask
import pytest
from bokeh.protocol import Protocol
from bokeh.server.connection import ServerConnection
from bokeh.server.protocol_handler import ProtocolHandler
from distributed import Client, LocalCluster, SpecCluster, Status, Worker, WorkerPlugin
from distributed.dashboard.components.scheduler import TaskGroupGraph
from distributed.utils import LoopRunner, sync

from tests.support.clusters import wait_until


def local_cluster(**options: Any) -> LocalCluster:
    """Within this process."""
    within = {"processes": False, "protocol": "tcp", "host": "127.0.0.1"}
    return LocalCluster(**{**within, "n_workers": 0, "dashboard_address": ":0", **options})


@contextlib.contextmanager
def logged(*names: str) -> Iterator[list[str]]:
    """The warnings and errors of some loggers, without the filters that other tests leave there."""
    messages: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: messages.append(record.getMessage())  # type: ignore[method-assign]
    loggers = [logging.getLogger(name) for name in names]
    before = [(logger.filters, logger.level) for logger in loggers]
    for logger in loggers:
        logger.filters = []
        logger.setLevel(logging.WARNING)
        logger.addHandler(handler)
    try:
        yield messages
    finally:
        for logger, (filters, level) in zip(loggers, before, strict=True):
            logger.removeHandler(handler)
            logger.filters = filters
            logger.setLevel(level)


# prep.monitoring.noise


def test_a_cluster_that_can_not_start_logs_beside_its_error() -> None:
    """For ``quietly``."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            logged("distributed") as messages,
            pytest.raises(RuntimeError, match="failed to start"),
        ):
            local_cluster(scheduler_port=port)
    assert "Cluster closed without starting up" in messages


def test_a_port_that_is_taken_is_warned_of() -> None:
    """For ``quietly``: the progress display shows the port that the dashboard has."""
    with socket.create_server(("127.0.0.1", 0)) as taken, warnings.catch_warnings(record=True) as w:
        warnings.simplefilter("always")
        local_cluster(dashboard_address=f"127.0.0.1:{taken.getsockname()[1]}").close()
    assert any("is already in use" in str(each.message) for each in w)


def test_workers_log_what_the_client_is_told() -> None:
    """For ``QuietWorker``."""
    with local_cluster(n_workers=1) as cluster, Client(cluster) as client:
        with logged("distributed.worker", "distributed.worker.state_machine") as messages:
            client.submit(divmod, 1, 0).exception()
            running = client.submit(time.sleep, 0.5)
            wait_until(lambda: any(client.processing().values()))
            cluster.close()
        assert running.status == "cancelled"
    assert any(message.startswith("Compute Failed") for message in messages)
    assert any(message.endswith("CancelledError") for message in messages)


def test_a_closed_page_fails_an_assertion() -> None:
    """For ``silence_closed_pages``."""
    protocol = Protocol()
    connection = ServerConnection(protocol, MagicMock(), MagicMock(), MagicMock())
    connection.detach_session()
    message = protocol.create("PULL-DOC-REQ")
    with logged("bokeh.server.protocol_handler") as messages:
        asyncio.run(ProtocolHandler().handle(message, connection))
    assert any("AssertionError" in message for message in messages)


def test_groups_that_depend_on_each_other_have_no_layout() -> None:
    """For ``keep_layout_of_groups``."""
    one, other = (SimpleNamespace(name=name, dependencies=[]) for name in "ab")
    one.dependencies.append(other)
    other.dependencies.append(one)
    scheduler = SimpleNamespace(task_groups={group.name: group for group in (one, other)})
    with pytest.raises(KeyError):
        TaskGroupGraph.update_layout(SimpleNamespace(scheduler=scheduler))


# prep.execution.workarounds


def test_configuration_that_overlaps_stays_behind() -> None:
    """For ``configured``."""
    name = "distributed.comm.retry.count"
    with dask.config.set({name: dask.config.get(name)}):  # Restores it after the test.
        first, second = dask.config.set({name: 5}), dask.config.set({name: 7})
        first.__exit__(None, None, None)
        second.__exit__(None, None, None)
        assert dask.config.get(name) == 5


def test_bokeh_needs_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """For ``require_home``."""

    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    monkeypatch.delitem(sys.modules, "bokeh.settings")
    with pytest.raises(RuntimeError, match="home directory"):
        runpy.run_module("bokeh.settings")


def test_dask_jobqueue_takes_ctrl_c_when_it_is_imported() -> None:
    """For ``ignoring_signal_handlers``."""
    runner = pytest.importorskip("dask_jobqueue").runner.__file__
    before = signal.getsignal(signal.SIGINT)
    try:
        runpy.run_path(runner)
        with pytest.raises(SystemExit) as ended:
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
    assert ended.value.code is None
    with ThreadPoolExecutor(1) as thread, pytest.raises(ValueError, match="main thread"):
        thread.submit(runpy.run_path, runner).result()


def test_jobs_and_pods_do_not_get_the_configuration() -> None:
    """For ``inheriting``."""
    jobs = pytest.importorskip("dask_jobqueue")
    pods = pytest.importorskip("dask_kubernetes.operator")
    options = {"dashboard": False, "host": "127.0.0.1"}
    with dask.config.set({"distributed.comm.retry.count": 77}):
        spec = pods.make_cluster_spec(name="prep")
        with jobs.SLURMCluster(cores=1, memory="1GB", scheduler_options=options) as cluster:
            script = cluster.job_script()
    assert "INHERIT_CONFIG" not in script + str(spec)
    assert "--nworkers" in script or "--nthreads" in script


def test_rejected_jobs_are_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For ``tracking_jobs`` of ``prep.execution.clusters.jobqueue``."""
    jobs = pytest.importorskip("dask_jobqueue")
    sbatch = tmp_path / "sbatch"
    sbatch.write_text(f"#!/bin/sh\ntouch {tmp_path}/asked\nexit 1\n")
    sbatch.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    options = {"dashboard": False, "host": "127.0.0.1"}
    with logged("tornado.application") as messages:
        cluster = jobs.SLURMCluster(n_workers=1, cores=1, memory="1GB", scheduler_options=options)
        try:
            wait_until(lambda: (tmp_path / "asked").exists() and messages)
            assert cluster.status == Status.running
        finally:
            cluster.shutdown_on_close = False
            with contextlib.suppress(AssertionError):  # It has jobs that were never started.
                cluster.close()
    assert "Command exited with non-zero exit code" in messages[0]


def test_an_interrupted_start_leaves_a_cluster_open() -> None:
    """For ``start_or_close``."""

    class Interrupted(LocalCluster):
        def sync(self, function: Any, *args: Any, **kwargs: Any) -> Any:
            result = super().sync(function, *args, **kwargs)
            if not self.workers and self.status == Status.running and not stopped:
                stopped.append(self)
                raise KeyboardInterrupt
            return result

    stopped: list[Any] = []
    with pytest.raises(KeyboardInterrupt):
        Interrupted(n_workers=0, processes=False, dashboard_address=":0")
    (left,) = stopped
    try:
        assert left in SpecCluster._instances
        assert (left.status, left.shutdown_on_close) == (Status.running, True)
    finally:
        left.close()


def test_a_client_that_is_refused_leaves_a_thread() -> None:
    """For ``new_client``."""
    before = set(threading.enumerate())
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "50ms"}),
        pytest.raises(OSError, match="Timed out"),
    ):
        Client("tcp://127.0.0.1:1", set_as_default=False)
    (left,) = set(threading.enumerate()) - before
    assert left.is_alive()


def test_a_client_waits_for_a_silent_server_beyond_its_limit() -> None:
    """For ``require_listener``."""

    def connect(address: str) -> None:
        with contextlib.suppress(OSError):
            Client(address, set_as_default=False)

    with (
        dask.config.set({"distributed.comm.timeouts.connect": "50ms"}),
        socket.create_server(("127.0.0.1", 0)) as silent,
    ):
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        client = threading.Thread(target=connect, args=(address,), daemon=True)
        client.start()
        connection, _ = silent.accept()
        client.join(0.5)  # Ten times as long as it is to wait.
        assert client.is_alive()
        connection.close()
        client.join(30)


@pytest.mark.slow
def test_a_cluster_waits_for_busy_workers_when_it_closes() -> None:
    """For ``kill_workers``."""
    with (
        LocalCluster(n_workers=1, host="127.0.0.1", dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        asleep = client.submit(time.sleep, 100)
        wait_until(lambda: any(client.processing().values()))
        began = time.monotonic()
        with logged("distributed") as messages:
            cluster.close()
        assert time.monotonic() - began > 3
        assert asleep.status == "cancelled"
    assert any("still alive after" in message for message in messages)


def test_the_nanny_has_freed_memory_returned() -> None:
    """For ``tune_allocator``; what that costs is seen in ``test_checks``."""
    name = "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_"
    assert dask.config.get(name, config=dask.config.merge(*dask.config.defaults)) == 65536


def test_a_plugin_is_torn_down_before_its_successor_is_set_up() -> None:
    """For ``after_replacement``."""
    calls: list[str] = []

    class Named(WorkerPlugin):
        name = "named"

        def __init__(self, own: str) -> None:
            self.own = own

        def setup(self, worker: Worker) -> None:
            calls.append(f"setup {self.own}")

        def teardown(self, worker: Worker) -> None:
            calls.append(f"teardown {self.own}")

    async def replace(worker: Worker) -> None:
        await worker.plugin_add(Named("old"), name="named")
        await worker.plugin_add(Named("new"), name="named")

    with local_cluster(n_workers=1) as cluster:
        cluster.sync(replace, cluster.workers[0])
    assert calls[:3] == ["setup old", "teardown old", "setup new"]


def test_a_cancelled_request_has_no_result() -> None:
    """For ``result_of``."""

    async def cancelled() -> None:
        raise asyncio.CancelledError

    runner = LoopRunner()
    runner.start()
    try:
        with pytest.raises(UnboundLocalError):
            sync(runner.loop, cancelled)
    finally:
        runner.stop()
