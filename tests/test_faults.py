"""Processes that are killed or held up at the worst of moments, and disks that are full."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from clusters import PREP, contents, run_prep, wait_until
from pictures import write_tree

NATIVE = Path(__file__).with_name("native")
SHARDS = 12
IMAGES_PER_SHARD = 10
FLAGS = ["--size", "64", "--images-per-shard", str(IMAGES_PER_SHARD)]
RUN = ["run", "--source", "photos", "--output", "out", "--workers", "2", *FLAGS]


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that halts a process at an exact point; see its source."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs a C compiler and Linux, to halt processes at exact points")
    library = tmp_path_factory.mktemp("native") / "halt.so"
    source = NATIVE / "halt.c"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library


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
    """All that has to come out the same."""
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
        children = self.command.children(recursive=True)
        return [p for p in children if "spawn_main" in " ".join(p.cmdline())]

    def commits(self) -> Counter[str]:
        """How often each shard's file was put in its place."""
        names = (line.rpartition("/")[2] for line in self.log.read_text().splitlines())
        return Counter(name for name in names if name.endswith(".tfrecord"))


@contextlib.contextmanager
def halted(home: Path, shim: Path, at: str) -> Iterator[Halted]:
    """Runs the command until one of its processes gets to ``at``."""
    once, log = home / "once", home / "log"
    variables = {
        "LD_PRELOAD": str(shim),
        "HALT_AT": at,
        "HALT_ONCE": str(once),
        "HALT_LOG": str(log),
    }
    command = psutil.Popen(
        [PREP, *RUN],
        cwd=home,
        env={**os.environ, **variables},
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
        f"before:{RECEIPT}",  # The same, and the receipt bears a temporary name.
        f"after:{RECEIPT}",  # Both are in their places, and nobody was told.
    ],
)


@POINTS
def test_a_killed_worker_costs_one_more_attempt(
    at: str, home: Path, shim: Path, undisturbed: Path
) -> None:
    with halted(home, shim, at) as run:
        run.process.kill()
        assert run.command.wait(60) == 0
        commits = run.commits()
    assert_as_undisturbed(home, undisturbed)
    # Results that a worker held die with it, but what is committed is not written again.
    again = commits.pop(f"train-{SHARD}")
    assert again == (2 if at in (f"after:{SHARD}", f"before:{RECEIPT}") else 1)
    assert set(commits.values()) == {1}


@POINTS
def test_killed_workers_all_at_once_cost_no_more(
    at: str, home: Path, shim: Path, undisturbed: Path
) -> None:
    with halted(home, shim, at) as run:
        for worker in run.workers():
            worker.kill()
        assert run.command.wait(60) == 0
        commits = run.commits()
    assert_as_undisturbed(home, undisturbed)
    assert len(commits) == SHARDS
    assert sum(commits.values()) <= SHARDS + 2


@POINTS
def test_a_killed_client_leaves_what_the_next_run_completes(
    at: str, home: Path, shim: Path, undisturbed: Path
) -> None:
    with halted(home, shim, at) as run:
        workers = run.workers()
        run.command.kill()  # And the scheduler with it.
        run.process.send_signal(signal.SIGCONT)
        psutil.wait_procs(workers, timeout=60)
    committed = {path.stem for path in home.glob("out/.prep/receipts/train/*.json")}
    assert len(committed) < SHARDS
    before = {
        path: path.stat().st_mtime_ns
        for path in home.glob("out/train/*.tfrecord")
        if path.name.split("-")[1] in committed
    }
    done = run_prep(*RUN, cwd=home)
    assert done.returncode == 0, done.stderr
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert_as_undisturbed(home, undisturbed)


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
    assert len(seen) == SHARDS


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
