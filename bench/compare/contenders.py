"""What is measured: a program is a value, and each run of it a process from start to end."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.compare.records import count_tfrecords
from bench.settings import HERE, SCRATCH

ROOT = HERE.parent
_LAST_WORDS = 2000  # characters of a log that an error shows
_GRACE = 10.0  # seconds that processes have to end after the one that started them


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A program that prepares images.

    Attributes:
        name: what it is called in tables.
        command: its command line; ``{source}``, ``{output}`` and ``{per_shard}`` in its words
            stand for the folder of images, the folder for its output and images per shard.
        checkout: the folder that it runs in and imports its modules from.
        count: returns the number of images in an output; None if there is none.
    """

    name: str
    command: tuple[str, ...]
    checkout: Path = ROOT
    count: Callable[[Path], int] | None = count_tfrecords


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One run of one program on images of a folder."""

    contender: Contender
    source: Path
    images: int
    images_per_shard: int

    def command(self, output: Path) -> list[str]:
        """Return the command line that writes to ``output``."""
        values = {"source": self.source, "output": output, "per_shard": self.images_per_shard}
        return [word.format_map(values) for word in self.contender.command]


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


def prep_program(
    name: str, *words: str, checkout: Path = ROOT, count: Callable[[Path], int] | None = None
) -> Contender:
    """Return ``prep`` of a checkout, with the interpreter that runs this."""
    start = (sys.executable, "-c", "from prep.cli.main import main; main()")
    return Contender(name=name, command=(*start, *words), checkout=checkout, count=count)


def time_job(job: Job) -> Timing:
    """Run a job to its end, and check that it has written what it should."""
    ours = _children()
    with _adopting_orphans(), started(job) as (process, _):
        begun, busy = time.perf_counter(), _busy_seconds()
        _, status, usage = os.wait4(process.pid, 0)
        wall, busy = time.perf_counter() - begun, _busy_seconds() - busy
        process.returncode = os.waitstatus_to_exitcode(status)
        cpu = usage.ru_utime + usage.ru_stime + _reap(_children() - ours)
    others = max(busy - cpu, 0.0) / (wall * (psutil.cpu_count() or 1))
    return Timing(wall=wall, cpu=cpu, others=others)


@contextlib.contextmanager
def started(job: Job) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """Start a job, and yield it with its output folder; in the end, check and remove that."""
    SCRATCH.mkdir(parents=True, exist_ok=True)
    os.sync()  # What an earlier run has left to be written is not this one's to wait for.
    folder = Path(tempfile.mkdtemp(dir=SCRATCH))
    output, log = folder / "shards", folder / "log.txt"
    checkout = str(job.contender.checkout)
    try:
        with open(log, "wb") as file:
            process = subprocess.Popen(
                job.command(output),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                cwd=checkout,
                env={**os.environ, "PYTHONPATH": checkout},
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


def _check(job: Job, exit_code: int, output: Path, log: Path) -> None:
    contender = job.contender
    found = contender.count(output) if exit_code == 0 and contender.count else job.images
    if exit_code != 0 or found != job.images:
        raise RuntimeError(
            f"{contender.name} ended with {exit_code} and {found:,} images, expected "
            f"{job.images:,}:\n{log.read_text(errors='replace')[-_LAST_WORDS:]}"
        )


@contextlib.contextmanager
def _adopting_orphans() -> Iterator[None]:
    """Have processes whose parent ends become children of this one, so that their time counts."""
    _become_subreaper(True)
    try:
        yield
    finally:
        _become_subreaper(False)


def _become_subreaper(wanted: bool) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(36, int(wanted), 0, 0, 0)  # PR_SET_CHILD_SUBREAPER


def _children() -> Set[int]:
    return {child.pid for child in psutil.Process().children()}


def _reap(pids: Set[int]) -> float:
    """Wait for processes that a job has left behind; return their processor time in seconds."""
    cpu, deadline = 0.0, time.monotonic() + _GRACE
    while pids:
        for pid in sorted(pids):
            done, _, usage = os.wait4(pid, os.WNOHANG)
            if done:
                cpu += usage.ru_utime + usage.ru_stime
                pids = pids - {pid}
            elif time.monotonic() > deadline:
                os.kill(pid, 9)
        time.sleep(0.05)
    return cpu


def _busy_seconds() -> float:
    """Return the seconds that all cores were at work since the start of the machine."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0))
