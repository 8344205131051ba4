"""The cores and the memory that this process may use, counted as Dask counts them.

Dask itself takes long to load.
"""

from __future__ import annotations

import contextlib
import math
import os
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_MEMORY = (
    *("memory/memory.limit_in_bytes", "memory/memory.soft_limit_in_bytes"),
    *("memory.max", "memory.high"),
)


def cores() -> int:
    """Return the number of cores that this process may use, at least 1."""
    if hasattr(os, "sched_getaffinity"):  # macOS has none.
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count() or 1
    quota, period = _quota()
    if quota > 0 and period > 0:
        count = min(count, math.ceil(quota / period))
    return max(1, count)


def memory() -> int:
    """Return the bytes of memory that this process and its children may use."""
    import psutil  # It takes a while to load.

    limit = int(psutil.virtual_memory().total)
    for name in _MEMORY:
        with contextlib.suppress(OSError, ValueError):  # It may be "max".
            limit = min(limit, int((_CGROUPS / name).read_text(encoding="ascii")) or limit)
    return limit


def _quota() -> tuple[int, int]:
    """Return the container's processor time per period, and the period; zeros if unlimited."""
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
