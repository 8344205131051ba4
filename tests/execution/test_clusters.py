"""Clusters from files: configuration of their processes, access, start and close."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import errno
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dask.config
import psutil
import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from distributed import Client, Future, Security, Worker, WorkerPlugin
from distributed.comm import connect
from distributed.deploy.cluster import Cluster

import prep
from prep.errors import ClusterError, ConfigError
from prep.execution.clusters import connect as clusters
from prep.execution.clusters import plugins
from prep.execution.clusters.connect import cause, not_started
from prep.execution.clusters.deployments import deployment_of
from prep.execution.clusters.plugins import mounts_of
from prep.execution.clusters.spec import ClusterSpec
from prep.execution.dask import DaskExecutor
from prep.execution.executor import Tasks
from prep.execution.workarounds import configured, require_listener
from prep.execution.writing import write_serially
from prep.monitoring.noise import quietly
from prep.operations.outlook import plan
from prep.output.journal import Journal
from prep.shards import writer as shards_module
from prep.shards.writer import RunRef
from tests.support.clusters import Terminal, contents, run_prep, wait_until
from tests.support.foreign import foreign_cluster
from tests.support.pictures import write_tree

LOCAL: dict[str, Any] = {
    "version": 1,
    "module": "dask.distributed",
    "class": "LocalCluster",
    "kwargs": {
        "threads_per_worker": 1,
        "host": "127.0.0.1",
        "dashboard_address": "127.0.0.1:0",
    },
}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "photos", {"train": {"cat": 40, "dog": 20}})


def config(source: Path, output: Path, **more: Any) -> prep.Config:
    return prep.Config(source=source, output=output, size=32, images_per_shard=5, **more)


def shards(output: Path) -> dict[str, bytes]:
    return contents(output, "*/*.tfrecord")


def file_of(folder: Path, value: Mapping[str, Any]) -> Path:
    path = folder / "cluster.yaml"
    path.write_text(yaml.safe_dump(dict(value)))
    return path


def spec_of(**changes: Any) -> ClusterSpec:
    return ClusterSpec.model_validate({**LOCAL, **changes})


# What reaches the workers


def configuration_of(text: str) -> Any:
    """Return what Dask would take from the variable that workers start with."""
    (line,) = [line for line in text.splitlines() if "DASK_INTERNAL_INHERIT_CONFIG=" in line]
    value = line.partition("=")[2]
    return dask.config.collect(paths=[], env={"DASK_INTERNAL_INHERIT_CONFIG": value})


class Recorded(Exception):
    """The arguments of a call of a cluster class."""


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> Any:
    def called(path: str, spec: ClusterSpec, workers: int | None = None) -> dict[str, Any]:
        class Recording(Cluster):
            def __init__(self, *_: Any, **kwargs: Any) -> None:
                raise Recorded(kwargs)

        monkeypatch.setattr(path, Recording)
        deployment = deployment_of(spec, workers)
        assert deployment.start is not None
        with pytest.raises(Recorded) as error, dask.config.set(deployment.config):
            deployment.start()
        kwargs: dict[str, Any] = error.value.args[0]
        return kwargs

    return called


def test_jobs_of_a_batch_system_inherit_the_configuration() -> None:
    pytest.importorskip("dask_jobqueue")
    spec = ClusterSpec.read(None, "slurm").model_copy(update={"workers": None})
    deployment = deployment_of(spec)
    assert deployment.start is not None
    with dask.config.set(deployment.config), contextlib.closing(deployment.start()) as cluster:
        script = cluster.job_script()
    inherited = configuration_of(script)
    environ = inherited["distributed"]["nanny"]["pre-spawn-environ"]
    # Upper case, which Dask's own variables can't give.
    assert environ == {
        "MALLOC_TRIM_THRESHOLD_": 134217728,
        "MALLOC_MMAP_THRESHOLD_": 33554432,
    }
    assert script.index("INHERIT_CONFIG") < script.index("dask_worker")
    assert "--nthreads 1" in script
    assert "--nworkers 4" in script


def test_pods_inherit_the_configuration(called: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("dask_kubernetes")
    monkeypatch.setenv("PREP_K8S_IMAGE", "images/prep")
    spec = ClusterSpec.read(None, "kubernetes")
    kwargs = called("dask_kubernetes.operator.KubeCluster", spec)
    (name, value), *_ = kwargs["env"].items()
    inherited = configuration_of(f"{name}={value}")
    assert inherited["distributed"]["scheduler"]["worker-saturation"] == 1.0
    assert kwargs["n_workers"] == 4
    listed = spec.model_copy(update={"kwargs": {"env": [{"name": "A", "value": "b"}]}})
    env = called("dask_kubernetes.operator.KubeCluster", listed)["env"]
    assert [entry["name"] for entry in env] == [name, "A"]


def test_a_number_of_workers_is_what_is_started(called: Any) -> None:
    start = "dask.distributed.LocalCluster"
    assert called(start, spec_of(workers=3))["n_workers"] == 3
    assert called(start, spec_of(workers=3), workers=2)["n_workers"] == 2
    assert called(start, spec_of(adapt={"minimum": 1, "maximum": 4}))["n_workers"] == 1
    assert "n_workers" not in called(start, spec_of())


@pytest.mark.parametrize(
    ("changes", "workers", "named"),
    [
        ({"class": "SSHCluster"}, 2, "worker_options.n_workers"),
        ({"class": "SSHCluster", "adapt": {"maximum": 2}}, None, "worker_options.n_workers"),
        ({"class": "SSHCluster", "security": {"temporary": True}}, None, "temporary"),
        (
            {"class": "NoSuchCluster"},
            None,
            "class: got 'NoSuchCluster' of dask.distributed: there is no",
        ),
        ({"class": "LocalClustr"}, None, "expected LocalCluster"),
        ({"class": "Client"}, None, "not a cluster class"),
        ({"class": "worker_client"}, None, "not a cluster class"),
        ({"kwargs": {"thread_per_worker": 1}}, None, "did you mean threads_per_worker"),
        (
            {"module": "dask_jobqueue", "class": "SLURMCluster", "security": {"temporary": True}},
            None,
            "kwargs.shared_temp_directory",
        ),
        (
            {"kwargs": {"threads_per_worker": "two"}},
            None,
            "kwargs.threads_per_worker: got 'two'; expected a whole number of at least 1",
        ),
        ({"kwargs": {"n_workers": True}}, None, "kwargs.n_workers: got true; expected a whole"),
        ({"module": "dask_nonesuch"}, None, "is its package installed"),
        (
            {"module": "distributed.deploy.cluster", "class": "Cluster"},
            None,
            "not a cluster class",
        ),
        ({}, 0, "at least 1"),
        (
            {"security": {"ca_file": "/none.pem", "client": {"cert": "/none.pem"}}},
            None,
            "PEM file, found none: '/none.pem'",
        ),
    ],
)
def test_what_can_not_be_started_is_told_before_anything_is(
    changes: dict[str, Any], workers: int | None, named: str
) -> None:
    with pytest.raises(ConfigError, match=named):
        deployment_of(spec_of(**changes), workers)


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        (
            "distributed.comm.timeouts.connect: soon",
            6,
            "config.distributed.comm.timeouts.connect: got 'soon'; expected a time, such as 30s",
        ),
        (
            "distributed: {comm: {timeouts: {\n    connect: 5 parsecs}}}",
            7,
            "config.distributed.comm.timeouts.connect: got '5 parsecs'; expected a time, such as",
        ),
        ("distributed.admin.tick.interval: [1]", 6, "got [1]; expected a time, such as 20ms"),
        ("prep.wait-for-workers: later", 6, "got 'later'; expected a time, such as 30 minutes"),
        ("distributed.comm.timeouts.connect: 5", None, ""),
        ("prep.wait-for-workers: null", None, ""),
        ("distributed.comm.default-scheme: soon", None, ""),
    ],
)
def test_a_time_that_is_none_is_told_with_its_line(
    tmp_path: Path, text: str, line: int | None, told: str
) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text(
        "version: 1\nmodule: dask.distributed\nclass: LocalCluster\n"
        f"kwargs: {{host: 127.0.0.1}}\nconfig:\n  {text}\n"
    )
    spec = ClusterSpec.read(file)
    if line is None:
        assert deployment_of(spec).start is not None
        return
    with pytest.raises(ConfigError) as error:
        deployment_of(spec)
    assert f"cluster.yaml, line {line}: config." in str(error.value)
    assert told in str(error.value)


def of_its_own_mind(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package with a cluster, that handles Ctrl-C itself as soon as it is loaded."""
    text = "import signal, sys; from distributed import LocalCluster\n"
    text += "for number in (signal.SIGINT, signal.SIGTERM):\n"
    text += "    signal.signal(number, lambda *_: sys.exit())\n"  # As dask-jobqueue does.
    (folder / "of_its_own_mind.py").write_text(text)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "of_its_own_mind", raising=False)
    return "of_its_own_mind"


