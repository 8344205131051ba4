"""What may be wrong with the processes of a cluster, told from facts about them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from prep.text import duration, one_line, size_text

Level = Literal["error", "warning"]
_START_SOME = "start some (Dask's setting prep.wait-for-workers says how long a run waits for them)"
_OF_JOBS = (
    "correct the queue, account or resources in the cluster file, or wait longer (Dask's setting "
    "prep.wait-for-workers)"
)
Facts = Mapping[str, Any]

# Other versions of these write other bytes.
_CODECS = ("numpy", "opencv", "pillow", "simplejpeg", "zlib")
_CLOCK = 5.0  # seconds: less is nothing to speak of
_SILENCE = 60.0  # seconds for which a host may be silent, and go on thereafter


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Something that is wrong with a cluster.

    Attributes:
        level: ``error`` if a run would fail or give other bytes, else ``warning``.
        where: the processes or hosts.
        what: what was found, and what it leads to.
        remedy: the one thing to do.
    """

    level: Level
    where: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}; {self.remedy}"


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
        troubles: what is wrong, errors first.
    """

    hosts: tuple[HostState, ...]
    troubles: tuple[Trouble, ...]

    @property
    def errors(self) -> tuple[Trouble, ...]:
        return tuple(trouble for trouble in self.troubles if trouble.level == "error")

    @property
    def warnings(self) -> tuple[Trouble, ...]:
        return tuple(trouble for trouble in self.troubles if trouble.level == "warning")

    def summary(self) -> str:
        """One line."""
        if not self.troubles:
            return "OK: nothing would stop or slow a run"
        return f"errors: {len(self.errors)}, warnings: {len(self.warnings)}"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def merged(troubles: Mapping[str, list[Trouble]], count: int) -> tuple[Trouble, ...]:
    """The same trouble of several processes as one, errors first.

    Args:
        troubles: by process.
        count: of all workers that were asked.
    """
    places: dict[tuple[Level, str, str], list[str]] = {}
    for process, found in troubles.items():
        for trouble in found:
            places.setdefault((trouble.level, trouble.what, trouble.remedy), []).append(process)
    made = [
        Trouble(level=level, where=_named(processes, count), what=what, remedy=remedy)
        for (level, what, remedy), processes in places.items()
    ]
    return tuple(sorted(made, key=lambda trouble: trouble.level))


def _named(processes: list[str], count: int) -> str:
    workers = [process for process in processes if process != "scheduler"]
    if len(workers) == count > 1:
        return f"all {count} workers" + (" and the scheduler" if workers != processes else "")
    more = f" and {len(processes) - 3} more" if len(processes) > 3 else ""
    return ", ".join(processes[:3]) + more


def software_troubles(here: Facts, there: Facts, *, scheduler: bool = False) -> Iterator[Trouble]:
    """In what the software of a process is not that of this one.

    Args:
        here, there: from :func:`prep.execution.preflight.software.describe_process`.
        scheduler: whether it only has to understand what is to be done, not to do it.
    """
    for name, expected in here["versions"].items():
        found = there["versions"].get(name)
        if found == expected:
            continue
        if found is None:
            yield _absent(name, expected, there)
            continue
        fatal = name == "prep" or (name in _CODECS and not scheduler)
        fatal = fatal or (name == "python" and _minor(found) != _minor(expected))
        why = ": the shards would differ" if name in _CODECS and fatal else ""
        yield Trouble(
            level="error" if fatal else "warning",
            where="",
            what=f"{name} is {found} there, {expected} here{why}",
            remedy="install the same version everywhere",
        )
    same_version = here["versions"]["prep"] == there["versions"].get("prep")
    if same_version and here["code"] != there["code"]:
        yield Trouble(
            level="warning",
            where="",
            what="prep has the same version number as here, but other code",
            remedy="install the same code everywhere",
        )


def _absent(name: str, expected: str, there: Facts) -> Trouble:
    why = one_line(str(there["broken"].get(name, "not found")))
    return Trouble(
        level="error",
        where="",
        what=f"{name} can't be imported by {there['python']} ({why})",
        remedy=f"install {name} {expected} there, or start the process with another Python",
    )


def _minor(version: str) -> list[str]:
    return version.split(".")[:2]


def process_troubles(
    here: Facts, there: Facts, info: Facts, asked: float, answered: float
) -> Iterator[Trouble]:
    """Find what may cost time or shards in a worker's process and on its host.

    Args:
        info: what the scheduler knows of the worker.
        asked, answered: when, by this host's clock.
    """
    if here["machine"] != there["machine"]:
        yield _warning(
            f"its processor is {there['machine']}, here it is {here['machine']}: another kind may "
            "write other bytes",
            "use one kind of processor if you need reproducible bytes",
        )
    skew = max(asked - there["time"], there["time"] - answered)
    if skew > _CLOCK:
        yield _warning(
            f"its clock is {skew:.0f} s off: file times and certificates may be wrong, shards are "
            "not",
            "synchronise the clocks (NTP)",
        )
    if info["nthreads"] != 1:
        yield _warning(
            f"{info['nthreads']} threads share one process, which decodes about as fast as one",
            "start one worker per core, each with --nthreads 1",
        )
    if not info.get("nanny"):
        yield _warning(
            "it has no nanny: if an image crashes it, nothing starts it again",
            "start it without --no-nanny",
        )


def scheduler_troubles(there: Facts) -> Iterator[Trouble]:
    """Find settings of a scheduler that may cost time or shards."""
    saturation, failures = (
        there["config"].get(key) for key in ("worker-saturation", "allowed-failures")
    )
    if saturation is not None and float(saturation) > 1.1:
        yield _warning(
            f"worker-saturation is {saturation}: shards wait at busy workers while others are idle",
            "start it with DASK_DISTRIBUTED__SCHEDULER__WORKER_SATURATION=1.0",
        )
    if failures is not None and int(failures) < 3:
        yield _warning(
            f"allowed-failures is {failures}: a few crashed workers make a shard fail that did not "
            "crash them",
            "start it with DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES=10",
        )


def silence_troubles(there: Facts) -> Iterator[Trouble]:
    """Warn if a process drops connections that are silent for a short time; both sides do."""
    from dask.utils import parse_timedelta  # It takes a while to load.

    value = there["config"].get("timeouts.tcp")
    try:
        seconds = None if value is None else parse_timedelta(value)
    except (ValueError, KeyError, TypeError):
        return  # Dask itself will complain.
    if seconds is not None and seconds < _SILENCE:
        yield _warning(
            f"it will drop hosts that are cut off for {duration(seconds)}, and end their workers "
            "(distributed.comm.timeouts.tcp); a network switch takes about a minute to restart",
            "start it with DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP=120s",
        )


def setup_troubles(probe: Facts) -> Iterator[Trouble]:
    """Find parts of a worker's set-up that have not taken effect."""
    if not probe["keeps_memory"]:
        yield _warning(
            "it returns freed memory to the system at once, which costs a third of the speed",
            "start it with MALLOC_TRIM_THRESHOLD_=134217728 and MALLOC_MMAP_THRESHOLD_=33554432, "
            "also in Dask's setting distributed.nanny.pre-spawn-environ",
        )
    if probe["opencv_threads"] > 1:
        yield _warning(
            f"OpenCV uses {probe['opencv_threads']} threads, expected 1",
            "start it with OPENCV_FOR_THREADS_NUM=1",
        )


