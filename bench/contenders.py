"""The programs that are measured, each as a process from start to end."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from bench.settings import HERE, QUALITY, SCRATCH, SIZE, SPLIT

Name = Literal["article", "prep", "prep_area"]
NAMES: tuple[Name, ...] = ("article", "prep", "prep_area")

_PREP = [sys.executable, "-c", "from prep.cli.main import main; main()", "run"]
_FRAME = 16  # bytes around a record's data: its length, and two checksums


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One run of one program."""

    name: Name
    source: Path
    images: int
    images_per_shard: int

    def command(self, output: Path) -> list[str]:
        source, target, per_shard = str(self.source), str(output), str(self.images_per_shard)
        if self.name == "article":
            return [sys.executable, "-m", "bench.article", source, target, per_shard]
        options = {
            "source": source,
            "output": target,
            "images-per-shard": per_shard,
            "size": str(SIZE),
            "quality": str(QUALITY),
            "interpolation": "area" if self.name == "prep_area" else "linear",
        }
        return _PREP + [word for key, value in options.items() for word in (f"--{key}", value)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """The duration of a run.

    Attributes:
        wall: seconds from start to end.
        cpu: seconds of processor time, of the process and all that it started.
        others: share of the cores (0 to 1) that others took meanwhile: other programs, and other
            guests of a virtual machine's host. Times are only worth something where it is small.
    """

    wall: float
    cpu: float
    others: float


def time_job(job: Job) -> Timing:
    """Runs a job to its end, and checks that it has written what it should."""
    with started(job) as (process, _):
        begun, busy = time.perf_counter(), _busy_seconds()
        _, status, usage = os.wait4(process.pid, 0)
        wall, busy = time.perf_counter() - begun, _busy_seconds() - busy
        process.returncode = os.waitstatus_to_exitcode(status)
    cpu = usage.ru_utime + usage.ru_stime
    others = max(busy - cpu, 0.0) / (wall * psutil.cpu_count())
    return Timing(wall=wall, cpu=cpu, others=others)


@contextlib.contextmanager
def started(job: Job) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A running job and its output folder, which is checked and then removed at the end."""
    SCRATCH.mkdir(parents=True, exist_ok=True)
    os.sync()  # What an earlier run has left to be written is not this one's to wait for.
    folder = Path(tempfile.mkdtemp(dir=SCRATCH))
    output, log = folder / "shards", folder / "log.txt"
    try:
        with open(log, "wb") as file:
            process = subprocess.Popen(
                job.command(output), stdout=file, stderr=file, cwd=HERE.parent
            )
        try:
            yield process, output
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
        _check(job, process.returncode, output, log)
    finally:
        shutil.rmtree(folder)


def _busy_seconds() -> float:
    """Seconds that the cores were at work since the start of the machine, all cores together."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0))


def _check(job: Job, exit_code: int, output: Path, log: Path) -> None:
    records = sum(_count_records(path) for path in (output / SPLIT).glob("*.tfrecord"))
    if exit_code != 0 or records != job.images:
        raise RuntimeError(
            f"{job.name} ended with {exit_code} and {records} records, expected {job.images}:\n"
            + log.read_text(errors="replace")[-2000:]
        )


def _count_records(path: Path) -> int:
    count = 0
    with open(path, "rb") as file:
        while length := file.read(8):
            file.seek(int.from_bytes(length, "little") + _FRAME - 8, os.SEEK_CUR)
            count += 1
    return count
