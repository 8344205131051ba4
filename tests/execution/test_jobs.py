"""Jobs that a batch system rejects, with a stand-in for ``sbatch``."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import re
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import yaml

from prep.execution.clusters import jobqueue
from tests.support.clusters import Terminal, run_prep, wait_until
from tests.support.pictures import write_tree

# Takes as many jobs as it is told, and says of others what Slurm says. Like Slurm it keeps the
# script, which whoever submits it deletes as soon as it is taken.
_SBATCH = """#!/bin/sh
while [ "$TAKES" = never-says ]; do
    sleep 0.2
done
for number in $(seq "$TAKES"); do
    if mkdir "$JOBS/$number" 2> /dev/null; then
        cp "$1" "$JOBS/$number/script"
        sh "$JOBS/$number/script" > /dev/null 2>&1 &
        echo "Submitted batch job $!"
        exit 0
    fi
done
echo "sbatch: error: invalid partition specified: nowhere" >&2
exit 1
"""
# Cancels a job here, or never answers, whoever asks it to end.
_SCANCEL = """#!/bin/sh
trap "" TERM
while [ "$CANCELS" = never-says ]; do
    sleep 0.2
done
kill "$1"
"""
# The package of jobs is loaded here for the first time.
_IN_A_THREAD = """
from concurrent.futures import ThreadPoolExecutor
import prep

def work():
    config = prep.Config(source="photos", output="out")
    return prep.start(config, cluster="cluster.yaml").result()

if __name__ == "__main__":
    with ThreadPoolExecutor(1) as thread:
        print(thread.submit(work).result().images["written"])
    prep.close_cluster()