def space_trouble(free: int) -> Iterator[Trouble]:
    if free < 1 << 30:  # 1 GiB
        yield _warning(f"only {size_text(free)} are free at the output", "make room")


def _warning(what: str, remedy: str) -> Trouble:
    return Trouble(level="warning", where="", what=what, remedy=remedy)


def worker_troubles(there: int, wanted: int | None, missing: Sequence[str] = ()) -> list[Trouble]:
    """What is wrong with the number of workers.

    Args:
        missing: what is known of a batch system that says why there are none.
    """
    if not there:
        remedy = _OF_JOBS if missing else _START_SOME
        return [error("; ".join(["it has no workers", *missing]), remedy)]
    if wanted is not None and there < wanted:
        what = f"{there} of {wanted} workers have connected; a run begins with these"
        remedy = "if the others should have started by now, look at their logs"
        return [Trouble(level="warning", where="", what=what, remedy=remedy)]
    return []


def job_troubles(not_taken: str | None) -> Iterator[Trouble]:
    """Warn of jobs that the batch system rejected."""
    if not_taken is not None:
        yield _warning(not_taken, "correct that in the cluster file, or ask for fewer workers")


def error(what: str, remedy: str) -> Trouble:
    return Trouble(level="error", where="", what=what, remedy=remedy)


def silent(problem: Exception) -> Trouble:
    """Report a process that can't be asked."""
    told = "it does not answer" if isinstance(problem, TimeoutError) else "it answers with an error"
    what = f"{told} ({type(problem).__name__}: {one_line(str(problem))})"
    return error(what, "look at its log, and restart it")
