"""Two runs on one output."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import psutil
import pytest

from prep.errors import OutputConflict
from prep.output.lock import exclusive
from prep.storage.local import LocalPath
from tests.support.clusters import PREP, contents, run_prep, wait_until
from tests.support.gates import Gate
from tests.support.pictures import link_photos

IMAGES = 400
FLAGS = ["run", "--source", "photos", "--output", "out", "--size", "64", "--workers", "1"]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with photos."""
    link_photos(tmp_path, IMAGES)
    return tmp_path


@pytest.mark.slow
def test_the_second_run_is_told_who_owns_the_output_and_a_dead_owner_does_not_count(
    home: Path,
) -> None:
    command = [PREP, *FLAGS, "--images-per-shard", "20"]
    with (
        Gate(home, first=20),
        subprocess.Popen(command, cwd=home, stderr=subprocess.DEVNULL) as process,
    ):
        first = psutil.Process(process.pid)
        wait_until(lambda: list(home.glob("out/.prep/receipts/*/*.json")))
        first.suspend()
        second = run_prep(*FLAGS, "--images-per-shard", "20", cwd=home)
        assert second.returncode == 2
        assert re.search(rf"another run is at work .*process {process.pid} on ", second.stderr)
        overwriting = run_prep(*FLAGS, "--overwrite", cwd=home)
        assert overwriting.returncode == 2
        assert f"process {process.pid}" in overwriting.stderr
        workers = first.children(recursive=True)
        first.kill()
    psutil.wait_procs(workers, timeout=60)  # They notice, and end.
    before = contents(home / "out", "*/*.tfrecord")
    third = run_prep(*FLAGS, "--images-per-shard", "20", cwd=home)
    assert third.returncode == 0, third.stderr
    after = contents(home / "out", "*/*.tfrecord")
    assert before.items() <= after.items()
    assert len(after) == 20
    assert list(home.glob("out/**/*.partial")) == []


def test_a_lock_is_free_again_after_the_block(tmp_path: Path) -> None:
    path = LocalPath(tmp_path / ".prep/lock")
    for _ in range(2):
        with exclusive(path), pytest.raises(OutputConflict, match=f"process {os.getpid()} on"):
            exclusive(path).__enter__()
    assert not path.parent.exists()  # It was all there was.
    path.parent.mkdir()
    path.write_text("no JSON")
    with open(path) as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(OutputConflict, match="has just started"), exclusive(path):
            pass


def test_of_a_lock_nothing_is_left_but_beside_what_came_of_it(tmp_path: Path) -> None:
    path = LocalPath(tmp_path / "new/out/.prep/lock")
    with exclusive(path):
        assert path.exists()
    assert list(tmp_path.iterdir()) == []
    path.parent.mkdir(parents=True)
    with exclusive(path):  # In a folder that is not its own.
        pass
    assert path.exists()
    path.unlink()
    path.parent.rmdir()
    with exclusive(path):
        path.with_name("plan.json").touch()
    assert path.exists()


def test_a_lock_that_its_owner_has_just_removed_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = LocalPath(tmp_path / "lock")
    flock, asked = fcntl.flock, []

    def removed_meanwhile(file: Any, operation: int) -> None:
        flock(file, operation)
        asked.append(operation)
        if len(asked) == 1:
            path.unlink()

    monkeypatch.setattr(fcntl, "flock", removed_meanwhile)
    with exclusive(path):
        assert len(asked) == 2
        with pytest.raises(OutputConflict), exclusive(path):
            pass


def test_where_there_are_no_locks_a_lease_stands_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    path = LocalPath(tmp_path / "new/out/.prep/lock")
    for _ in range(2):
        with exclusive(path) as lease:
            assert lease is not None
            with pytest.raises(OutputConflict, match=f"process {os.getpid()} on"):
                exclusive(path).__enter__()
        assert list(tmp_path.iterdir()) == []  # It was all there was.
    for number in (1, 2):
        with exclusive(path):
            path.with_name("plan.json").touch()
        names = sorted(each.name for each in path.parent.iterdir())
        assert names == ["lock", f"lock-{number:06d}", "plan.json"]
    assert path.read_text() == ""