def test_a_package_that_handles_ctrl_c_itself_does_not_when_it_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = of_its_own_mind(tmp_path, monkeypatch)
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    assert deployment_of(spec_of(module=module)).start is not None
    assert module in sys.modules
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_it_can_be_loaded_in_a_thread_that_may_handle_no_signals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = of_its_own_mind(tmp_path, monkeypatch)
    before = signal.signal, signal.getsignal(signal.SIGINT)
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(deployment_of, spec_of(module=module)).result().start is not None
    assert module in sys.modules
    assert (signal.signal, signal.getsignal(signal.SIGINT)) == before


def test_a_cluster_that_is_there_is_told_from_one_that_is_started(tmp_path: Path) -> None:
    there = ClusterSpec.model_validate({"version": 1, "address": "tcp://127.0.0.1:1"})
    with pytest.raises(ConfigError, match="workers"):
        deployment_of(there, 2)
    lost = {"version": 1, "scheduler_file": str(tmp_path / "none.json")}
    with pytest.raises(ConfigError, match=r"no such file: .*none\.json"):
        deployment_of(ClusterSpec.model_validate(lost))
    temporary = {**there.model_dump(exclude_none=True), "security": {"temporary": True}}
    with pytest.raises(ConfigError, match="ca_file and client"):
        deployment_of(ClusterSpec.model_validate(temporary))


