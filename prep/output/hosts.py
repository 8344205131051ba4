"""The plan of an output, as a process on any host finds it."""

from __future__ import annotations

import os
import socket
from functools import lru_cache

from prep.errors import OutputConflict, OutputNotSeen
from prep.output.journal import Journal
from prep.planning.plan import RunPlan
from prep.settings import RGB, Encoding


@lru_cache(maxsize=4)
def open_plan(output: str, digest: str, run: str) -> RunPlan:
    """The plan of an output, read once per process and run.

    Raises:
        OutputConflict: it is not the one with this digest (another run has replaced it).
        OutputNotSeen: there is none.
    """
    plan = Journal(output).stored_plan()
    if plan is None:
        raise not_seen(output)
    if plan.fingerprint.digest != digest:
        raise taken_over(output)
    return plan


def not_seen(output: str) -> OutputNotSeen:
    """The error of a shard that finds no plan in its output."""
    return OutputNotSeen(
        f"output: expected the plan of this run in {output}, {socket.gethostname()} finds none; "
        "mount the output under the same path on all hosts, or give the host's own path under "
        "mounts in the cluster file; if the output was removed, run the same command again"
    )


def taken_over(output: str) -> OutputConflict:
    """The error of a shard that finds another run's plan in its output."""
    return OutputConflict(
        f"output: {output} has been taken over by another run; wait for it to end, or choose "
        "another output"
    )


def known_encoding(shard: str) -> tuple[Encoding, RGB | None] | None:
    """How a shard's images are encoded, and the mean that was subtracted, if its output says so.

    Args:
        shard: its path or URL, as every process is told it.
    """
    plan = Journal(os.path.dirname(os.path.dirname(shard))).stored_plan()
    return (plan.settings.encoding, plan.settings.mean) if plan else None
