"""Memory of the processes and use of the cores, sampled from outside while a job runs.

These are runs of their own: looking costs a little, so none of them is timed.
"""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.compare.contenders import Job, started
from bench.settings import SPLIT

_EVERY = 0.25  # seconds
_BUSY = 95.0  # percent, from which a core counts as busy
_MARGIN = 0.1  # share of the time that is left out at either end


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One look.

    Attributes:
        time: seconds since the epoch, as file times are.
        cores: use of each core in percent, by whomever.
        cpu: seconds of processor time so far, of the job's processes.
    """

    time: float
    cores: tuple[float, ...]
    cpu: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreUse:
    """Use of the cores in the steady part, shares from 0 to 1.

    Attributes:
        mean: of all cores, by whomever.
        all_busy: share of the samples in which every core was busy for more than 95 %.
        own: of all cores, by the job's own processes.
        samples: how many there were.
    """

    mean: float
    all_busy: float
    own: float
    samples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """The most memory of a process, in bytes.

    Attributes:
        resident: by the kernel's own high-water mark, where it keeps one.
        private: the most of that, of what was seen, that it shares with no other process.
    """

    resident: int = 0
    private: int = 0

    def at_least(self, resident: int, private: int) -> Memory:
        """Return the larger of each."""
        return Memory(resident=max(self.resident, resident), private=max(self.private, private))


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """Observations of one job.

    Attributes:
        workers: of each worker process.
        client: of the process that was started.
        cores: None where the steady part was too short to say.
    """

    job: Job
    workers: tuple[Memory, ...]
    client: Memory
    cores: CoreUse | None


class _Tree:
    """The processes of a job, and the most memory that each has had."""

    def __init__(self, root: psutil.Process) -> None:
        self._root = root
        self._processes = {root.pid: root}
        self._cpu: dict[int, float] = {}
        self._peaks: dict[int, Memory] = {}

    def find_children(self) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            for process in processes_below(self._root):
                self._processes.setdefault(process.pid, process)

    def look(self) -> None:
        for pid, process in self._processes.items():
            with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                times = process.cpu_times()
                self._cpu[pid] = times.user + times.system
                peak = self._peaks.get(pid, Memory())
                self._peaks[pid] = peak.at_least(peak_memory(process), _private_memory(process))

    @property
    def cpu(self) -> float:
        return sum(self._cpu.values())

    @property
    def client(self) -> Memory:
        return self._peaks.get(self._root.pid, Memory())

    @property
    def workers(self) -> tuple[Memory, ...]:
        return tuple(peak for pid, peak in self._peaks.items() if pid != self._root.pid)


def observe(job: Job) -> Observation:
    """Run a job, and look at it several times a second."""
    with started(job) as (process, output):
        tree = _Tree(psutil.Process(process.pid))
        samples = list(_watch(process, tree))
        steady = _steady_part(output / SPLIT)
    within = [sample for sample in samples if steady[0] <= sample.time <= steady[1]]
    return Observation(job=job, workers=tree.workers, client=tree.client, cores=_core_use(within))


def _watch(process: subprocess.Popen[bytes], tree: _Tree) -> Iterator[Sample]:
    psutil.cpu_percent(percpu=True)  # The first call only sets the start.
    looks = 0
    while process.poll() is None:
        if looks % 4 == 0:  # Walking the process table costs more than all the rest.
            tree.find_children()
        looks += 1
        tree.look()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_EVERY)
        yield Sample(time=time.time(), cores=tuple(psutil.cpu_percent(percpu=True)), cpu=tree.cpu)


def _steady_part(folder: Path) -> tuple[float, float]:
    """Return from when to when all workers were at work, by the times of the shards."""
    times = [path.stat().st_mtime for path in folder.glob("*.tfrecord")]
    margin = (max(times) - min(times)) * _MARGIN
    return min(times) + margin, max(times) - margin


def _core_use(samples: Sequence[Sample]) -> CoreUse | None:
    if len(samples) < 3:
        return None
    first, last = samples[0], samples[-1]
    cores = len(first.cores)
    return CoreUse(
        mean=statistics.fmean(use for sample in samples for use in sample.cores) / 100,
        all_busy=statistics.fmean(min(sample.cores) > _BUSY for sample in samples),
        own=(last.cpu - first.cpu) / (last.time - first.time) / cores,
        samples=len(samples),
    )


def peak_memory(process: psutil.Process) -> int:
    """Return the kernel's own high-water mark where it keeps one: it misses nothing."""
    try:
        status = Path(f"/proc/{process.pid}/status").read_text()
        kilobytes = status.partition("VmHWM:")[2].split(maxsplit=1)[0]
        return int(kilobytes) << 10
    except (OSError, IndexError):
        return int(process.memory_info().rss)


def _private_memory(process: psutil.Process) -> int:
    """Return the bytes that no other process shares; 0 where the system does not say."""
    try:
        lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Private_"))


def processes_below(root: psutil.Process) -> list[psutil.Process]:
    """Return the processes that one has started, and those that these have: a server, forks of it.

    Those that only keep track of resources for multiprocessing are left out.
    """
    return [process for process in root.children(recursive=True) if not _is_helper(process)]


def _is_helper(process: psutil.Process) -> bool:
    """Return whether a process only keeps track of shared resources for multiprocessing."""
    return any("resource_tracker" in word for word in process.cmdline())