@pytest.mark.parametrize(
    "content", ['{"address": "tcp:', '{"type": "Scheduler"}', "[]", '{"address": 1}']
)
def test_a_broken_scheduler_file_is_told_and_no_other_scheduler_taken(
    content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", "tcp://127.0.0.1:1")
    (tmp_path / "s.json").write_text(content)
    spec = file_of(tmp_path, {"version": 1, "scheduler_file": str(tmp_path / "s.json")})
    expected = r"cluster\.yaml, line 1: scheduler_file: .*address.*s\.json"
    with pytest.raises(ConfigError, match=expected), prep.cluster(spec):
        pass


def test_no_function_of_dasks_packages_is_called(tmp_path: Path) -> None:
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'done')!r}, 'w')")
    spec = {"version": 1, "module": "distributed.utils", "class": "import_file"}
    file = file_of(tmp_path, {**spec, "args": [str(tmp_path / "evil.py")]})
    expected = r"class: got 'import_file' of .*not a cluster class"
    with pytest.raises(ConfigError, match=expected), prep.cluster(file):
        pass
    assert not (tmp_path / "done").exists()


def test_what_can_not_be_called_is_no_cluster_even_in_a_file_that_is_trusted(
    tmp_path: Path,
) -> None:
    file = file_of(tmp_path, {"version": 1, "module": "os", "class": "getcwd"})
    expected = "class: got 'getcwd' of os: it is not a cluster class"
    with pytest.raises(ConfigError, match=expected), prep.cluster(file, trust=True):
        pass


def test_what_a_cluster_does_not_find_is_told_without_advice_about_memory(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # It does not listen.
        options = {"port": closed.getsockname()[1], "known_hosts": None}
        kwargs = {"hosts": ["127.0.0.1"], "connect_options": options}
        spec = {"version": 1, "module": "dask.distributed", "class": "SSHCluster"}
        file = file_of(tmp_path, {**spec, "kwargs": kwargs})
        refused = pytest.raises(ClusterError, match=r"Connect call failed .*; check the hosts")
        with refused as error, prep.cluster(file):
            pass
    assert "memory" not in str(error.value)


def test_a_machine_that_is_full_is_told() -> None:
    spec = spec_of(kwargs={"threads_per_worker": 1})
    full = OSError(errno.ENOSPC, "No space left on device")
    told = {str(not_started(error, spec)) for error in (full, MemoryError("none"))}
    assert all("make sure that there is memory" in line for line in told)
    blamed = not_started(TypeError("unexpected keyword argument 'a'"), spec)
    assert isinstance(blamed, ConfigError)
    assert "kwargs" in str(blamed)
    assert "memory" not in str(blamed)


@pytest.mark.slow
def test_pods_without_credentials_are_told_in_one_line(tmp_path: Path) -> None:
    pytest.importorskip("dask_kubernetes")
    done = run_prep(
        "cluster",
        "check",
        "--profile",
        "kubernetes",
        cwd=tmp_path,
        HOME=str(tmp_path),
        KUBECONFIG=str(tmp_path / "none"),
        PREP_K8S_IMAGE="images/prep",
    )
    assert done.returncode == 1
    assert "profiles.kubernetes.kwargs: the cluster can't be started: ValueError" in done.stderr
    assert done.stderr.count("\n") == 1


def test_nested_configuration_leaves_what_dask_has_beside_it() -> None:
    spec = spec_of(config={"distributed": {"scheduler": {"worker-saturation": 1.0}}})
    with dask.config.set(deployment_of(spec).config):
        assert dask.config.get("distributed.scheduler.worker-saturation") == 1.0
        assert dask.config.get("distributed.scheduler.allowed-failures") is not None


def test_a_scheduler_that_does_not_answer_is_told(tmp_path: Path) -> None:
    spec = {"version": 1, "address": "tcp://127.0.0.1:1"}
    quickly = {"distributed.comm.timeouts.connect": "1s"}
    with (
        pytest.raises(
            ClusterError,
            match=r"tcp://127\.0\.0\.1:1 does not answer: Connection refused",
        ),
        prep.cluster(file_of(tmp_path, {**spec, "config": quickly})),
    ):
        pass


def test_a_refused_connection_is_not_waited_for_as_long_as_a_slow_one() -> None:
    begun = time.monotonic()
    patient = dask.config.set({"distributed.comm.timeouts.connect": "60s"})
    with patient, pytest.raises(ConnectionRefusedError):
        require_listener("tcp://127.0.0.1:1", seconds=0.3)
    assert time.monotonic() - begun < 50


def test_a_scheduler_that_takes_connections_and_says_nothing_is_not_waited_for_for_ever() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        dask.config.set({"distributed.comm.timeouts.connect": "300ms"}),
        pytest.raises(TimeoutError, match="says nothing"),
    ):
        require_listener(f"tcp://127.0.0.1:{silent.getsockname()[1]}")


