"""The rules that processes of a cluster have to meet: from facts about them to findings.

The facts come from :mod:`prep.execution.preflight.software` and
:mod:`prep.execution.preflight.probes`. Findings have no place yet; :func:`merged` gives them one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from prep.output.findings import Finding
from prep.text import duration, one_line, size_text

Facts = Mapping[str, Any]

# Other versions of these write other bytes.
_CODECS = ("cykooz-resizer", "numpy", "opencv", "pillow", "simplejpeg", "zlib")
_CLOCK = 5.0  # seconds that a clock may be off
_SILENCE = 60.0  # seconds for which a host may be silent, and continue thereafter


@dataclass(frozen=True, slots=True, kw_only=True)
class HostState:
    """A host of a cluster.

    Attributes:
        name, address: the host's own.
        workers, threads: number of worker processes, and of their threads.
        cores: number of cores.
        memory: bytes of memory.
        free: bytes free at the output, as the host sees it; None if not known.
    """

    name: str
    address: str
    workers: int
    threads: int
    cores: int
    memory: int
    free: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterCheck:
    """The result of a cluster check.

    Attributes:
        hosts: the hosts with workers.
        findings: what is wrong, errors first.
    """

    hosts: tuple[HostState, ...]
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.level == "error")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.level == "warning")

    def summary(self) -> str:
        """Return the result in one line."""
        if not self.findings:
            return "OK: nothing would stop or slow a run"
        return f"errors: {len(self.errors)}, warnings: {len(self.warnings)}"

    def to_json(self) -> dict[str, Any]:
        keys = ("level", "where", "what", "remedy")
        return {
            "hosts": [asdict(host) for host in self.hosts],
            "troubles": [{key: getattr(one, key) for key in keys} for one in self.findings],
        }


def error(what: str, remedy: str) -> Finding:
    """Return a finding that would make a run fail, or write other bytes."""
    return Finding(level="error", where="", what=what, remedy=remedy)


def warning(what: str, remedy: str) -> Finding:
    """Return a finding that would cost a run time."""
    return Finding(level="warning", where="", what=what, remedy=remedy)


def merged(findings: Mapping[str, list[Finding]], count: int) -> tuple[Finding, ...]:
    """Return each finding once, with all processes that have it as its place; errors first.

    Args:
        findings: by process.
        count: number of workers that were asked.
    """
    places: dict[Finding, list[str]] = {}
    for process, found in findings.items():
        for finding in found:
            places.setdefault(finding, []).append(process)
    placed = (replace(one, where=_place(where, count)) for one, where in places.items())
    return tuple(sorted(placed, key=lambda finding: finding.level))


def _place(processes: list[str], count: int) -> str:
    workers = [process for process in processes if process != "scheduler"]
    if len(workers) == count > 1:
        return f"all {count} workers" + (" and the scheduler" if workers != processes else "")
    more = f" and {len(processes) - 3} more" if len(processes) > 3 else ""
    return ", ".join(processes[:3]) + more


def compare_software(here: Facts, there: Facts, *, scheduler: bool = False) -> Iterator[Finding]:
    """Yield how the software of a process differs from that of this one.

    Args:
        here, there: from :func:`prep.execution.preflight.software.describe_process`.
        scheduler: whether the process is one, which runs no tasks.
    """
    for name, expected in here["versions"].items():
        found = there["versions"].get(name)
        if found == expected:
            continue
        if found is None:
            why = one_line(str(there["broken"].get(name, "not found")))
            yield error(
                f"{name} can't be imported by {there['python']} ({why})",
                f"install {name} {expected} there, or start the process with another Python",
            )
            continue
        fatal = name == "prep" or (name in _CODECS and not scheduler)
        fatal = fatal or (name == "python" and _minor(found) != _minor(expected))
        why = ": the shards would differ" if name in _CODECS and fatal else ""
        yield (error if fatal else warning)(
            f"{name} is {found} there, {expected} here{why}", "install the same version everywhere"
        )
    same_version = here["versions"]["prep"] == there["versions"].get("prep")
    if same_version and here["code"] != there["code"]:
        yield warning(
            "prep has the same version number as here, but other code",
            "install the same code everywhere",
        )


def _minor(version: str) -> list[str]:
    return version.split(".")[:2]


def check_process(
    here: Facts, there: Facts, info: Facts, asked: float, answered: float
) -> Iterator[Finding]:
    """Yield what may cost time or shards in a worker's process and on its host.

    Args:
        here, there: facts about this process and the worker's.
        info: what the scheduler knows of the worker.
        asked, answered: when, by this host's clock, in seconds since 1970.
    """
    if here["machine"] != there["machine"]:
        yield warning(
            f"its processor is {there['machine']}, here it is {here['machine']}: another kind may "
            "write other bytes",
            "use one kind of processor if you need reproducible bytes",
        )
    skew = max(asked - there["time"], there["time"] - answered)
    if skew > _CLOCK:
        yield warning(
            f"its clock is {skew:.0f} s off: file times and certificates may be wrong, shards are "
            "not",
            "synchronise the clocks (NTP)",
        )
    if info["nthreads"] != 1:
        yield warning(
            f"{info['nthreads']} threads share one process, which decodes about as fast as one",
            "start one worker per core, each with --nthreads 1",
        )
    if not info.get("nanny"):
        yield warning(
            "it has no nanny: if an image crashes it, nothing starts it again",
            "start it without --no-nanny",
        )


def check_scheduler(there: Facts) -> Iterator[Finding]:
    """Yield settings of a scheduler that may cost time or shards."""
    saturation, failures = (
        there["config"].get(key) for key in ("worker-saturation", "allowed-failures")
    )
    if saturation is not None and float(saturation) > 1.1:
        yield warning(
            f"worker-saturation is {saturation}: shards wait at busy workers while others are idle",
            "start it with DASK_DISTRIBUTED__SCHEDULER__WORKER_SATURATION=1.0",
        )
    if failures is not None and int(failures) < 3:
        yield warning(
            f"allowed-failures is {failures}: a few crashed workers make a shard fail that did not "
            "crash them",
            "start it with DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES=10",
        )


def check_timeout(there: Facts) -> Iterator[Finding]:
    """Yield that a process drops connections too soon, if it does; both sides have to wait."""
    from dask.utils import parse_timedelta  # It takes a while to load.

    value = there["config"].get("timeouts.tcp")
    try:
        seconds = None if value is None else parse_timedelta(value)
    except (ValueError, KeyError, TypeError):
        return  # Dask itself will complain.
    if seconds is not None and seconds < _SILENCE:
        yield warning(
            f"it will drop hosts that are cut off for {duration(seconds)}, and end their workers "
            "(distributed.comm.timeouts.tcp); a network switch takes about a minute to restart",
            "start it with DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP=120s",
        )


def check_setup(probe: Facts) -> Iterator[Finding]:
    """Yield the parts of a worker's set-up that have not taken effect."""
    if not probe["keeps_memory"]:
        yield warning(
            "it returns freed memory to the system at once, which costs a third of the speed",
            "start it with MALLOC_TRIM_THRESHOLD_=134217728 and MALLOC_MMAP_THRESHOLD_=33554432, "
            "also in Dask's setting distributed.nanny.pre-spawn-environ",
        )
    if probe["opencv_threads"] > 1:
        yield warning(
            f"OpenCV uses {probe['opencv_threads']} threads, expected 1",
            "start it with OPENCV_FOR_THREADS_NUM=1",
        )


