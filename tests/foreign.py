"""Schedulers and workers that somebody else has started, as processes of their own."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from clusters import wait_until


@contextlib.contextmanager
def foreign_cluster(
    folder: Path, *options: str, workers: int = 1, preload: str | None = None
) -> Iterator[str]:
    """``dask scheduler`` and ``dask worker``, and the scheduler's address.

    Args:
        options: of the scheduler.
        preload: Python code that the scheduler runs first.
    """
    file = folder / "scheduler.json"
    scheduler = ["scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file)]
    if "--no-dashboard" not in options:
        scheduler += ["--dashboard-address", "127.0.0.1:0"]
    if preload is not None:
        (folder / "first.py").write_text(preload)
        scheduler += ["--preload", str(folder / "first.py")]
    worker = ["worker", "--scheduler-file", str(file), "--nthreads", "1"]
    worker += ["--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0"]
    with contextlib.ExitStack() as stack:
        for command in (scheduler + list(options), *([worker] * workers)):
            stack.enter_context(_running(command, folder))
            wait_until(lambda: file.exists() and file.read_text().strip().endswith("}"))
        yield str(json.loads(file.read_text())["address"])


@contextlib.contextmanager
def _running(command: list[str], folder: Path) -> Iterator[None]:
    with open(folder / f"{command[0]}.log", "ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "dask", *command],
            cwd=folder,
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