def test_nothing_of_dask_logs_while_connections_are_closed() -> None:
    def levels() -> list[int]:
        names = ("distributed.client", "distributed.core", "tornado", "asyncio")
        return [logging.getLogger(name).getEffectiveLevel() for name in names]

    before = levels()
    with quietly():
        assert set(levels()) == {logging.CRITICAL}
    assert levels() == before


def test_clusters_of_several_threads_may_start_and_end_in_any_order() -> None:
    """Settings for the whole process go with the last cluster."""
    logger, before = (
        logging.getLogger("distributed"),
        dict(dask.config.get("distributed.comm.retry")),
    )
    level, filters = logger.level, list(warnings.filters)
    first, second, others = (contextlib.ExitStack() for _ in range(3))
    for block in (first, second):
        block.enter_context(quietly())
    first.enter_context(configured({"distributed.comm.retry.count": 5, "prep.new.name": 1}))
    second.enter_context(configured({"distributed.comm.retry.count": 7, "prep.new.name": 2}))
    others.enter_context(configured({"distributed.comm.retry.count": 8}))
    others.close()
    first.close()
    assert (logger.level, dask.config.get("prep.new.name")) == (logging.CRITICAL, 2)
    assert dask.config.get("distributed.comm.retry.count") == 7
    second.close()
    assert (logger.level, warnings.filters) == (level, filters)
    assert dask.config.get("distributed.comm.retry") == before
    assert dask.config.get("prep.new.name", None) is None


def test_the_most_telling_cause_is_told_and_never_nothing() -> None:
    refused = ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
    outer, inner = OSError("Timed out"), TimeoutError()
    outer.__cause__, inner.__cause__ = inner, asyncio.CancelledError()
    assert cause(outer) == "Timed out"
    inner.__cause__ = refused
    assert cause(outer) == "Connection refused"
    assert cause(asyncio.CancelledError()) == "CancelledError"


# Clients that are given


def test_a_client_that_can_do_nothing_is_refused(source: Path, tmp_path: Path) -> None:
    def refused(given: Any, named: str) -> None:
        with pytest.raises(ConfigError, match=named):
            prep.run(config(source, tmp_path / "out"), given)

    with prep.cluster(workers=1) as client:
        address = client.scheduler.address

        async def asynchronously() -> None:
            async with Client(address, asynchronous=True, set_as_default=False) as other:
                refused(other, "asynchronous=True")

        asyncio.run(asynchronously())
    refused(client, "closed")
    refused("tcp://127.0.0.1:8786", "got 'tcp://127.0.0.1:8786'; expected a Client")
    assert not (tmp_path / "out").exists()


# Places


def test_the_first_pattern_that_matches_a_host_counts() -> None:
    mounts = {
        "/data": {"gpu-*": "/mnt/data", "10.0.0.?": "/srv", "*.lab": "/lab"},
        "/other": {"cpu-1": "/o"},
    }
    assert mounts_of(mounts, ["GPU-7.lab", "GPU-7", "10.0.0.3"]) == {"/data": "/mnt/data"}
    assert mounts_of(mounts, ["cpu-1", "10.0.0.3"]) == {"/data": "/srv", "/other": "/o"}
    assert mounts_of(mounts, ["cpu-2", "10.0.0.33"]) == {}