def check_space(free: int | None) -> Iterator[Finding]:
    """Yield that there is little space at the output, if so. None stands for an unknown size."""
    if free is not None and free < 1 << 30:  # 1 GiB
        yield warning(f"only {size_text(free)} are free at the output", "make room")


def check_number_of_workers(
    there: int, wanted: int | None, jobs: Sequence[str] = ()
) -> Iterator[Finding]:
    """Yield that there are too few workers, if so.

    Args:
        there, wanted: number of workers; None if it is not known how many there should be.
        jobs: what is known of a batch system's jobs.
    """
    if not there:
        setting = "Dask's setting prep.wait-for-workers"
        yield error(
            "; ".join(["it has no workers", *jobs]),
            "correct the queue, account or resources in the cluster file, or wait longer "
            f"({setting})"
            if jobs
            else f"start some ({setting} says how long a run waits for them)",
        )
    elif wanted is not None and there < wanted:
        yield warning(
            f"{there} of {wanted} workers have connected; a run begins with these",
            "if the others should have started by now, look at their logs",
        )


def not_answering(problem: Exception) -> Finding:
    """Return the finding for a process that can't be asked."""
    told = "it does not answer" if isinstance(problem, TimeoutError) else "it answers with an error"
    what = f"{told} ({type(problem).__name__}: {one_line(str(problem))})"
    return error(what, "look at its log, and restart it")
