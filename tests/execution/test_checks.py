"""The check of a cluster before a run: it finds what is wrong, and nothing else."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import pickle
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import dask
import pytest
import yaml
from distributed import Client, Event, wait

import prep
from prep.cli.exits import fail
from prep.errors import ClusterError, ConfigError
from prep.execution import dask as on_dask
from prep.execution import worker
from prep.execution.clusters.choice import ANY_CLUSTER
from prep.execution.clusters.plugins import leave_workers, mount_on_workers, prepare_workers
from prep.execution.clusters.session import usable_client
from prep.execution.preflight import checks, poll, probes, shared_files, software
from prep.execution.preflight.checks import await_worker, check_cluster, require_fit, samples_of
from prep.execution.preflight.rules import (
    check_process,
    check_scheduler,
    check_timeout,
    compare_software,
    merged,
)
from prep.execution.worker import WorkerSetup
from prep.monitoring.heartbeat import MISFITS
from prep.output.findings import Finding
from prep.storage.backends.grants import OPTIONS, grant
from prep.storage.locate import Access, Mounts, locate
from tests.support.clusters import contents, run_prep, wait_until
from tests.support.foreign import foreign_cluster
from tests.support.pictures import write_tree

HERE = software.describe_process()


def told(findings: Any) -> dict[str, str]:
    """Return the level of each finding."""
    return {finding.what: finding.level for finding in findings}


def with_version(name: str, version: str | None) -> dict[str, Any]:
    return {**HERE, "versions": {**HERE["versions"], name: version}}


# Facts


def test_the_facts_need_no_package_of_ours() -> None:
    """As text, as they are asked for, in a Python that has none of our libraries."""
    code = inspect.getsource(software) + "\nimport json; print(json.dumps(describe_process()))"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True
    )
    facts = json.loads(done.stdout)
    assert facts["versions"]["python"] == HERE["versions"]["python"]
    assert facts["versions"]["prep"] is None
    assert "ModuleNotFoundError" in facts["broken"]["opencv"]
    levels = told(compare_software(HERE, facts))
    assert any(what.startswith("prep can't be imported by") for what in levels)
    assert set(levels.values()) == {"error"}


def test_the_same_software_is_no_finding() -> None:
    assert list(compare_software(HERE, HERE)) == []
    assert {"prep", "opencv", "numpy", "dask", "distributed", "python"} <= HERE["versions"].keys()


@pytest.mark.parametrize(
    ("name", "version", "of_worker", "of_scheduler"),
    [
        # What changes bytes is an error where bytes are made.
        ("opencv", "4.0.0", "error", "warning"),
        ("simplejpeg", "1.0.0", "error", "warning"),
        ("cykooz-resizer", "1.0.0", "error", "warning"),
        ("numpy", "1.0.0", "error", "warning"),
        ("zlib", "1.1", "error", "warning"),
        # Ours is an error everywhere, for what is sent from one to the other may have changed.
        ("prep", "0.0.1", "error", "error"),
        # Dask talks to other versions of itself.
        ("dask", "2020.1.0", "warning", "warning"),
        # A patch of Python is little, another Python is not.
        ("python", HERE["versions"]["python"] + "0", "warning", "warning"),
        ("python", "3.2.1", "error", "error"),
        # What is not there at all.
        ("opencv", None, "error", "error"),
        ("prep", None, "error", "error"),
    ],
)
def test_another_version_is_as_bad_as_what_it_does(
    name: str, version: str | None, of_worker: str, of_scheduler: str
) -> None:
    there = with_version(name, version)
    (worker,) = compare_software(HERE, there)
    (scheduler,) = compare_software(HERE, there, scheduler=True)
    assert (worker.level, scheduler.level) == (of_worker, of_scheduler)
    assert name in worker.what
    assert str(version) in worker.what or version is None


def test_the_same_version_of_another_state_is_told() -> None:
    (finding,) = compare_software(HERE, {**HERE, "code": "0" * 64})
    assert finding.level == "warning"
    assert "other code" in finding.what


def test_what_is_odd_about_a_process_is_told() -> None:
    well = {"nthreads": 1, "nanny": "tcp://127.0.0.1:1"}
    at = HERE["time"]
    assert list(check_process(HERE, HERE, well, at - 1, at + 1)) == []
    late = list(check_process(HERE, HERE, well, at + 60, at + 61))
    early = list(check_process(HERE, HERE, well, at - 61, at - 60))
    what = "its clock is 60 s off: file times and certificates may be wrong, shards are not"
    assert told(late) == told(early) == {what: "warning"}
    odd = {"nthreads": 4, "nanny": None}
    other = {**HERE, "machine": "riscv64"}
    assert len(list(check_process(HERE, other, odd, at, at))) == 3


def test_settings_of_a_scheduler_that_cost_time_are_told() -> None:
    def of(saturation: object, failures: object) -> int:
        config = {"worker-saturation": saturation, "allowed-failures": failures}
        return len(list(check_scheduler({"config": config})))

    assert [of(1.0, 10), of(1.1, 3), of(None, None), of("inf", 10), of(1.0, 0)] == [0, 0, 0, 1, 1]


def test_too_little_patience_with_silence_is_told() -> None:
    def of(timeout: object) -> int:
        return len(list(check_timeout({"config": {"timeouts.tcp": timeout}})))

    (finding,) = check_timeout({"config": {"timeouts.tcp": "30s"}})
    assert finding.what.startswith("it will drop hosts that are cut off for 30 s, and end their w")
    assert finding.remedy == "start it with DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP=120s"
    assert [of("30s"), of(59), of("1 minute"), of("120s"), of(None), of("soon")] == [
        1,
        1,
        0,
        0,
        0,
        0,
    ]


def test_a_finding_of_many_processes_is_reported_once() -> None:
    one = Finding(level="warning", where="", what="slow", remedy="buy")
    other = Finding(level="error", where="", what="broken", remedy="repair it")
    found = merged({"a": [one], "b": [one, other], "c": [one]}, 3)
    assert [(t.level, t.where) for t in found] == [("error", "b"), ("warning", "all 3 workers")]
    everywhere = merged({"scheduler": [one], "a": [one], "b": [one]}, 2)
    assert [finding.where for finding in everywhere] == ["all 2 workers and the scheduler"]
    assert merged({"scheduler": [one], "a": [one]}, 2)[0].where == "scheduler, a"
    many = merged({f"w{i}": [one] for i in range(9)}, 20)
    assert many[0].where == "w0, w1, w2 and 6 more"


ALLOCATOR = """
from prep.execution.preflight.probes import keeps_memory
from prep.execution.workarounds import tune_allocator
print(keeps_memory())
tune_allocator()
print(keeps_memory())
"""


def test_a_process_that_hands_memory_back_is_told_and_cured() -> None:
    if "glibc" not in (os.confstr("CS_GNU_LIBC_VERSION") or ""):
        pytest.skip("only glibc's allocator can be told")
    done = subprocess.run(
        [sys.executable, "-c", ALLOCATOR],
        env={**os.environ, "MALLOC_TRIM_THRESHOLD_": "65536"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["False", "True"]


def test_each_finding_has_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    error = pickle.loads(pickle.dumps(ClusterError("it can't:", "a: broken\nname", "b: slow")))
    assert str(error) == "it can't:\n  a: broken\nname\n  b: slow"
    with pytest.raises(SystemExit):
        fail(error.summary, 1, error.findings)
    assert capsys.readouterr().err == "prep: it can't:\n  a: broken\\nname\n  b: slow\n"


# Clusters


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "photos", {"train": {"cat": 10}})


def config(source: Path, tmp_path: Path) -> prep.Config:
    return prep.Config(source=source, output=tmp_path / "out", size=32, images_per_shard=5)


def spec_file(folder: Path, address: str) -> Path:
    (folder / "cluster.yaml").write_text(yaml.safe_dump({"version": 1, "address": address}))
    return folder / "cluster.yaml"


def preload(folder: Path, code: str) -> dict[str, str]:
    """An environment in which each Python runs some code first."""
    (folder / "first").mkdir(exist_ok=True)
    (folder / "first/sitecustomize.py").write_text(code)
    return {"PYTHONPATH": str(folder / "first")}


# The package is as if it had not been installed.
ABSENT = """
import sys
class Absent:
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] == "prep":
            raise ModuleNotFoundError("No module named 'prep'")