@pytest.mark.slow
def test_hosts_see_source_and_output_where_they_are_mounted_there(
    source: Path, tmp_path: Path
) -> None:
    """The worker's process may not use the paths that the client uses: it sees others there."""
    there = tmp_path / "there"
    there.mkdir()
    (there / "photos").symlink_to(source)
    real = tmp_path / "real"
    real.mkdir()
    (there / "shards").symlink_to(real)
    alike = plan(config(source, tmp_path / "alike"))
    expected = prep.run(alike.config, workers=1)
    spec = {**LOCAL, "workers": 2, "mounts": {str(tmp_path / "here"): {"127.0.0.?": str(there)}}}
    # Of the client's paths, only the client knows anything.
    mounted = tmp_path / "here"
    mounted.mkdir()
    (mounted / "photos").symlink_to(source)
    (mounted / "shards").symlink_to(real)
    with prep.cluster(file_of(tmp_path, spec)) as client:
        opened = client.run(_opened_of, str(mounted / "photos"))
        assert set(opened.values()) == {str(there / "photos")}
        report = prep.run(config(mounted / "photos", mounted / "shards"), client)
        client.cluster.scale(3)  # It joins late.
        wait_until(lambda: len(client.scheduler_info(n_workers=-1)["workers"]) == 3)
        wait_until(lambda: set(client.run(_opened_of, str(mounted)).values()) == {str(there)})
    assert report.images["written"] == expected.images["written"] == 60
    assert shards(real) == shards(tmp_path / "alike")


def _opened_of(path: str) -> str:
    from prep.storage.locate import locate

    return str(locate(path))