"""


def as_jobs(
    folder: Path, takes: int | str, kwargs: Mapping[str, Any] | None = None, **profile: Any
) -> tuple[list[str], dict[str, str]]:
    """``prep run`` on a cluster of jobs, of which so many are taken, and variables for it."""
    programs, taken = folder / "bin", folder / "taken"
    for made in (programs, taken):
        made.mkdir()
    for name, text in (("sbatch", _SBATCH), ("scancel", _SCANCEL)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    spec = {
        "version": 1,
        "module": "dask_jobqueue",
        "class": "SLURMCluster",
        "kwargs": {
            "queue": "nowhere",
            "cores": 1,
            "processes": 1,
            "memory": "2GB",
            "interface": "lo",
            "scheduler_options": {"dashboard_address": "127.0.0.1:0"},
            **(kwargs or {}),
        },
        **profile,
    }
    (folder / "cluster.yaml").write_text(yaml.safe_dump(spec))
    write_tree(folder / "photos", {"train": {"cat": 4, "dog": 4}})
    variables = {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "JOBS": str(taken),
        "TAKES": str(takes),
    }
    command = ["run", "photos", "out", "--images-per-shard", "1", "--cluster", "cluster.yaml"]
    return command, variables


def commands(folder: Path, name: str) -> list[psutil.Process]:
    """Return the processes of that batch command that have not ended."""
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if f"{folder}/bin/{name}" in (process.info["cmdline"] or ())
    ]


def said(ended: Any) -> list[str]:
    """Return the standard error of a run without its progress."""
    return [line for line in ended.stderr.splitlines() if " preparing: " not in line]


def run_as_jobs(folder: Path, takes: int | str, **profile: Any) -> Any:
    """Runs it to its end."""
    command, variables = as_jobs(folder, takes, **profile)
    return run_prep(*command, cwd=folder, **variables)


@pytest.mark.parametrize(
    "size",
    [
        {"workers": 3},
        pytest.param({"adapt": {"minimum": 0, "maximum": 2}}, marks=pytest.mark.slow),
    ],
)
def test_where_no_job_is_taken_one_line_says_why(tmp_path: Path, size: Any) -> None:
    ended = run_as_jobs(tmp_path, takes=0, **size)
    assert ended.returncode == 1
    (line,) = said(ended)
    assert line.startswith(
        "prep: the batch system rejected all jobs: sbatch: error: invalid partition specified: "
    )
    assert not (tmp_path / "out").exists()


def test_that_no_job_was_taken_is_why_a_check_finds_no_workers(tmp_path: Path) -> None:
    _, variables = as_jobs(tmp_path, takes=0, workers=3)
    look = ("cluster", "check", "--cluster", "cluster.yaml", "--json")
    ended = run_prep(*look, cwd=tmp_path, **variables)
    assert ended.returncode == 1
    found = {trouble["what"]: trouble for trouble in json.loads(ended.stdout)["troubles"]}
    why = "sbatch: error: invalid partition specified: nowhere"
    trouble = found[f"it has no workers; 3 jobs rejected: {why}"]
    assert (trouble["level"], trouble["where"]) == ("error", "scheduler")
    assert "queue, account" in trouble["remedy"]
    assert sum(why in what for what in found) == 1


@pytest.mark.slow
def test_jobs_are_asked_for_in_a_thread_as_well(tmp_path: Path) -> None:
    _, variables = as_jobs(tmp_path, takes=1, workers=1)
    (tmp_path / "script.py").write_text(_IN_A_THREAD)
    ended = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env={**os.environ, **variables},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert (ended.stdout, ended.returncode) == ("8\n", 0), ended.stderr


@pytest.mark.slow
def test_where_some_jobs_are_taken_the_others_are_told_of(tmp_path: Path) -> None:
    ended = run_as_jobs(tmp_path, takes=1, workers=3)
    assert ended.returncode == 0, ended.stderr
    assert "2 jobs rejected: sbatch: error: invalid partition specified: nowhere" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert (tmp_path / "out/report.json").exists()


@pytest.mark.slow
@pytest.mark.parametrize("size", [{"workers": 2}, {"adapt": {"minimum": 0, "maximum": 2}}])
def test_where_the_batch_system_does_not_answer_the_wait_ends(tmp_path: Path, size: Any) -> None:
    patience = {"prep.wait-for-workers": "7s"}
    ended = run_as_jobs(tmp_path, takes="never-says", config=patience, **size)
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr, ended.stderr
    waiting, told = said(ended)
    unanswered = r"the batch system has not answered for \d jobs?"
    assert re.fullmatch(f"prep: waiting for workers; {unanswered}; Ctrl-C stops", waiting)
    assert told.startswith("prep: no workers for 7 s; the batch system has not answered for ")
    assert not (tmp_path / "out").exists()
    assert commands(tmp_path, "sbatch") == []


@pytest.mark.slow
def test_jobs_without_a_worker_are_named(tmp_path: Path) -> None:
    profile = {"config": {"prep.wait-for-workers": "7s"}}
    kwargs = {"job_script_prologue": ["exit 1"]}
    ended = run_as_jobs(tmp_path, takes=2, workers=2, kwargs=kwargs, **profile)
    assert ended.returncode == 1
    waiting, told = said(ended)
    assert waiting.startswith("prep: waiting for workers; ")
    assert waiting.endswith("; Ctrl-C stops")
    assert re.match(
        r"prep: no workers for 7 s; 2 jobs accepted, but no worker has connected: \d+, \d+ "
        r"\(the batch system says .*\); correct that, and run the same command again",
        told,
    )


@pytest.mark.slow
def test_ctrl_c_is_heard_while_the_batch_system_does_not_answer(tmp_path: Path) -> None:
    command, variables = as_jobs(tmp_path, takes="never-says", workers=2)
    with Terminal(*command, cwd=tmp_path, **variables) as terminal:
        wait_until(lambda: len(commands(tmp_path, "sbatch")) == 2)
        terminal.press(b"\x03")
        assert terminal.wait(60) == 130
        assert terminal.shown.count("prep: stopped") == 1
        assert "Traceback" not in terminal.shown
        wait_until(lambda: terminal.processes() == [])


@pytest.mark.slow
def test_where_jobs_can_not_be_cancelled_the_run_ends_and_names_them(tmp_path: Path) -> None:
    command, variables = as_jobs(tmp_path, takes=2, workers=2)
    ended = run_prep(*command, cwd=tmp_path, CANCELS="never-says", **variables)
    assert ended.returncode == 0, ended.stderr
    told = ended.stderr.splitlines()[-1]
    assert told.startswith("prep: 2 jobs not cancelled: the batch system does not answer; ")
    assert re.search(r"to cancel what still waits or runs: scancel \d+ \d+$", told)
    assert "Traceback" not in ended.stderr, ended.stderr
    assert commands(tmp_path, "scancel") == []


class Job:
    """A job as dask-jobqueue has them, which is cancelled as it is told."""

    cancel_command = "scancel"
    job_id = "12"

    def __init__(self, cancel: Callable[[], Awaitable[None]]) -> None:
        self.cancel = cancel

    async def start(self) -> None: ...

    async def close(self) -> None:
        await self.cancel()


async def never() -> None:
    await asyncio.Event().wait()


async def absent() -> None:
    raise FileNotFoundError(errno.ENOENT, "No such file or directory", "scancel")


async def done() -> None: ...


@pytest.mark.parametrize(
    ("cancel", "told"),
    [
        (never, "1 job not cancelled: the batch system does not answer; .*: scancel 12"),
        (absent, "1 job not cancelled: .*No such file or directory: 'scancel'; .*: scancel 12"),
        (done, None),
    ],
)
def test_jobs_that_may_still_be_there_are_told_of(
    cancel: Callable[[], Awaitable[None]], told: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobqueue, "_CANCELS_WITHIN", 0.1)
    monkeypatch.setattr(jobqueue, "_ANSWERS_WITHIN", 0.1)
    tracked = jobqueue.tracking_jobs(Job)

    async def come_and_go() -> None:
        job = tracked(cancel)
        await job.start()
        await asyncio.wait_for(job.close(), 60)

    asyncio.run(come_and_go())
    found = jobqueue.describe_uncancelled(SimpleNamespace(job_cls=tracked))
    assert found == told if told is None else re.fullmatch(told, str(found))