sys.meta_path.insert(0, Absent)
"""


def test_workers_that_were_started_here_are_asked_nothing(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(*_: Any, **__: Any) -> None:
        raise AssertionError("it was asked")

    monkeypatch.setattr(checks, "check_cluster", asked)
    monkeypatch.setattr(checks, "await_worker", asked)
    require_fit(client, readable=["/photos/none.jpg"], writable="/none")


def test_a_cluster_that_is_well_has_no_findings(client: Client, source: Path) -> None:
    output = source.parent / "new/out"
    found = check_cluster(client, readable=samples_of(str(source)), writable=str(output))
    assert found.findings == ()
    (host,) = found.hosts
    assert (host.workers, host.threads) == (2, 2)
    assert host.free is not None
    assert not output.parent.exists()  # Nothing is left behind.


def test_workers_that_did_not_come_are_told_of(client: Client) -> None:
    (finding,) = check_cluster(client, workers=3).warnings
    assert finding.what == "2 of 3 workers have connected; a run begins with these"
    assert check_cluster(client, workers=2).findings == ()


def test_a_folder_without_images_is_passed_over_for_one_to_look_at(tmp_path: Path) -> None:
    write_tree(tmp_path / "photos", {"train": {"dog": 1}})
    (tmp_path / "photos/train/cat").mkdir()
    os.mkfifo(tmp_path / "photos/a-pipe")
    (sample,) = samples_of(str(tmp_path / "photos"))
    assert Path(sample).parent == tmp_path / "photos/train/dog"
    assert Path(sample).is_file()
    (tmp_path / "empty").mkdir()
    assert samples_of(str(tmp_path / "empty")) == []


def test_of_an_archive_the_beginning_and_the_size_are_compared(tmp_path: Path) -> None:
    archive, other = tmp_path / "photos.tar", tmp_path / "other.tar"
    archive.write_bytes(bytes(5 << 20))
    other.write_bytes(bytes(6 << 20))
    assert samples_of(str(archive)) == [str(archive)]
    one, another = probes.read_digests([str(archive), str(other)])
    assert one.endswith(" of 5242880 bytes")
    assert probes.is_digest(one)
    assert one != another
    (beginning,) = {digest.partition(" of ")[0] for digest in (one, another)}
    assert beginning == probes.digest_of(bytes(4 << 20))


def test_a_check_leaves_nothing_where_a_host_has_no_such_folder(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_files, "_SEEN_WITHIN", 0.1)
    output, there = str(tmp_path / "here/out"), tmp_path / "there/out"
    mount_on_workers(client, {output: {"*": str(there)}})
    try:
        found = check_cluster(client, writable=output)
    finally:
        leave_workers(client)
        wait_until(lambda: found_by(client, output) == {output})
    assert any("does not see what it writes" in finding.what for finding in found.errors)
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_the_check_refuses_changes_nothing(
    source: Path, tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    prep.run(config(source, tmp_path), client)
    before = contents(tmp_path / "out")

    def refuse(*_: Any, **__: Any) -> None:
        raise ClusterError("it lacks everything")

    monkeypatch.setattr(on_dask, "require_fit", refuse)
    with pytest.raises(ClusterError):
        prep.run(config(source, tmp_path), client, overwrite=True)
    assert contents(tmp_path / "out") == before
    with pytest.raises(ClusterError):
        prep.run(config(source, tmp_path / "new"), client)
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
def test_a_worker_that_does_not_answer_is_told(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poll, "_ANSWERS_WITHIN", 2.0)
    with prep.cluster(workers=1) as client:
        (pid,) = client.run(os.getpid).values()
        os.kill(pid, signal.SIGSTOP)
        try:
            found = check_cluster(client)
        finally:
            os.kill(pid, signal.SIGCONT)
    (finding,) = found.errors
    assert "does not answer" in finding.what


@pytest.mark.parametrize("text", ["soon", "[1]"])
def test_a_time_to_wait_that_is_none_is_told(text: str, client: Client, tmp_path: Path) -> None:
    with (
        dask.config.set({"prep.wait-for-workers": text}),
        pytest.raises(ConfigError, match=r"prep\.wait-for-workers: got"),
    ):
        await_worker(client)


@pytest.mark.slow
@pytest.mark.parametrize("lacking", ["worker", "scheduler"])
def test_where_the_package_is_absent_that_is_said(
    lacking: str, source: Path, tmp_path: Path
) -> None:
    environ = preload(tmp_path, ABSENT)
    which = "environ" if lacking == "worker" else "scheduler_environ"
    with foreign_cluster(tmp_path, **{which: environ}) as address:
        file = spec_file(tmp_path, address)
        with pytest.raises(ClusterError) as error:
            prep.run(config(source, tmp_path), cluster=file)
        done = run_prep("cluster", "check", "--cluster", file)
    where = "scheduler" if lacking == "scheduler" else "127.0.0.1"
    said = r": prep can't be imported by \S+ \(ModuleNotFoundError: No module"
    assert re.search(f"{where}.*{said}", str(error.value))
    assert done.returncode == 1
    assert "error: " in done.stdout
    assert "install prep" in done.stdout
    assert not (tmp_path / "out/train/train-00000-of-00002.tfrecord").exists()


@pytest.mark.slow
def test_other_codecs_are_an_error_before_anything_is_written(source: Path, tmp_path: Path) -> None:
    other = preload(tmp_path, "import cv2; cv2.__version__ = '3.4.0'")
    with foreign_cluster(tmp_path, environ=other) as address:
        done = run_prep(
            *("run", "--source", source, "--output", tmp_path / "out", "--size", "32"),
            *("--cluster", spec_file(tmp_path, address)),
        )
    assert done.returncode == 1
    head, line = done.stderr.splitlines()[-2:]
    assert head == "prep: the cluster is not fit for this run (prep cluster check says more):"
    assert "opencv is 3.4.0 there, " in line
    assert "the shards would differ" in line
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_worker_of_other_codecs_that_joins_late_leaves_the_work_to_others(
    source: Path, tmp_path: Path
) -> None:
    with prep.cluster(workers=2) as client:
        misfit, fit = client.scheduler_info()["workers"]
        client.run(pretend, {"cv2": "3.4.0"}, workers=[misfit])  # It is not asked beforehand.
        report = prep.run(config(source, tmp_path), client)
        assert report.images["written"] == report.images["planned"]
        wait_until(lambda: list(client.scheduler_info()["workers"]) == [fit])


@pytest.mark.slow
def test_where_all_workers_are_of_other_codecs_that_is_said(source: Path, tmp_path: Path) -> None:
    with prep.cluster(workers=1) as client, dask.config.set({"prep.wait-for-workers": "1s"}):
        client.run(pretend, {"cv2": "3.4.0"})
        with pytest.raises(ClusterError, match=r"opencv 3\.4\.0 on .*, planned with.*no workers"):
            prep.run(config(source, tmp_path), client)
    assert list((tmp_path / "out").glob("*/*.tfrecord")) == []


@pytest.mark.slow
@pytest.mark.parametrize("unseen", ["photos", "out"])
def test_a_worker_that_does_not_see_the_files_leaves_the_work_to_others(
    source: Path, tmp_path: Path, unseen: str
) -> None:
    with prep.cluster(workers=2) as client:
        misfit, fit = client.scheduler_info()["workers"]
        folder = str(tmp_path / unseen)
        client.run(lose, folder, str(tmp_path / "nowhere"), workers=[misfit])
        report = prep.run(config(source, tmp_path), client)
        assert report.images["written"] == report.images["planned"]
        wait_until(lambda: list(client.scheduler_info()["workers"]) == [fit])
        (why,) = (event for _, event in client.get_events(MISFITS))
        assert folder in why
        assert "mounts" in why


def lose(folder: str, elsewhere: str) -> None:
    """Make this process look for a folder elsewhere, with a short wait."""
    Mounts.of({folder: elsewhere}).apply("the test")
    worker._SEEN_WITHIN = 0.5


def pretend(versions: Mapping[str, str]) -> None:
    """Pretend, in the process that runs this, that a library has another version."""
    for name, version in versions.items():
        importlib.import_module(name).__version__ = version


Breaking = Callable[[Path], Mapping[str, str]]


def not_shared(there: Path) -> Mapping[str, str]:
    """Give this host a folder of its own under that path."""
    (there / "out").mkdir()
    return {"out": str(there / "out")}


def not_writable(there: Path) -> Mapping[str, str]:
    """A file is where the folder is to be."""
    (there / "out").write_text("")
    return {"out": str(there / "out")}


def not_there(there: Path) -> Mapping[str, str]:
    return {"photos": str(there / "photos")}


def other_photos(there: Path) -> Mapping[str, str]:
    write_tree(there / "photos", {"train": {"cat": 1}})
    first = sorted(there.glob("photos/*/*/*"))[0]
    first.write_bytes(first.read_bytes() + b"?")
    return {"photos": str(there / "photos")}


@pytest.mark.slow
def test_hosts_that_do_not_see_the_same_files_are_told(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_files, "_SEEN_WITHIN", 1.0)  # They won't.
    output = str(tmp_path / "out")
    with (
        foreign_cluster(tmp_path, hosts=["127.0.0.1", "127.0.0.2"]) as address,
        Client(address) as client,
    ):
        wait_until(lambda: len(client.scheduler_info(n_workers=-1)["workers"]) == 2)
        samples = samples_of(str(source))
        well = check_cluster(client, readable=samples, writable=output)
        assert well.findings == ()
        assert [host.address for host in well.hosts] == ["127.0.0.1", "127.0.0.2"]
        cases: dict[Breaking, str] = {
            not_shared: "does not see what it writes",
            not_writable: "it can't write to",
            not_there: r"it can't read .*\(FileNotFoundError",
            other_photos: "the file has other contents there",
        }
        for number, (breaking, expected) in enumerate(cases.items()):
            there = tmp_path / f"there-{number}"
            there.mkdir()
            mounts = {
                str(tmp_path / name): {"127.0.0.2": here} for name, here in breaking(there).items()
            }
            mount_on_workers(client, mounts)
            with pytest.raises(ClusterError, match=rf"127\.0\.0\.2.*{expected}"):
                require_fit(client, readable=samples, writable=output)
        leave_workers(client)
        wait_until(lambda: found_by(client, output) == {output})
        assert check_cluster(client, readable=samples, writable=output).findings == ()
    assert not Path(output).exists()


def test_workers_that_others_keep_busy_are_there(client: Client) -> None:
    over = Event(client=client)
    busy = [client.submit(over.wait, pure=False, workers=[w]) for w in client.nthreads()]
    try:
        wait_until(lambda: all(client.processing().values()))
        await_worker(client, 5.0)
        assert not any(task.done() for task in busy)
    finally:
        over.set()
        wait(busy)


class Blind:
    """Workers that write, and never see what others have written."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.asked: list[int] = []

    def ask(self, workers: list[str], function: Any, *args: Any) -> dict[str, Any]:
        if function is probes.read_digests:
            self.asked.append(len(workers))
            return {worker: ["FileNotFoundError: …"] * len(args[0]) for worker in workers}
        return {worker: function(*args) for worker in workers}

    def add(self, process: str, findings: Any) -> None:
        self.told += [f"{process} {finding.what}" for finding in findings]


