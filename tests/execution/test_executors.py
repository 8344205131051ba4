"""Work without a Dask cluster: the same bytes and the same tolerance of faults."""

from __future__ import annotations

import errno
import importlib
import os
import signal
import subprocess
import sys
import threading
import time
from multiprocessing import Pipe
from pathlib import Path
from typing import Any, NoReturn

import psutil
import pytest

import prep
import prep.operations.averaging.mean
from prep.errors import BadImageError, ClusterError, WorkerDied
from prep.execution.clusters.choice import ANY_CLUSTER, ClusterChoice
from prep.execution.dask import DaskExecutor
from prep.execution.executor import Workload
from prep.execution.local.crew import Crew
from prep.execution.local.crew_executor import processes_for
from prep.execution.local.member import _ahead as ahead
from prep.execution.local.member import _start as start_here
from prep.execution.local.member import started_ahead
from prep.execution.placing import FEW_IMAGES, first_worker_ahead, placed
from tests.shards.test_isolation import CRASHES, HANGS, expected, poisoned_set, refused, undisturbed
from tests.support import poison
from tests.support.clusters import contents, wait_until
from tests.support.pictures import write_tree
from tests.support.storages import S3, SECRET


def crew_of(parent: int) -> list[psutil.Process]:
    """The worker processes that a process has started."""
    children = psutil.Process(parent).children()
    return [child for child in children if "prep.execution.local" in child.cmdline()]


def config(source: Path, output: Path, **more: Any) -> prep.Config:
    return prep.Config(source=str(source), output=str(output), size=32, **more)


@pytest.fixture
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """The session has no cluster that would be used instead."""
    monkeypatch.setattr("prep.execution.clusters.session._kept", None)


# What work is given to


def who_does(choice: ClusterChoice, images: int, client: Any = None) -> str:
    with placed(client, choice, Workload(images=images, parts=1)) as executor:
        return type(executor).__name__


def test_little_is_done_without_a_cluster_and_much_on_one(no_cluster: None) -> None:
    assert who_does(ANY_CLUSTER, FEW_IMAGES) == "LocalExecutor"
    assert who_does(ClusterChoice(workers=1), FEW_IMAGES) == "LocalExecutor"
    with started_ahead():
        process = ahead[0].process
        assert who_does(ClusterChoice(workers=1), FEW_IMAGES + 1) == "DaskExecutor"
        assert process.returncode is not None  # It takes no memory meanwhile.


@pytest.mark.parametrize(
    "choice", [ClusterChoice(dashboard=True), ClusterChoice(profile="local", workers=1)]
)
def test_a_cluster_that_is_asked_for_is_used_for_little_too(
    choice: ClusterChoice, no_cluster: None
) -> None:
    assert who_does(choice, 1) == "DaskExecutor"


def test_a_client_that_is_given_is_used_for_little_too(client: Any) -> None:
    assert who_does(ANY_CLUSTER, 1, client) == "DaskExecutor"


def test_a_cluster_that_the_session_has_is_used_for_little_too() -> None:
    with prep.execution.clusters.session.session_client(ClusterChoice(workers=1)):
        assert who_does(ANY_CLUSTER, 1) == "DaskExecutor"
    prep.close_cluster()


@pytest.mark.parametrize(
    ("images", "parts", "workers", "processes"),
    [
        (10, 1, 12, 1),  # never more than there are parts,
        (10, 5, 12, 5),
        (10, 5, None, 1),  # and for very few images not more than one, unless asked for
        (10_000, 1, None, 1),
    ],
)
def test_no_more_processes_are_started_than_there_is_work_for(
    images: int, parts: int, workers: int | None, processes: int
) -> None:
    assert processes_for(Workload(images=images, parts=parts), workers) == processes


def test_shards_with_few_images_are_little_however_many_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(16):
        (tmp_path / f"{number}.tfrecord").write_bytes(bytes(100_000))
    asked: list[Workload] = []

    def placed(_client: object, _choice: object, workload: Workload, *_: object) -> NoReturn:
        asked.append(workload)
        raise InterruptedError

    monkeypatch.setattr(prep.operations.averaging.mean, "placed", placed)
    with pytest.raises(InterruptedError):
        prep.mean_rgb(tmp_path)
    assert asked == [Workload(images=80, parts=16)]


