"""Schedulers and workers that somebody else started, in their own processes."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.support.clusters import wait_until


@contextlib.contextmanager
def foreign_cluster(
    folder: Path,
    *options: str,
    workers: int = 1,
    preload: str | None = None,
    both: Sequence[str] = (),
    worker_options: Sequence[str] = (),
    hosts: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
    scheduler_environ: Mapping[str, str] | None = None,
    silence: str = "120s",
) -> Iterator[str]:
    """``dask scheduler`` and ``dask worker``, and the scheduler's address.

    Args:
        options: of the scheduler.
        preload: Python code that the scheduler runs first.
        both: options of the scheduler and of the workers.
        worker_options: of the workers alone.
        hosts: addresses of workers, one of each, instead of some on 127.0.0.1.
        environ, scheduler_environ: variables that the workers, and the scheduler, have besides.
        silence: after which they give each other up.
    """
    file = folder / "scheduler.json"
    scheduler = ["scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file)]
    if "--no-dashboard" not in options:
        scheduler += ["--dashboard-address", "127.0.0.1:0"]
    if preload is not None:
        (folder / "first.py").write_text(preload)
        scheduler += ["--preload", str(folder / "first.py")]
    worker = ["worker", "--scheduler-file", str(file), "--nthreads", "1"]
    worker += ["--dashboard-address", "127.0.0.1:0", *both, *worker_options]
    with contextlib.ExitStack() as stack:
        scheduler += [*options, *both]
        all_workers = [[*worker, "--host", host] for host in hosts or ["127.0.0.1"] * workers]
        for command in (scheduler, *all_workers):
            variables = scheduler_environ if command is scheduler else environ
            patient = {"DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP": silence, **(variables or {})}
            stack.enter_context(_running(command, folder, patient))
            wait_until(lambda: file.exists() and file.read_text().strip().endswith("}"))
        yield str(json.loads(file.read_text())["address"])


@contextlib.contextmanager
def _running(command: list[str], folder: Path, variables: Mapping[str, str]) -> Iterator[None]:
    with open(folder / f"{command[0]}.log", "ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "dask", *command],
            cwd=folder,
            env={**os.environ, **variables},
            stdout=log,
            stderr=log,
        )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
