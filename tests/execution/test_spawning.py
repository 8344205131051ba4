"""Worker processes of this machine: how they start, and one clear error where they can't."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest
from distributed import Client

import prep
from prep.execution import spawning
from tests.support.pictures import write_tree

CONFIG = 'prep.Config(source="photos", output="shards")'
# Scripts that call prep when they are imported, each in another way.
UNGUARDED = {
    "run": f"import prep\nprep.run({CONFIG}, workers=2, dashboard=True)\n",
    "start": f"import prep\nprep.start({CONFIG}, workers=2).result()\n",
    "cluster": "import prep\nwith prep.cluster(workers=2):\n    pass\n",
    "mean": 'import prep\nprep.mean_rgb("photos", workers=2, dashboard=True)\n',
}
DAEMON = f"""
import multiprocessing, prep

def work():
    prep.run({CONFIG}, dashboard=True)

if __name__ == "__main__":
    process = multiprocessing.get_context("spawn").Process(target=work, daemon=True)
    process.start()
    process.join()
"""
# A user whom the system does not know, as in many a container.
HOMELESS = """
import pwd
from prep.cli.main import main

def unknown(uid):
    raise KeyError(uid)

pwd.getpwuid = unknown
main(prog_name="prep")
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    write_tree(tmp_path / "photos", {"train": {"cat": 2}})
    return tmp_path