@pytest.mark.parametrize(
    ("choice", "parts", "workers"),
    [
        (ClusterChoice(workers=12), 1, 1),
        (ClusterChoice(workers=12), 5, 5),
        (ClusterChoice(workers=2), 5, 2),
        (ANY_CLUSTER, 0, 1),  # one, for the check of the cluster, if for nothing else
        (ANY_CLUSTER, 10_000, None),  # one per core
    ],
)
def test_a_cluster_for_one_run_has_no_more_workers_than_there_is_work_for(
    choice: ClusterChoice, parts: int, workers: int | None
) -> None:
    assert choice.at_most(parts).workers == workers


@pytest.mark.parametrize(
    "spec",
    [
        "version: 1\naddress: tcp://127.0.0.1:1\n",
        "version: 1\nmodule: dask.distributed\nclass: LocalCluster\nadapt: {maximum: 9}\n",
    ],
)
def test_a_cluster_that_is_there_or_grows_by_itself_is_left_as_it_is(
    spec: str, tmp_path: Path
) -> None:
    (tmp_path / "cluster.yaml").write_text(spec)
    choice = ClusterChoice(file=tmp_path / "cluster.yaml")
    assert choice.at_most(1) == choice


@pytest.mark.usefixtures("no_cluster")
def test_twelve_workers_that_are_asked_for_are_not_started_for_one_shard() -> None:
    choice = ClusterChoice(workers=12, dashboard=True)
    with placed(None, choice, Workload(images=5, parts=1)) as executor:
        assert isinstance(executor, DaskExecutor)
        assert len(executor._client.scheduler_info()["workers"]) == 1


# What it comes to


def test_the_bytes_and_the_report_are_those_of_a_cluster(
    client: Any, no_cluster: None, tmp_path: Path
) -> None:
    photos = write_tree(tmp_path / "photos", {"train": {"cat": 9, "dog": 4}, "val": {"cat": 3}})
    (photos / "train/cat/bad.jpg").write_bytes(b"no image")
    reports = {
        name: prep.run(config(photos, tmp_path / name, images_per_shard=4), **how)
        for name, how in {"cluster": {"client": client}, "here": {"workers": 2}}.items()
    }
    assert contents(tmp_path / "here", "*/*.tfrecord") == contents(
        tmp_path / "cluster", "*/*.tfrecord"
    )
    assert (tmp_path / "here/mean_rgb.json").read_bytes() == (
        tmp_path / "cluster/mean_rgb.json"
    ).read_bytes()
    for name in ("images", "refused", "mean", "std", "shards", "bytes"):
        assert getattr(reports["here"], name) == getattr(reports["cluster"], name), name
    assert (tmp_path / "here/.prep/history.json").exists()
    assert prep.verify(tmp_path / "here", workers=2).clean
    assert prep.mean_rgb(photos).mean == prep.mean_rgb(photos, client).mean
    assert prep.mean_rgb(tmp_path / "here").mean == prep.mean_rgb(tmp_path / "here", client).mean


