"""Processes killed or suspended at the worst of moments, and full disks."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dask
import psutil
import pytest
from distributed import Client

import prep
from prep.errors import ShardError
from tests.support.clusters import PREP, commits, contents, run_prep, wait_until
from tests.support.pictures import write_tree

SHARDS = 12
IMAGES_PER_SHARD = 10
ON_CLUSTER = ["--dashboard"]
FLAGS = ["--size", "64", "--images-per-shard", str(IMAGES_PER_SHARD)]
RUN = ["run", "--source", "photos", "--output", "out", "--workers", "2", *FLAGS]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos, and what an undisturbed run makes of them."""
    home = tmp_path_factory.mktemp("undisturbed")
    write_tree(home / "photos", {"train": {"cat": 60, "dog": 60}})
    (home / "photos/train/cat/bad.jpg").write_bytes(b"")
    (home / "photos/train/cat/0000.jpg").unlink()
    done = run_prep(*RUN, cwd=home)
    assert done.returncode == 0, done.stderr
    return home


@pytest.fixture
def home(tmp_path: Path, undisturbed: Path) -> Path:
    """A folder with the same photos."""
    (tmp_path / "photos").symlink_to(undisturbed / "photos")
    return tmp_path


def expected(undisturbed: Path) -> dict[str, bytes]:
    """Everything that has to come out the same."""
    return contents(undisturbed / "out", "*/*.tfrecord") | contents(
        undisturbed / "out", "mean_rgb.json"
    )


def assert_as_undisturbed(home: Path, undisturbed: Path) -> None:
    found = contents(home / "out", "*/*.tfrecord") | contents(home / "out", "mean_rgb.json")
    assert found == expected(undisturbed)
    assert len(list(home.glob("out/.prep/receipts/*/*.json"))) == SHARDS
    assert list(home.glob("out/**/*.partial")) == []


@dataclass(frozen=True, slots=True, kw_only=True)
class Halted:
    """``prep run`` of which one process has stopped itself."""

    command: psutil.Popen
    process: psutil.Process
    log: Path

    def workers(self) -> list[psutil.Process]:
        """Return the worker processes, with Dask or without."""
        children = self.command.children(recursive=True)
        commands = ((process, " ".join(process.cmdline())) for process in children)
        return [p for p, command in commands if "spawn_main" in command or "prep.exec" in command]

    def commits(self) -> Counter[str]:
        """Return how often each shard's file was put in place."""
        return commits(self.log)


def preloaded(home: Path, shim: Path, at: str) -> dict[str, str]:
    """The environment in which the first process that gets to ``at`` halts."""
    return {
        "LD_PRELOAD": str(shim),
        "HALT_AT": at,
        "HALT_ONCE": str(home / "once"),
        "HALT_LOG": str(home / "log"),
    }


