"""Runs and verifications in this process, one shard after the other: no worker has to start."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import prep
from prep.execution.executor import TaskEvent, Tasks, Workload
from prep.execution.writing import write_counted
from prep.monitoring.events import emitting
from prep.monitoring.runwatch import RunInfo
from prep.monitoring.watches import OwnWatch
from prep.operations.audit import audit, shards_to_read
from prep.operations.growth.appending import Aim
from prep.operations.running.carrying_out import carry_out
from prep.output.findings import Finding
from prep.output.journal import Journal
from prep.output.report.report import RunReport

T = TypeVar("T")
S = TypeVar("S")


class SerialExecutor:
    """Runs tasks in this process."""

    dashboard = ""
    threads = 1
    write_shard = staticmethod(write_counted)

    def require_fit(self, *, readable: Sequence[str] = (), writable: str | None = None) -> None:
        """Do nothing: this process fits."""

    def watch(self, info: RunInfo) -> OwnWatch:
        return OwnWatch(info, list)

    def run_tasks(self, tasks: Tasks[S, T], on_event: Callable[[TaskEvent[T]], None]) -> T | None:
        results: list[T] = []
        failed = False
        for number, item in enumerate(tasks.items):
            try:
                results.append(tasks.function(item))
            except Exception as error:
                failed = True
                on_event(TaskEvent(task=number, error=error))
            else:
                on_event(TaskEvent(task=number, result=results[-1]))
        return None if failed or tasks.merge is None else tasks.merge(results)


@contextlib.contextmanager
def _start(_: Workload, __: Callable[[str], None]) -> Iterator[SerialExecutor]:
    yield SerialExecutor()


def run_here(config: prep.Config, aim: Aim = "continue") -> RunReport:
    """Carry out a run."""
    return carry_out(config, _start, aim=aim)


def problems_in(output: str | Any) -> tuple[Finding, ...]:
    """Return what a verification finds wrong with an output."""
    journal = Journal(output)
    stored = journal.stored_plan()
    assert stored is not None
    with emitting([]) as events:
        shards = shards_to_read(journal, stored)
        return audit(journal, stored, shards, SerialExecutor(), events).problems