@pytest.mark.slow
@pytest.mark.usefixtures("no_cluster")
def test_a_storage_with_credentials_is_used_without_a_cluster(
    s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = write_tree(tmp_path / "photos", {"train": {"cat": 4}})
    prep.run(config(photos, tmp_path / "disk", images_per_shard=2))
    uploaded = s3.upload(photos, "photos")
    there = config(uploaded, f"{s3.url}/out", images_per_shard=2, storage_options=s3.options)
    shown: list[str] = []

    def start(descriptor: int, *modules: str) -> subprocess.Popen[bytes]:
        worker = start_here(descriptor, *modules)
        process = psutil.Process(worker.pid)
        shown.extend([*process.cmdline(), *process.environ().values()])
        return worker

    monkeypatch.setattr("prep.execution.local.member._start", start)
    assert prep.run(there, workers=2).images["written"] == 4
    shards = {
        name: s3.contents("out")[name] for name in contents(tmp_path / "disk", "*/*.tfrecord")
    }
    assert shards == contents(tmp_path / "disk", "*/*.tfrecord")
    assert prep.verify(there.output, storage_options=s3.options, workers=2).clean
    mean = prep.mean_rgb(uploaded, storage_options=s3.options).mean
    assert mean == prep.mean_rgb(photos).mean
    assert shown
    assert SECRET not in "".join(shown)


@pytest.fixture
def decoders_that_fail(no_cluster: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREP_TEST_FAULT", poison.NAME)


@pytest.mark.usefixtures("decoders_that_fail")
@pytest.mark.parametrize(
    ("poisoned", "images_per_shard"),
    [
        pytest.param(CRASHES, 100, marks=pytest.mark.slow),  # all in one shard
        pytest.param(CRASHES, 5, marks=pytest.mark.slow),
        pytest.param(HANGS, 9, marks=pytest.mark.slow),
        ({"c.jpg": HANGS["c.jpg"]}, 9),  # with Python's lock held
    ],
)
def test_poison_costs_only_itself_without_a_cluster(
    poisoned: Any, images_per_shard: int, tmp_path: Path
) -> None:
    asked = poisoned_set(tmp_path, poisoned, images_per_shard=images_per_shard)
    shards = undisturbed(prep.plan(asked))
    report = prep.run(asked, workers=2)
    assert refused(report) == expected(poisoned)
    assert report.images["written"] == 30
    assert contents(tmp_path / "out", "*/*.tfrecord") == shards
    assert not list((tmp_path / "out").glob("**/.*.partial"))


@pytest.mark.usefixtures("decoders_that_fail")
def test_one_that_crashes_stops_a_run_that_is_to_stop_at_bad_images(tmp_path: Path) -> None:
    asked = poisoned_set(tmp_path, {"crash.jpg": CRASHES["crash.jpg"]}, on_bad_image="fail")
    with pytest.raises(BadImageError, match=r"crash\.jpg' was refused \(crashed the decoder"):
        prep.run(asked)


# The processes


def pid_of(_: Any) -> int:
    return os.getpid()


def wait_for(path: str) -> int:
    """Notes who is at it, and waits for leave."""
    Path(f"{path}.{os.getpid()}").touch()
    while not os.path.exists(path):
        time.sleep(0.01)
    return os.getpid()


def kill_itself(_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def eat(_: Any) -> None:
    poison._hog()


class Odd(Exception):
    """An error that can't be unpickled."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(f"{one} and {two}")


def fail_oddly(_: Any) -> None:
    raise Odd("this", "that")


def test_tasks_are_done_elsewhere_and_all_of_them() -> None:
    with Crew(2) as crew:
        done = [each for each in crew.carry_out(pid_of, range(20)) if each.task is not None]
    assert sorted(each.task for each in done if each.task is not None) == list(range(20))
    assert os.getpid() not in {each.result for each in done}


def loaded(module: str) -> tuple[int, bool]:
    return os.getpid(), module in sys.modules


def test_a_crew_takes_over_what_was_started_ahead_and_the_rest_is_ended() -> None:
    with started_ahead("colorsys"):
        first = ahead[0].process.pid
        with Crew(1) as crew:
            (done,) = [e for e in crew.carry_out(loaded, ["colorsys"]) if e.task is not None]
    assert done.result == (first, True)
    with started_ahead():
        second = ahead[0].process
    assert second.returncode == -signal.SIGKILL
    assert not ahead


@pytest.mark.parametrize(
    ("choice", "given", "overwrite", "started"),
    [
        (ANY_CLUSTER, None, False, 1),
        (ClusterChoice(workers=3), None, False, 1),
        (ClusterChoice(dashboard=True), None, False, 0),
        (ANY_CLUSTER, "a client", False, 0),
        (ANY_CLUSTER, None, True, 1),
    ],
)
def test_a_process_is_started_ahead_where_it_may_be_of_use(
    choice: ClusterChoice,
    given: Any,
    overwrite: bool,
    started: int,
    no_cluster: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.executable", "/bin/true")
    with first_worker_ahead(given, choice, str(tmp_path), overwrite=overwrite):
        assert len(ahead) == started
    (tmp_path / "report.json").touch()  # There is nothing left to do but to replace it.
    with first_worker_ahead(given, choice, str(tmp_path), overwrite=overwrite):
        assert len(ahead) == (started if overwrite else 0)


def test_a_process_that_is_killed_is_replaced_and_its_task_done_again(tmp_path: Path) -> None:
    path = str(tmp_path / "go")

    def kill_the_first() -> None:
        wait_until(lambda: list(tmp_path.glob("go.*")))
        os.kill(int(next(tmp_path.glob("go.*")).suffix[1:]), signal.SIGKILL)
        wait_until(lambda: len(list(tmp_path.glob("go.*"))) == 2)
        Path(path).touch()

    killer = threading.Thread(target=kill_the_first)
    with Crew(1) as crew:
        killer.start()
        done = [each for each in crew.carry_out(wait_for, [path]) if each.task is not None]
    killer.join()
    assert [each.error for each in done] == [None]
    assert f"go.{done[0].result}" in {place.name for place in tmp_path.glob("go.*")}


@pytest.mark.slow
def test_a_task_that_ends_all_processes_fails_and_the_others_are_done() -> None:
    with Crew(1) as crew:
        (first,) = [e for e in crew.carry_out(kill_itself, [0]) if e.task is not None]
        (second,) = [e for e in crew.carry_out(pid_of, [0]) if e.task is not None]
    assert isinstance(first.error, WorkerDied)
    assert second.error is None


def test_a_process_that_takes_all_memory_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prep.execution.local.crew.memory", lambda: 600 << 20)
    monkeypatch.setattr("prep.execution.local.crew._DEATHS_ALLOWED", 0)
    with Crew(1) as crew:
        (done,) = [each for each in crew.carry_out(eat, [0]) if each.task is not None]
    assert isinstance(done.error, WorkerDied)


def test_an_error_that_does_not_travel_is_told_all_the_same() -> None:
    with Crew(1) as crew:
        (done,) = [each for each in crew.carry_out(fail_oddly, [0]) if each.task is not None]
    assert str(done.error) == "Odd: this and that"


class Unloadable:
    """A task that can be sent to another process, but not loaded there."""

    def __reduce__(self) -> tuple[Any, ...]:
        return int, ("no number",)

    def __call__(self, item: Any) -> None:
        raise AssertionError("it can't be called")


def test_a_task_that_no_process_can_load_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prep.execution.local.crew._DEATHS_ALLOWED", 0)
    with Crew(1) as crew:
        (done,) = [each for each in crew.carry_out(Unloadable(), [0]) if each.task is not None]
    assert isinstance(done.error, WorkerDied)


def test_processes_that_do_not_start_are_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    with Crew(1) as crew, pytest.raises(ClusterError, match="do not start"):
        list(crew.carry_out(pid_of, [0]))


def test_processes_that_are_all_killed_as_they_start_are_started_again() -> None:
    with Crew(4) as crew:
        for member in crew._members:
            member.process.kill()
        done = [each for each in crew.carry_out(pid_of, range(4)) if each.task is not None]
    assert [each.error for each in done] == [None] * 4


def test_a_system_that_starts_no_more_processes_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr("prep.execution.local.member._start", refuse)
    with pytest.raises(ClusterError, match="can't be started: Resource temporarily"), Crew(1):
        pass


@pytest.mark.usefixtures("no_cluster")
def test_an_output_is_not_replaced_where_no_process_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = write_tree(tmp_path / "photos", {"train": {"cat": 2}})
    prep.run(config(photos, tmp_path / "out"))
    before = contents(tmp_path / "out", "**/*.*")
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(ClusterError, match="do not start"):
        prep.run(config(photos, tmp_path / "out", seed=1), overwrite=True)
    assert contents(tmp_path / "out", "**/*.*") == before


def test_a_process_is_not_ended_for_the_memory_that_it_begins_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("prep.execution.local.crew.memory", lambda: 64 << 20)
    with Crew(1) as crew:
        (done,) = [each for each in crew.carry_out(pid_of, [0]) if each.task is not None]
    assert done.error is None


def test_processes_look_for_modules_where_the_one_that_starts_them_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Modules in a notebook's folder may have the names of Python's own."""
    (tmp_path / "queue.py").write_text("raise SystemExit('the wrong one')")
    (tmp_path / "mine.py").write_text("def double(item): return 2 * item")
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path), "", tmp_path, *sys.path])
    double = importlib.import_module("mine").double
    with Crew(1) as crew:
        (done,) = [each for each in crew.carry_out(double, [2]) if each.task is not None]
    assert done.result == 4