def test_hosts_that_see_nothing_are_waited_for_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_files, "_SEEN_WITHIN", 0.2)
    blind: Any = Blind()
    hosts = {f"worker-{number}": f"host-{number}" for number in range(20)}
    shared_files.Sharing(blind, hosts).look([], str(tmp_path))
    assert set(blind.asked) == {len(hosts)}
    assert len(blind.told) == len([t for t in blind.told if "does not see" in t]) == len(hosts)


@pytest.mark.slow
def test_a_cluster_without_workers_is_told_and_waited_for(source: Path, tmp_path: Path) -> None:
    with foreign_cluster(tmp_path, workers=0) as address, Client(address) as client:
        with pytest.raises(ClusterError, match="no workers for 1 s; start some"):
            await_worker(client, 1.0)
        (finding,) = check_cluster(client).errors
        assert finding.what == "it has no workers"
        value = {"version": 1, "address": address, "config": {"prep.wait-for-workers": "1s"}}
        (tmp_path / "cluster.yaml").write_text(yaml.safe_dump(value))
        done = run_prep("cluster", "check", "--cluster", tmp_path / "cluster.yaml", "--json")
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert found["hosts"] == []
    assert [finding["what"] for finding in found["troubles"]] == ["it has no workers"]
    assert "run the same command again" not in done.stderr