@pytest.mark.slow
def test_workers_may_have_other_working_directories(source: Path, tmp_path: Path) -> None:
    """The paths of a command are relative to where it was given."""
    (tmp_path / "elsewhere").mkdir()
    with foreign_cluster(tmp_path / "elsewhere", workers=2) as address:
        spec = file_of(tmp_path, {"version": 1, "address": address})
        command = [str(Path(sys.executable).with_name("prep"))]
        made = ["run", "--source", "photos", "--output", "out", "--size", "32"]
        mean = ["mean", "-i", "photos", "-o", "mean.json"]
        for arguments in (made, mean, ["verify", "out"]):
            done = subprocess.run(
                [*command, *arguments, "--cluster", str(spec)],
                cwd=tmp_path,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
    assert (tmp_path / "out/report.json").exists()
    assert '"images": 60' in (tmp_path / "mean.json").read_text()


# Growing, shrinking, vanishing


class Noting(WorkerPlugin):
    """A plugin that makes each attempt at a shard take some time, and leave a note.

    Args:
        folder: for the notes.
        seconds: that each takes.
        first: number of shards that each worker begins before it waits for the file ``go``, which
            is to appear beside the folder.
    """

    name = "noting"

    def __init__(self, folder: Path, seconds: float, first: int) -> None:
        self._folder = folder
        self._seconds = seconds
        self._first = first

    def setup(self, worker: Worker) -> None:
        write = shards_module._ShardWriter.write

        def noted(writer: Any) -> Any:
            (self._folder / f"{writer._shard.index}.{uuid.uuid4().hex}").write_text(worker.address)
            if len(begun_by(self._folder, worker.address)) >= self._first:
                wait_until(self._folder.with_name("go").exists, 600)
            time.sleep(self._seconds)
            return write(writer)

        shards_module._ShardWriter.write = noted  # type: ignore[method-assign]


def attempts(folder: Path) -> Counter[str]:
    """Return how often each shard was begun."""
    return Counter(path.name.partition(".")[0] for path in folder.iterdir())


def begun_by(folder: Path, worker: str) -> set[str]:
    """The shards that a worker has begun."""
    return {p.name.partition(".")[0] for p in folder.iterdir() if p.read_text() == worker}


def workers_of(client: Client) -> dict[str, Any]:
    workers: dict[str, Any] = client.sync(client.scheduler.identity, n_workers=-1)["workers"]
    return workers


@pytest.mark.slow
def test_shards_are_written_once_while_a_cluster_grows_and_shrinks(
    source: Path, tmp_path: Path
) -> None:
    write_serially_to(tmp_path / "alone", source)
    growing = {"minimum": 0, "maximum": 3, "interval": "200ms", "target_duration": "1s"}
    spec = {**LOCAL, "adapt": {**growing, "wait_count": 2}}
    begun = tmp_path / "begun"
    begun.mkdir()
    with prep.cluster(file_of(tmp_path, spec)) as client:
        assert workers_of(client) == {}
        client.register_plugin(Noting(begun, 1.0, first=1))
        run = prep.start(config(source, tmp_path / "out"), client)
        wait_until(lambda: len(workers_of(client)) == 3)
        (tmp_path / "go").touch()
        report = run.result(120)
        wait_until(lambda: not workers_of(client))  # Nothing is left to do.
    assert report.images["written"] == 60
    assert shards(tmp_path / "out") == shards(tmp_path / "alone")
    assert attempts(begun) == dict.fromkeys(map(str, range(12)), 1)


@pytest.mark.slow
def test_workers_that_are_retired_or_killed_cost_what_they_were_at(
    source: Path, tmp_path: Path
) -> None:
    write_serially_to(tmp_path / "alone", source)
    begun = tmp_path / "begun"
    begun.mkdir()
    with prep.cluster(file_of(tmp_path, {**LOCAL, "workers": 3})) as client:
        client.register_plugin(Noting(begun, 1.0, first=2))
        pids = client.run(os.getpid)
        retired, killed, _ = pids
        run = prep.start(config(source, tmp_path / "out"), client)
        wait_until(lambda: len(begun_by(begun, killed)) >= 2 and len(begun_by(begun, retired)) >= 2)
        (tmp_path / "go").touch()
        client.retire_workers([retired])
        os.kill(pids[killed], signal.SIGKILL)
        report = run.result(120)
    again = {shard: times for shard, times in attempts(begun).items() if times > 1}
    assert report.images["written"] == 60
    assert shards(tmp_path / "out") == shards(tmp_path / "alone")
    assert len(attempts(begun)) == 12
    # What was under way is done again, once. What was finished is not, though its receipt is gone.
    assert len(again) <= 2
    assert set(again.values()) <= {2}
    assert set(again) <= begun_by(begun, retired) | begun_by(begun, killed)


@pytest.mark.slow
def test_a_run_whose_workers_are_all_gone_ends_and_is_gone_on_with(
    source: Path, tmp_path: Path
) -> None:
    begun = tmp_path / "begun"
    begun.mkdir()
    patience = {"prep.wait-for-workers": "3s"}
    with prep.cluster(file_of(tmp_path, {**LOCAL, "workers": 1, "config": patience})) as client:
        client.register_plugin(Noting(begun, 0.2, first=3))
        run = prep.start(config(source, tmp_path / "out"), client)
        wait_until(lambda: run.counters().shards >= 2)
        client.cluster.scale(0)
        wait_until(lambda: "no workers for" in repr(run) and "waiting for some" in repr(run))
        with pytest.raises(ClusterError, match=r"no workers for .* run the same command again"):
            run.result(60)
        with pytest.raises(ClusterError, match="no workers for"):
            prep.verify(tmp_path / "out", client)
        with pytest.raises(ClusterError, match="no workers for"):
            prep.mean_rgb(source, client)
        (tmp_path / "go").touch()
        client.cluster.scale(1)
        report = prep.run(config(source, tmp_path / "out"), client)
    assert report.resumed_shards >= 2
    assert report.images["written"] == 60


# Who may connect


def write_serially_to(output: Path, source: Path) -> None:
    """Without a cluster."""
    made = plan(config(source, output))
    journal = Journal(output)
    journal.begin(made)
    write_serially(
        made.shards,
        RunRef(output=str(output), digest=made.fingerprint.digest, run=uuid.uuid4().hex),
    )


def write_certificates(folder: Path) -> Path:
    """An authority and a certificate that it has signed: ``ca.pem``, ``cert.pem``, ``key.pem``."""
    folder.mkdir()
    authority, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    for name, subject, signed in (("ca", "authority", authority), ("cert", "host", key)):
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(_named(subject))
            .issuer_name(_named("authority"))
            .public_key(signed.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=5))
            .not_valid_after(now + datetime.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=name == "ca", path_length=None), critical=True)
            .sign(authority, hashes.SHA256())
        )
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        (folder / f"{name}.pem").write_bytes(pem)
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return folder


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def refuses(address: str, security: Security | None) -> bool:
    """Return whether the server there refuses to talk to a stranger."""

    async def talk() -> None:
        arguments = security.get_connection_args("client") if security else {}
        connection = await connect(address, timeout=3, **arguments)
        connection.abort()

    try:
        with ThreadPoolExecutor(1) as pool:  # A browser's loop may be running in this thread.
            pool.submit(lambda: asyncio.run(talk())).result()
    except (OSError, TypeError):  # The latter is Dask's for an address that wants certificates.
        return True
    return False