def said_by(home: Path, *command: str, script: str = "", **without: None) -> tuple[int, list[str]]:
    """The exit code of a Python process, and what it says on standard error."""
    variables = {k: v for k, v in os.environ.items() if k not in without}
    variables["TMPDIR"] = str(home / "tmp")
    (home / "tmp").mkdir()
    done = subprocess.run(
        [sys.executable, *command],
        cwd=home,
        env=variables,
        input=script,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.stdout == ""
    return done.returncode, done.stderr.splitlines()


@pytest.mark.parametrize(
    "way",
    ["run", *(pytest.param(way, marks=pytest.mark.slow) for way in UNGUARDED if way != "run")],
)
def test_a_script_without_the_guard_is_told_so_once(way: str, home: Path) -> None:
    (home / "script.py").write_text(UNGUARDED[way])
    code, lines = said_by(home, "script.py")
    assert code == 1
    assert lines[-1] == f"prep.errors.UsageError: {spawning._NO_GUARD}"
    assert 'if __name__ == "__main__":' in lines[-1]
    # Python's own traceback of that one error, and nothing from any of the workers.
    assert sum(line.startswith("Traceback") for line in lines) == 1
    assert [line for line in lines if "multiprocessing" in line] == []
    assert not (home / "shards/train").exists()
    assert [path.name for path in (home / "tmp").iterdir() if path.name.startswith("prep-")] == []


def test_a_script_needs_no_guard_where_no_cluster_is_started(home: Path) -> None:
    (home / "script.py").write_text(f"import prep\nprep.run({CONFIG}, workers=2)\n")
    code, lines = said_by(home, "script.py")
    assert (code, lines) == (0, [])
    assert prep.RunReport.read(home / "shards").images["written"] == 2


def test_a_script_from_standard_input_is_told_so(home: Path) -> None:
    script = f'import prep\nif __name__ == "__main__":\n    prep.run({CONFIG}, dashboard=True)\n'
    code, lines = said_by(home, "-", script=script)
    assert code == 1
    assert lines[-1] == f"prep.errors.UsageError: {spawning._NO_SCRIPT}"
    assert not (home / "shards").exists()


def test_a_process_that_may_start_no_others_is_told_so(home: Path) -> None:
    (home / "script.py").write_text(DAEMON)
    _, lines = said_by(home, "script.py")
    assert lines[-1].startswith(
        "prep.errors.UsageError: a process with daemon=True (Dask's workers are such) can't start"
    )
    assert sum(line.startswith("Traceback") for line in lines) == 1
    assert not (home / "shards").exists()


def test_a_user_without_a_home_is_told_so(home: Path) -> None:
    arguments = ("run", "--source", "photos", "--output", "shards", "--dashboard")
    code, (line,) = said_by(home, "-c", HOMELESS, *arguments, HOME=None)
    assert code == 2
    assert line.startswith("prep: HOME is not set, and this user has no home folder")
    assert not (home / "shards").exists()


def test_where_nothing_can_be_noted_a_missing_guard_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(**_: object) -> str:
        raise OSError("no space")

    monkeypatch.setattr(tempfile, "mkdtemp", full)
    with spawning.noticing_a_missing_guard() as require_guard:
        require_guard()


def test_a_process_that_only_imports_a_script_of_others_is_told_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("multiprocessing.process._current_process._inheriting", True, raising=False)
    monkeypatch.delenv(spawning._NOTES, raising=False)
    with pytest.raises(prep.PrepError, match='if __name__ == "__main__":'):
        prep.run(prep.Config(source="a", output="b"))


# In a process of its own: workers of other tests may be forked from the server of this one.
FORKING = """
import multiprocessing, os, sys
sys.path[1:1] = sys.argv[1:]  # As a notebook does.
os.environ.pop("PYTHONPATH", None)
import prep, psutil
from prep.execution import spawning

def look_around(answers):
    loaded = {"distributed", "cv2", "pyarrow"} & set(sys.modules)
    answers.put((os.getppid(), os.environ["OMP_NUM_THREADS"], loaded, prep.__file__))

if __name__ == "__main__":
    for name in ("OMP_NUM_THREADS", "PYTHONHASHSEED"):
        os.environ.pop(name, None)
    before = multiprocessing.forkserver._forkserver._preload_modules
    spawning.start_server()
    server = spawning._server_pid()
    with spawning.server_for_a_cluster():
        assert server == spawning._server_pid(), "the same one"
        assert spawning.has_server_with({"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "6640"})
        assert not spawning.has_server_with({"OMP_NUM_THREADS": "2"})
        spawning.stop_server(within=0)
        assert psutil.pid_exists(server), "a cluster may be about to start workers"
        forking = multiprocessing.get_context("forkserver")
        answers = forking.Queue()
        worker = forking.Process(target=look_around, args=(answers,))
        worker.start()
        assert answers.get(timeout=120) == (
            server, "1", {"distributed", "cv2"}, prep.__file__
        )
        assert psutil.Process(server).num_threads() == 1
        worker.join()
    spawning.stop_server(within=120)  # It has still to notice the end of the worker.
    assert not psutil.pid_exists(server)
    assert not spawning.has_server()
    assert not spawning.has_server_with({})
    changed = {"OMP_NUM_THREADS", "PYTHONHASHSEED", "PYTHONPATH", "PYTHONSAFEPATH"}
    assert not changed & set(os.environ)
    assert multiprocessing.forkserver._forkserver._preload_modules == before
"""


@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux alone")
def test_workers_are_forked_from_a_process_with_one_thread_that_has_loaded_dask() -> None:
    # Not below a long path, where a socket of the server would have no room for its name.
    with tempfile.TemporaryDirectory() as folder:
        _fork_in(Path(folder))


def _fork_in(home: Path) -> None:
    (home / "random.py").write_text("raise ImportError('of a notebook, and not of Python')")
    (home / "scripts").mkdir()
    (home / "scripts/script.py").write_text(FORKING)
    assert said_by(home, "scripts/script.py", *filter(None, sys.path)) == (0, [])
    assert list((home / "tmp").iterdir()) == []


def beginning() -> dict[str, str]:
    return psutil.Process().environ()


@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux alone")
def test_variables_of_a_cluster_file_are_there_when_a_worker_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The C library looks at its own only then; a fork of a server would have the server's."""
    name = "MALLOC_ARENA_MAX"
    monkeypatch.setenv(name, "")  # Dask sets it in this process, too.
    monkeypatch.delenv(name)
    file = tmp_path / "cluster.yaml"
    file.write_text(
        "version: 1\nmodule: distributed\nclass: LocalCluster\n"
        f"config: {{distributed.nanny.pre-spawn-environ.{name}: 2}}\n"
    )
    with prep.cluster(file, workers=1) as client:
        (environment,) = client.run(beginning).values()
    assert environment[name] == "2"


def test_variables_of_this_process_are_there_when_a_worker_begins(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a cluster began with that is still there."""
    monkeypatch.setenv("MALLOC_ARENA_MAX", "2")
    with prep.cluster(workers=1) as other:
        (environment,) = other.run(beginning).values()
    assert environment["MALLOC_ARENA_MAX"] == "2"
    assert "MALLOC_ARENA_MAX" not in client.run(beginning).popitem()[1]
