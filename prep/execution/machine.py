"""What this process may use of its machine, as Dask counts it: Dask itself takes long to load.

Whether this process can start worker processes; where not, what to do about it.

Each of them begins by importing the script of the process that starts it. A script without the
guard of multiprocessing would do there all that it does, and never get as far as to be a worker.
"""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from prep.errors import UsageError

_CGROUPS = Path("/sys/fs/cgroup")
_MEMORY = (
    *("memory/memory.limit_in_bytes", "memory/memory.soft_limit_in_bytes"),
    *("memory.max", "memory.high"),
)


def cores() -> int:
    """Return how many cores there are for this process, at least one."""
    if hasattr(os, "sched_getaffinity"):  # macOS has none.
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count() or 1
    quota, period = _quota()
    if quota > 0 and period > 0:
        count = min(count, math.ceil(quota / period))
    return max(1, count)


def memory() -> int:
    """Return how many bytes of memory there are for this process and those that it starts."""
    import psutil  # It takes a while to load.

    limit = int(psutil.virtual_memory().total)
    for name in _MEMORY:
        with contextlib.suppress(OSError, ValueError):  # It may be "max".
            limit = min(limit, int((_CGROUPS / name).read_text(encoding="ascii")) or limit)
    return limit


def _quota() -> tuple[int, int]:
    """Processor time that a container may take of each period; zeros where nothing is said."""
    for name in ("cpuacct,cpu", "cpu,cpuacct"):
        with contextlib.suppress(OSError, ValueError):
            quota, period = (
                int((_CGROUPS / name / f"cpu.cfs_{kind}_us").read_text(encoding="ascii"))
                for kind in ("quota", "period")
            )
            return quota, period
    with contextlib.suppress(OSError, ValueError):
        group = Path("/proc/self/cgroup").read_text(encoding="ascii").strip().split(":")[-1]
        path = _CGROUPS / group.strip("/") / "cpu.max"
        quota, period = map(int, path.read_text(encoding="ascii").split())  # It may be "max".
        return quota, period
    return 0, 0


# Where a process that only imports a script leaves word for the one that has started it.
_WORD = "PREP_SCRIPT_WITHOUT_GUARD"
_NO_GUARD = (
    "each worker process begins by importing the script that starts it, and this one starts a "
    'cluster when it is imported: put what it does under if __name__ == "__main__":'
)


_NO_SCRIPT = (
    "each worker process begins by importing the script that starts it, and this one came from "
    "standard input: write it to a file, and run that"
)


def require_home() -> None:
    """Raise UsageError where the user has no home folder, which parts of the dashboard need."""
    try:
        Path.home()
    except RuntimeError:
        raise UsageError(
            "HOME is not set, and this user has no home folder, which Dask's dashboard needs for "
            "its settings; set HOME to any folder, such as HOME=/tmp"
        ) from None


def end_if_only_imported() -> None:
    """Raise UsageError, or end the process, where it only imports its script to become a worker.

    A process that is there to become a worker of ours ends without a word on the terminal: whoever
    has started it gets it (:func:`told_of_a_missing_guard`), and tells it once.
    """
    process = multiprocessing.current_process()
    if getattr(process, "_inheriting", False):  # So multiprocessing itself finds it out.
        if (place := os.environ.get(_WORD)) is None:
            raise UsageError(_NO_GUARD)
        with contextlib.suppress(OSError):
            Path(place, str(os.getpid())).touch()
        raise SystemExit(1)


def require_spawnable() -> None:
    """Raise UsageError where Python would let this process start no others."""
    end_if_only_imported()
    script = getattr(sys.modules["__main__"], "__file__", None)
    if script == "<stdin>":  # python - < script.py
        raise UsageError(_NO_SCRIPT)
    if multiprocessing.current_process().daemon:
        raise UsageError(
            "a process with daemon=True (Dask's workers are such) can't start others; start it "
            "with daemon=False, or give prep a client of a cluster that was started elsewhere"
        )


@contextlib.contextmanager
def told_of_a_missing_guard() -> Iterator[Callable[[], None]]:
    """Give what raises UsageError if a process started in the block has found no guard."""
    try:
        place = tempfile.mkdtemp(prefix="prep-")
    except OSError:  # Then a cluster will hardly start, and says why.
        yield lambda: None
        return
    os.environ[_WORD] = place

    def require_guard() -> None:
        if os.listdir(place):
            raise UsageError(_NO_GUARD) from None

    try:
        yield require_guard
    finally:
        os.environ.pop(_WORD, None)
        shutil.rmtree(place, ignore_errors=True)


def in_notebook() -> bool:
    """Whether this process is a notebook's kernel, and not a script or IPython at a terminal."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None