@pytest.mark.slow
def test_temporary_credentials_let_nobody_else_in(source: Path, tmp_path: Path) -> None:
    spec = {**LOCAL, "workers": 1, "security": {"temporary": True}}
    with prep.cluster(file_of(tmp_path, spec)) as client:
        address = client.scheduler.address
        assert address.startswith("tls://127.0.0.1:")
        assert all(worker.startswith("tls://127.0.0.1:") for worker in workers_of(client))
        report = prep.run(config(source, tmp_path / "out"), client)
        assert report.images["written"] == 60
        assert refuses(address, None)
        assert refuses(address.replace("tls", "tcp"), None)
        assert refuses(address, Security.temporary())  # Others than these.


@pytest.mark.slow
def test_a_scheduler_with_certificates_is_reached_with_certificates(
    source: Path, tmp_path: Path
) -> None:
    ours = write_certificates(tmp_path / "ours")
    theirs = write_certificates(tmp_path / "theirs")
    files = {name: str(ours / f"{name}.pem") for name in ("ca", "cert", "key")}
    flags = ["--tls-ca-file", files["ca"], "--tls-cert", files["cert"], "--tls-key", files["key"]]
    security = {
        "ca_file": files["ca"],
        "client": {"cert": files["cert"], "key": files["key"]},
    }
    with foreign_cluster(tmp_path, "--protocol", "tls", workers=1, both=flags) as address:
        assert address.startswith("tls://127.0.0.1:")
        spec = {"version": 1, "address": address, "security": security}
        report = prep.run(config(source, tmp_path / "out"), cluster=file_of(tmp_path, spec))
        assert report.images["written"] == 60
        quickly = {"distributed.comm.timeouts.connect": "3s"}
        for other, told in ((None, ", got none"), (theirs, "check address and certificates")):
            strange = {**spec, "config": quickly}
            del strange["security"]
            if other is not None:
                certificate = {"cert": str(other / "cert.pem"), "key": str(other / "key.pem")}
                strange["security"] = {"ca_file": str(other / "ca.pem"), "client": certificate}
            with (
                pytest.raises(ClusterError, match=told),
                prep.cluster(file_of(tmp_path, strange)),
            ):
                pass


@pytest.mark.parametrize(
    ("scheme", "told"),
    [
        ("tls", "expects certificates, got none"),
        (
            "ws",
            "check address and certificates",
        ),  # This one Dask closes itself, once nobody has answered.
    ],
)
def test_a_client_that_does_not_connect_leaves_nothing_behind(
    scheme: str, told: str, tmp_path: Path
) -> None:
    before = threading.enumerate()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        spec = {
            "version": 1,
            "address": f"{scheme}://127.0.0.1:{listener.getsockname()[1]}",
            "config": {"distributed.comm.timeouts.connect": "300ms"},
        }
        with (
            pytest.raises(ClusterError, match=told) as failure,
            prep.cluster(file_of(tmp_path, spec)),
        ):
            pass
    assert failure.value.__cause__ is not None  # It holds what the client's frames hold.
    wait_until(lambda: not [thread for thread in threading.enumerate() if thread not in before])


@pytest.mark.slow
def test_a_cluster_whose_scheduler_hangs_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugins, "_ANSWERS_WITHIN", 0.5)
    with foreign_cluster(tmp_path, workers=0) as address:
        open_cluster = contextlib.ExitStack()
        file = file_of(tmp_path, {"version": 1, "address": address})
        client = open_cluster.enter_context(prep.cluster(file))
        scheduler = psutil.Process(client.run_on_scheduler(os.getpid))
        scheduler.suspend()
        try:
            leaving = threading.Thread(target=open_cluster.close, daemon=True)
            leaving.start()
            leaving.join(20)
            assert not leaving.is_alive()
        finally:
            scheduler.resume()