def test_processes_end_by_themselves_though_somebody_holds_their_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As one does that this process forks meanwhile."""
    monkeypatch.setattr("prep.execution.local.crew.END_WITHIN", 60.0)
    with Crew(1) as crew:
        crew.wait_until_ready()
        process = crew._members[0].process
        held = os.dup(crew._members[0].connection.fileno())
    os.close(held)
    assert process.returncode == 0


LOOK_AT_STREAMS = """
import os, sys
from prep.execution.local.crew import Crew
with Crew(1) as crew:
    done = list(crew.carry_out(os.readlink, [f"/proc/self/fd/{n}" for n in range(3)]))
with open(sys.argv[1], "w") as file:
    print(*(each.result for each in done if each.task is not None), file=file)
"""


@pytest.mark.parametrize("closed", ["2>&-", "<&- >&- 2>&-"])
def test_no_file_takes_the_place_of_a_closed_stream(closed: str, tmp_path: Path) -> None:
    told = tmp_path / "told"
    start = ["bash", "-c", f'exec "$0" -c "$1" "$2" {closed}']
    subprocess.run([*start, sys.executable, LOOK_AT_STREAMS, told], timeout=120)
    assert told.read_text().split() == [os.devnull] * 3


@pytest.mark.usefixtures("no_cluster")
def test_the_start_of_processes_counts_as_start_and_not_as_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    wait_until_ready = Crew.wait_until_ready

    def measure(crew: Crew) -> None:
        began = time.perf_counter()
        wait_until_ready(crew)
        waited.append(time.perf_counter() - began)

    monkeypatch.setattr(Crew, "wait_until_ready", measure)
    photos = write_tree(tmp_path / "photos", {"train": {"cat": 2}})
    report = prep.run(config(photos, tmp_path / "out"), workers=1)
    assert 0 < waited[0] < report.start_seconds + 0.001  # It is rounded.


START_AND_WAIT = """
import sys, threading
sys.path.insert(0, sys.argv[1])
from prep.execution.local.crew import Crew
from tests.execution.test_executors import wait_for
with Crew(2) as crew:
    list(crew.carry_out(wait_for, [sys.argv[2]] * 2))
"""


def test_no_process_stays_when_the_one_that_started_it_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "script.py"  # It has no guard, and needs none.
    script.write_text(START_AND_WAIT)
    tests, go = Path(__file__).parents[2], tmp_path / "go"
    parent = subprocess.Popen(
        [sys.executable, script, tests, go], env={**os.environ, "PYTHONPATH": ":".join(sys.path)}
    )
    wait_until(lambda: len(list(tmp_path.glob("go.*"))) == 2)
    crew = crew_of(parent.pid)
    assert len(crew) == 2
    parent.kill()
    parent.wait()
    wait_until(lambda: not any(process.is_running() for process in crew))


def test_a_process_that_nobody_speaks_to_ends_without_a_word() -> None:
    """As where a run is stopped at the moment in which it starts its processes."""
    ours, theirs = Pipe()
    ours.close()
    done = subprocess.run(
        [sys.executable, "-m", "prep.execution.local", str(theirs.fileno())],
        pass_fds=[theirs.fileno()],
        capture_output=True,
        text=True,
        check=False,
    )
    theirs.close()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