@pytest.mark.slow
def test_the_command_prints_hosts_and_what_to_do(source: Path, tmp_path: Path) -> None:
    odd = ["--nthreads", "2", "--no-nanny"]
    with foreign_cluster(tmp_path, worker_options=odd, silence="30s") as address:
        places = ["--source", source, "--output", tmp_path / "out"]
        cluster = ["--cluster", spec_file(tmp_path, address)]
        table = run_prep("cluster", "check", *cluster, *places)
        as_json = run_prep("cluster", "check", *cluster, *places, "--json")
    assert table.returncode == 0, table.stderr  # Warnings are no errors.
    assert "warning: " in table.stdout
    assert "--nthreads 1" in table.stdout
    assert "127.0.0.1" in table.stdout
    found = json.loads(as_json.stdout)
    assert [host["threads"] for host in found["hosts"]] == [2]
    assert {finding["level"] for finding in found["troubles"]} == {"warning"}
    assert len(found["troubles"]) == 3
    (impatient,) = (t for t in found["troubles"] if "timeouts.tcp" in t["what"])
    assert impatient["where"].startswith("scheduler, tcp://127.0.0.1")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_look_at_a_cluster_takes_no_mounts_from_a_run_at_work_there(
    source: Path, tmp_path: Path
) -> None:
    """Of the client's paths, a worker knows nothing but by what the client mounts."""
    there = tmp_path / "there"
    there.mkdir()
    (there / "photos").symlink_to(source)
    here = tmp_path / "here"
    here.mkdir()
    (here / "photos").symlink_to(source)
    (here / "out").mkdir()
    (there / "out").symlink_to(here / "out")
    with foreign_cluster(tmp_path) as address:
        ours = cluster_file(tmp_path / "ours", address, {str(here): {"*": str(there)}})
        wrong = cluster_file(
            tmp_path / "wrong", address, {str(here): {"*": "/none"}, "/x": {"*": "/y"}}
        )
        with prep.cluster(ours) as client:
            for file in (ours, wrong):
                done = run_prep("cluster", "check", "--cluster", file, "--source", here / "photos")
                assert done.returncode == 0, done.stdout + done.stderr
                assert found_by(client, str(here)) == {str(there)}
            # What only the other wanted went with it.
            wait_until(lambda: found_by(client, "/x") == {"/x"})
            report = prep.run(config(here / "photos", here), client)
            assert report.images["written"] == 10