@pytest.mark.usefixtures("ctrl_c_interrupts")
def test_ctrl_c_is_heard_while_a_scheduler_hangs_that_was_connected_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugins, "_ANSWERS_WITHIN", 0.5)

    def hang(client: Client, ask: Callable[[Client], Any] = clusters.install_page) -> None:
        suspended.append(psutil.Process(client.run_on_scheduler(os.getpid)))
        suspended[0].suspend()
        end = threading.Timer(30, suspended[0].resume)
        try:
            end.start()
            threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
            ask(client)
        except KeyboardInterrupt:
            interrupted.append(client)
            raise
        finally:
            end.cancel()

    suspended: list[psutil.Process] = []
    interrupted: list[Client] = []
    monkeypatch.setattr(clusters, "install_page", hang)
    with foreign_cluster(tmp_path, workers=0) as address:
        file = file_of(tmp_path, {"version": 1, "address": address})
        try:
            with pytest.raises(KeyboardInterrupt), prep.cluster(file):
                pass
        finally:
            for scheduler in suspended:
                scheduler.resume()
    assert interrupted  # And not told of it once the scheduler had answered.


@pytest.mark.slow
def test_ctrl_c_is_heard_while_a_scheduler_does_not_answer(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # It accepts, and says nothing.
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        patient = {"distributed.comm.timeouts.connect": "300s"}
        spec = file_of(tmp_path, {"version": 1, "address": address, "config": patient})
        with Terminal("cluster", "check", "--cluster", spec, cwd=tmp_path) as terminal:
            silent.settimeout(60)
            waiting, _ = silent.accept()
            with waiting:
                terminal.press(b"\x03")
                assert terminal.wait(120) == 130  # Dask would wait for 300 s.
            assert "Traceback" not in terminal.shown
            wait_until(lambda: terminal.processes() == [])


@pytest.mark.slow
def test_ctrl_c_is_heard_while_a_host_does_not_answer(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # An SSH server that says nothing.
        options = {"port": silent.getsockname()[1], "known_hosts": None, "login_timeout": 100}
        kwargs = {"hosts": ["127.0.0.1"], "connect_options": options}
        spec = {"version": 1, "module": "dask.distributed", "class": "SSHCluster", "kwargs": kwargs}
        file = file_of(tmp_path, spec)
        with Terminal("cluster", "check", "--cluster", file, cwd=tmp_path) as terminal:
            silent.settimeout(60)
            waiting, _ = silent.accept()
            with waiting:
                terminal.press(b"\x03")
                assert terminal.wait(60) == 130  # What it asks for would be waited for for 100 s.
            assert "Traceback" not in terminal.shown
            wait_until(lambda: terminal.processes() == [])


def test_everything_is_bound_to_this_machine_unless_asked() -> None:
    with prep.cluster(workers=1) as client:
        family = [psutil.Process(), *psutil.Process().children(recursive=True)]
        ports = {
            connection.laddr.ip
            for process in family
            for connection in process.net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN
        }
        assert client.scheduler.address.startswith("tcp://127.0.0.1:")
    assert ports <= {"127.0.0.1", "::1"}


@pytest.mark.parametrize("waiting", [False, True])
def test_a_scheduler_that_goes_while_a_result_is_fetched_is_told_in_a_line(
    waiting: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tasks that were done are lost, be it in the middle of the question for what they gave."""
    result, gather = Future.result, Client._gather

    def lost(future: Future, timeout: float | None = None) -> Any:
        if not waiting:
            future.cancel()
        return result(future, timeout=timeout)

    async def lost_meanwhile(client: Client, futures: list[Future], *args: Any, **kw: Any) -> Any:
        if waiting:
            await client._cancel(futures)
            raise asyncio.CancelledError
        return await gather(client, futures, *args, **kw)

    monkeypatch.setattr(Future, "result", lost)
    monkeypatch.setattr(Client, "_gather", lost_meanwhile)
    with Client(processes=False, n_workers=1, dashboard_address=":0") as client:
        errors: list[BaseException | None] = []
        tasks = Tasks(function=abs, items=[1, 2])
        DaskExecutor(client).run_tasks(tasks, lambda event: errors.append(event.error))
    assert isinstance(errors[-1], ClusterError)
    assert str(errors[-1]) == "the cluster's scheduler has gone; run the same command again"


def test_a_result_whose_question_is_given_up_is_asked_for_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Dask joins it to a question before that took too long, and is cancelled with that."""
    gather, asked = Client._gather, []

    async def given_up_once(client: Client, futures: list[Future], *args: Any, **kw: Any) -> Any:
        asked.append(futures)
        if len(asked) == 1:
            raise asyncio.CancelledError
        return await gather(client, futures, *args, **kw)

    monkeypatch.setattr(Client, "_gather", given_up_once)
    with Client(processes=False, n_workers=1, dashboard_address=":0") as client:
        found: list[int | None] = []
        tasks = Tasks(function=abs, items=[-1, -2])
        DaskExecutor(client).run_tasks(tasks, lambda event: found.append(event.result))
        assert sorted(filter(None, found)) == [1, 2]
    assert len(asked) == 3