@contextlib.contextmanager
def halted(
    home: Path, shim: Path, at: str, where: Sequence[str] = ON_CLUSTER, **variables: str
) -> Iterator[Halted]:
    """Runs the command until one of its processes gets to ``at``."""
    once, log = home / "once", home / "log"
    command = psutil.Popen(
        [PREP, *RUN, *where],
        cwd=home,
        env={**os.environ, **preloaded(home, shim, at), **variables},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        pid = wait_until(lambda: once.exists() and once.read_text().strip())
        process = psutil.Process(int(pid))
        wait_until(lambda: process.status() == psutil.STATUS_STOPPED)
        yield Halted(command=command, process=process, log=log)
    finally:
        with contextlib.suppress(ProcessLookupError):  # None is left.
            os.killpg(command.pid, signal.SIGKILL)
        command.communicate()


SHARD, RECEIPT = "00003-of-00012.tfrecord", "00003.json"
POINTS = pytest.mark.parametrize(
    "at",
    [
        f"before:{SHARD}",  # The file is written, and bears a temporary name.
        f"after:{SHARD}",  # The file is in its place, and no receipt is.
        # The same, and the receipt bears a temporary name.
        pytest.param(f"before:{RECEIPT}", marks=pytest.mark.slow),
        # Both are in their places, and nobody was told.
        pytest.param(f"after:{RECEIPT}", marks=pytest.mark.slow),
    ],
)


# Without a cluster, which is for few images, what is promised is the same.
WHERE = pytest.mark.parametrize(
    "where",
    [
        pytest.param([], id="here"),
        pytest.param(ON_CLUSTER, id="on a cluster", marks=pytest.mark.slow),
    ],
)


@POINTS
@WHERE
def test_a_killed_worker_costs_one_more_attempt(
    at: str, where: list[str], home: Path, shim: Path, undisturbed: Path
) -> None:
    with halted(home, shim, at, where) as run:
        run.process.kill()
        assert run.command.wait(60) == 0
        commits = run.commits()
    assert_as_undisturbed(home, undisturbed)
    # Results that a worker held die with it, but what is committed is not written again.
    again = commits.pop(f"train-{SHARD}")
    assert again == (2 if at in (f"after:{SHARD}", f"before:{RECEIPT}") else 1)
    assert set(commits.values()) == {1}


@pytest.mark.slow
@POINTS
@WHERE
def test_killed_workers_all_at_once_cost_no_more(
    at: str, where: list[str], home: Path, shim: Path, undisturbed: Path
) -> None:
    with halted(home, shim, at, where) as run:
        assert run.process in run.workers()
        for worker in run.workers():
            worker.kill()
        assert run.command.wait(60) == 0
        commits = run.commits()
    assert_as_undisturbed(home, undisturbed)
    assert len(commits) == SHARDS
    assert sum(commits.values()) <= SHARDS + 2


@pytest.mark.slow
@POINTS
@WHERE
def test_a_killed_client_leaves_what_the_next_run_completes(
    at: str, where: list[str], home: Path, shim: Path, undisturbed: Path
) -> None:
    with halted(home, shim, at, where) as run:
        workers = run.workers()
        run.command.kill()  # And the scheduler with it.
        run.process.send_signal(signal.SIGCONT)
        psutil.wait_procs(workers, timeout=60)
    # All of them, if the other worker was quick.
    committed = {path.stem for path in home.glob("out/.prep/receipts/train/*.json")}
    before = {
        path: path.stat().st_mtime_ns
        for path in home.glob("out/train/*.tfrecord")
        if path.name.split("-")[1] in committed
    }
    done = run_prep(*RUN, cwd=home)
    assert done.returncode == 0, done.stderr
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert_as_undisturbed(home, undisturbed)


@pytest.mark.slow
def test_a_reader_never_sees_half_a_shard(home: Path, shim: Path, undisturbed: Path) -> None:
    whole = {len(data) for data in expected(undisturbed).values()}
    seen: Counter[str] = Counter()

    def look() -> None:
        for path in home.glob("out/*/*.tfrecord"):
            assert path.stat().st_size in whole
            seen[path.name] += 1

    with halted(home, shim, f"before:{SHARD}") as run:
        wait_until(lambda: look() or len(seen) >= SHARDS // 2)  # type: ignore[func-returns-value]
        run.process.send_signal(signal.SIGCONT)
        while run.command.poll() is None:
            look()
        look()
    assert len(seen) == SHARDS


@pytest.mark.slow
def test_files_of_others_in_the_output_are_never_touched(
    home: Path, shim: Path, undisturbed: Path
) -> None:
    others = {
        "notes.txt": b"mine",
        "train/train.tfrecord": b"mine too",
        "train/.hidden": b"and this",
        "train/.1234.partial": b"no name that we give",
        "other/train-00000-of-00001.tfrecord": b"of a split that is none of ours",
    }
    for name, data in others.items():
        (home / "out" / name).parent.mkdir(parents=True, exist_ok=True)
        (home / "out" / name).write_bytes(data)
    with halted(home, shim, f"before:{SHARD}") as run:
        run.process.kill()
        assert run.command.wait(60) == 0
    assert run_prep(*RUN, "--overwrite", cwd=home).returncode == 0
    for name, data in others.items():
        assert (home / "out" / name).read_bytes() == data
        (home / "out" / name).unlink()
    assert_as_undisturbed(home, undisturbed)


@pytest.mark.slow
def test_a_clock_an_hour_off_does_not_matter(home: Path, shim: Path, undisturbed: Path) -> None:
    with halted(home, shim, f"before:{SHARD}", CLOCK_AHEAD="3600") as run:
        run.command.kill()
        run.process.kill()
    since = json.loads((home / "out/.prep/lock").read_text())["since"]
    assert datetime.fromisoformat(since) > datetime.now(UTC) + timedelta(minutes=50)
    done = run_prep(*RUN, cwd=home)
    assert done.returncode == 0, done.stderr
    assert_as_undisturbed(home, undisturbed)


# Schedulers and workers of their own


@contextlib.contextmanager
def dask_process(*arguments: str, home: Path, **variables: str) -> Iterator[psutil.Popen]:
    with open(home / f"{arguments[0]}.log", "ab") as log:
        process = psutil.Popen(
            [sys.executable, "-m", "dask", *arguments],
            cwd=home,
            env={**os.environ, **variables},
            stdout=log,
            stderr=log,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def scheduler(home: Path, **variables: str) -> Iterator[tuple[psutil.Popen, str]]:
    """A scheduler's process, and its address."""
    file = home / "scheduler.json"
    flags = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file)]
    with dask_process("scheduler", *flags, home=home, **variables) as process:
        wait_until(file.exists)
        yield process, wait_until(lambda: address_in(file))
    file.unlink()


def address_in(file: Path) -> str:
    with contextlib.suppress(ValueError):
        return str(json.loads(file.read_text())["address"])
    return ""


def worker(address: str, home: Path, **variables: str) -> AbstractContextManager[psutil.Popen]:
    flags = [address, "--no-nanny", "--nthreads", "1", "--no-dashboard"]
    return dask_process("worker", *flags, home=home, **variables)


def run_on(address: str, home: Path) -> prep.RunReport:
    config = prep.Config(
        source=str(home / "photos"),
        output=str(home / "out"),
        size=64,
        images_per_shard=IMAGES_PER_SHARD,
    )
    with Client(address) as client:
        client.wait_for_workers(1, timeout=60)
        return prep.run(config, client)


@pytest.mark.slow
def test_a_late_twin_does_no_harm(home: Path, shim: Path, undisturbed: Path) -> None:
    """A worker that hangs is given up, its shard is written by another, and then it wakes up."""
    at = preloaded(home, shim, f"before:{SHARD}")
    with (
        scheduler(home, DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL="2s") as (_, address),
        worker(address, home, **at) as one,
        worker(address, home, **at) as other,
    ):
        report = run_on(address, home)
        assert report.images["written"] == 119
        assert_as_undisturbed_but_for_the_sleeper(home, undisturbed)
        (sleeper,) = (p for p in (one, other) if p.status() == psutil.STATUS_STOPPED)
        sleeper.send_signal(signal.SIGCONT)
        wait_until(lambda: commits(home / "log")[f"train-{SHARD}"] == 2)
        wait_until(lambda: list(home.glob("out/**/*.partial")) == [])
    assert_as_undisturbed(home, undisturbed)


def assert_as_undisturbed_but_for_the_sleeper(home: Path, undisturbed: Path) -> None:
    found = contents(home / "out", "*/*.tfrecord") | contents(home / "out", "mean_rgb.json")
    assert found == expected(undisturbed)
    assert len(list(home.glob("out/**/*.partial"))) == 2  # the file of the sleeper, and its trace


@pytest.mark.slow
def test_a_killed_scheduler_ends_the_run_and_the_next_one_completes_it(
    home: Path, shim: Path, undisturbed: Path
) -> None:
    at = preloaded(home, shim, f"before:{SHARD}")
    with (
        ThreadPoolExecutor(1) as pool,
        scheduler(home) as (process, address),
        worker(address, home, **at),
    ):
        run = pool.submit(run_on, address, home)
        wait_until((home / "once").exists)
        process.kill()
        with (
            dask.config.set({"distributed.comm.timeouts.connect": "2s"}),
            pytest.raises(ShardError, match="scheduler has gone"),
        ):
            run.result(timeout=90)
    with scheduler(home) as (_, address), worker(address, home):
        report = run_on(address, home)
    assert report.images["written"] == 119
    assert 0 < report.resumed_shards < SHARDS
    assert_as_undisturbed(home, undisturbed)


# Disks that are full, or can't be written to


@pytest.fixture
def small_disk(home: Path) -> Iterator[Path]:
    """A disk of 400 kB at ``out``."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("needs root, to mount a small disk")
    (home / "out").mkdir()
    mount("-t", "tmpfs", "-o", "size=400k", "tmpfs", home / "out")
    yield home / "out"
    subprocess.run(["umount", home / "out"], check=True)


def mount(*arguments: str | Path) -> None:
    subprocess.run(["mount", *arguments], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("left", [200_000, 150_000, 60_000])
def test_a_full_disk_keeps_what_fits_and_the_next_run_completes_it(
    left: int, home: Path, small_disk: Path, undisturbed: Path
) -> None:
    (small_disk / "ballast").write_bytes(bytes(400_000 - left))
    failed = run_prep(*RUN, cwd=home)
    assert failed.returncode in (1, 2)
    assert "No space left" in failed.stderr
    assert list(small_disk.glob("**/*.partial")) == []
    whole = expected(undisturbed)
    written = contents(small_disk, "*/*.tfrecord")
    assert written.items() <= whole.items()
    (small_disk / "ballast").unlink()
    mount("-o", "remount,size=100m", small_disk)
    assert run_prep(*RUN, cwd=home).returncode == 0
    assert_as_undisturbed(home, undisturbed)


@pytest.mark.slow
def test_a_disk_that_cannot_be_written_to_is_an_error_unless_all_is_there(
    home: Path, small_disk: Path, undisturbed: Path
) -> None:
    mount("-o", "remount,ro,size=100m", small_disk)
    failed = run_prep(*RUN, cwd=home)
    assert failed.returncode == 2
    assert "can't write to" in failed.stderr
    mount("-o", "remount,rw,size=100m", small_disk)
    assert run_prep(*RUN, cwd=home).returncode == 0
    mount("-o", "remount,ro", small_disk)
    done = run_prep(*RUN, cwd=home)
    assert done.returncode == 0, done.stderr
    assert_as_undisturbed(home, undisturbed)


@pytest.mark.slow
def test_where_shared_memory_is_full_no_cluster_starts_and_nothing_is_lost(
    home: Path, undisturbed: Path
) -> None:
    """Python's processes need a little of it to talk to one another."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("needs root, to fill a shared memory of its own")
    fill = (
        "mount -t tmpfs -o size=4k tmpfs /dev/shm; cat /dev/zero > /dev/shm/full 2> /dev/null; "
        'exec "$@"'
    )
    command = ["unshare", "--mount", "sh", "-c", fill, "sh", PREP, *RUN, *ON_CLUSTER]
    failed = subprocess.run(command, cwd=home, capture_output=True, text=True, check=False)
    assert failed.returncode == 1
    assert "prep: the cluster can't be started" in failed.stderr
    assert "room in /dev/shm" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert run_prep(*RUN, cwd=home).returncode == 0
    assert_as_undisturbed(home, undisturbed)