def cluster_file(folder: Path, address: str, mounts: Mapping[str, Mapping[str, str]]) -> Path:
    folder.mkdir()
    value = {"version": 1, "address": address, "mounts": mounts}
    (folder / "cluster.yaml").write_text(yaml.safe_dump(value))
    return folder / "cluster.yaml"


def found_by(client: Client, path: str) -> set[str]:
    """Return where workers find a path; they have nothing of these tests."""
    return set(client.run(lambda: str(locate(path))).values())


def key_for(url: str) -> str | None:
    """Of a storage, as the process that is asked would open it."""
    return OPTIONS.of(url).get("key")


def keys_of(client: Client) -> set[tuple[str | None, str | None]]:
    """Return the keys that workers have for either URL."""
    one, other = (client.run(key_for, f"s3://{name}/a") for name in ("one", "other"))
    return {(one[worker], other[worker]) for worker in one}


@pytest.mark.slow
def test_options_of_all_clients_are_there_as_long_as_these(tmp_path: Path) -> None:
    """Workers that join late have them, too; those of a client that was killed go with the next."""

    def prepare(client: Client, name: str) -> None:
        access = Access(options={f"s3://{name}": {"key": name}})
        client.register_plugin(WorkerSetup(client.id, access))

    with prep.cluster(workers=1) as client, Client(client.scheduler.address) as one:
        prepare(one, "one")
        other = Client(client.scheduler.address)
        prepare(other, "other")
        prepare(one, "one")  # As by its next run.
        client.cluster.scale(2)
        client.wait_for_workers(2)
        wait_until(lambda: keys_of(client) == {("one", "other")})
        other.close()  # It takes nothing back.
        assert keys_of(client) == {("one", "other")}
        prepare_workers(client)
        wait_until(lambda: keys_of(client) == {("one", None)})
        leave_workers(one)
        wait_until(lambda: keys_of(client) == {(None, None)})


@pytest.mark.slow
def test_options_go_when_the_last_run_of_a_client_ends() -> None:
    grant("s3://one", {"key": "one"})
    try:
        with prep.cluster(workers=1) as client, Client(client.scheduler.address) as own:
            with usable_client(own, ANY_CLUSTER):
                prepare_workers(own)
                with usable_client(own, ANY_CLUSTER):
                    prepare_workers(own)
                assert keys_of(client) == {("one", None)}
            wait_until(lambda: keys_of(client) == {(None, None)})
            with usable_client(own, ANY_CLUSTER):
                prepare_workers(own)
                assert keys_of(client) == {("one", None)}
    finally:
        grant("s3://one", {})
