"""A run, from its plan to a finished output."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

from prep.config.model import Config
from prep.errors import Interrupted, PrepError, ShardError
from prep.execution.executor import Executor, Workload
from prep.execution.interrupts import deferred, pressed_again
from prep.monitoring.events import (
    Callback,
    CancelToken,
    RunStarted,
    emitting,
)
from prep.operations.growth.appending import (
    Aim,
    finish_adoption,
    settled_splits,
    take_over,
    warn_of_growth,
)
from prep.operations.outlook import (
    look_at_output,
    missing_shards,
    require_as_asked,
    require_none_refused,
    require_unchanged,
)
from prep.operations.preparation import plan_images, warn_of_labels, warn_of_labels_that_move
from prep.operations.publish import load_ahead, publish
from prep.operations.running.work import Commits, Run, only_committed, write_missing
from prep.output.journal import Journal
from prep.output.receipt import ShardReceipt, total_receipts
from prep.output.report.making import Effort
from prep.output.report.report import RunReport
from prep.planning.plan import RunPlan
from prep.sources.manifest import entries_of
from prep.sources.registry import planned_source
from prep.storage.retry import answering_within
from prep.text import counted, one_line

#: Starts what is to do the work, once it is known how much there is, and says what it starts.
Start = Callable[[Workload, Callable[[str], None]], AbstractContextManager[Executor]]

_LOGGER = logging.getLogger("prep")

# Receipts that something else removes are written again; it takes one round unless that goes on.
_ROUNDS = 3


def carry_out(
    config: Config,
    start: Start,
    *,
    aim: Aim = "continue",
    callbacks: Iterable[Callback] = (),
    token: CancelToken | None = None,
) -> RunReport:
    """Carry out a run with an executor that is only started if there are shards to write."""
    began = time.perf_counter()
    with emitting(callbacks, token) as events:
        events.stage(f"listing {one_line(str(config.source))}")
        config.grant()
        journal = Journal(config.output)
        planned = plan_images(config, settled_splits(journal, aim), events.stage)
        warn_of_labels(planned)
        # Before even a lock is written.
        found = look_at_output(journal, planned, aim=aim)
        finished = found.finished
        # A finished output may lie where nothing can be written, and so can't be locked.
        with contextlib.nullcontext() if finished else journal.lock():
            if not finished:  # Once more, for another run may just have ended.
                if found.growth is not None:
                    finish_adoption(journal)
                del found  # The receipts that it holds take 5 kB each and more.
                found = look_at_output(journal, planned, aim=aim, locked=True)
            plan = found.plan
            receipts: Sequence[ShardReceipt] = found.receipts
            if found.growth is not None:
                warn_of_growth(found.growth)
            run = Run(
                plan=plan,
                journal=journal,
                before=total_receipts(receipts),
                missing=missing_shards(plan, receipts),
                events=events,
                commits=Commits(events, journal, receipts),
                began=began,
            )
            require_unchanged(plan, journal, receipts)
            require_none_refused(config, receipts)
            events.emit(RunStarted(plan=plan, output=journal.output, resumed_shards=len(receipts)))
            effort = None
            if found.adoptions or found.replaces is not None:
                if found.adoptions:
                    events.stage(f"taking over {counted(len(found.adoptions), 'shard')}")
                take_over(journal, found.replaces, plan, found.adoptions)
            if run.missing:
                del found, receipts
                receipts, effort = _write(run, start, overwrite=aim == "overwrite")
            elif not finished:  # Or else without the lock, and another run may begin right now.
                journal.begin(plan)
            journal.remove_leftovers(plan)  # Those of workers that were killed meanwhile, too.
            report = publish(plan, journal, receipts, effort, tell=events.stage)
        require_as_asked(report)
        events.end(report)
    return report


def _write(run: Run, start: Start, *, overwrite: bool) -> tuple[Sequence[ShardReceipt], Effort]:
    """Write the missing shards of a run.

    Returns:
        The receipts of all shards, and what it took.

    Raises:
        Interrupted: the run was stopped; the message says what is committed.
    """
    plan, journal = run.plan, run.journal
    if overwrite:
        warn_of_labels_that_move(plan, journal)
    workload = Workload(images=sum(shard.images for shard in run.missing), parts=len(run.missing))
    _LOGGER.debug(
        "%s in %s, %d of them committed",
        counted(plan.images, "image"),
        counted(len(plan.shards), "shard"),
        run.resumed_shards,
    )
    try:
        with start(workload, run.events.stage) as executor:
            run.events.token.require_going()
            load_ahead()
            executor.require_fit(readable=_some_files(plan), writable=journal.output)
            journal.require_lock(ask=True)  # Starting a cluster may have taken long.
            if overwrite:
                journal.clear(plan)
            journal.withdraw(plan.counts)
            journal.begin(plan)
            ready = run.seconds
            receipts = _write_until_committed(run, executor)
    except KeyboardInterrupt as error:
        if journal.layout.root.local is not None:
            with deferred():  # Workers of somebody in a hurry were killed at their shards.
                journal.remove_leftovers(plan)
        raise _stopped(run, error) from None
    journal.require_lock(ask=True)
    effort = Effort(
        seconds=run.seconds,
        start_seconds=ready,
        images=workload.images,
        resumed_shards=run.resumed_shards,
    )
    return receipts, effort


def _write_until_committed(run: Run, executor: Executor) -> list[ShardReceipt]:
    """Write shards until the receipts of all are there, and return these.

    Raises:
        ShardError: something else keeps removing them.
    """
    for _ in range(_ROUNDS):
        write_missing(run, executor)
        # Whatever workers have reported, only shards whose receipts are here now are committed.
        receipts = run.journal.committed(run.plan)
        run.commits.tell(receipts)
        missing = missing_shards(run.plan, receipts)
        if not missing:
            return receipts
        run = replace(run, before=total_receipts(receipts), missing=missing)
    raise ShardError(
        f"output: {counted(len(run.missing), 'shard')} in {run.journal.output}, or their receipts, "
        "keep disappearing: something else removes them, such as another run; stop it, and run "
        "the same command again"
    )


def _stopped(run: Run, error: BaseException) -> Interrupted:
    """Tell callbacks what stays of a run that was stopped, and return the error that says so."""
    counts = run.events.counts
    # Ctrl-C once more is enough of an answer.
    committed = None if pressed_again(error) else _what_is_committed(run.plan, run.journal)
    if committed is not None:
        run.commits.tell(committed)
        if counts is not None:
            run.events.emit(only_committed(counts, run.plan, committed))
    seen = max(run.resumed_shards, counts.shards if counts else 0)
    why = run.events.token.reason
    return Interrupted(_how_to_resume(run.plan, seen, committed, why))


def _what_is_committed(plan: RunPlan, journal: Journal) -> Sequence[ShardReceipt] | None:
    """Return the receipts of all shards; None if the storage, maybe why it stops, is silent."""
    with contextlib.suppress(OSError, PrepError, KeyboardInterrupt), answering_within():
        return journal.committed(plan)
    return None


def _how_to_resume(
    plan: RunPlan, seen: int, committed: Sequence[ShardReceipt] | None, why: str
) -> str:
    """Say what stays of a run that was stopped, and how to continue it.

    Args:
        seen: how many shards were seen to be committed.
        committed: the receipts of those that are, if that is known.
        why: the reason for the stop, if a callback has given one.
    """
    shards = f"{len(plan.shards):,} shards"
    known = f"this run has seen {seen:,} of {shards} committed, and these"
    if committed is not None:
        known = f"{len(committed):,} of {shards} are committed and"
    shown = "; `prep.report_page` shows what is there" if committed else ""
    because = f"{why}; " if why else ""
    return f"stopped: {because}{known} stay; run the same command again to continue{shown}"


def _some_files(plan: RunPlan) -> list[str]:
    """Return the files of the first and of the last image, as far as workers find them by name."""
    source = planned_source(plan.config.source, plan.source, None)
    entries = entries_of(plan.manifest.take(sorted({0, plan.images - 1})), plan.classes)
    locations = (source.location(entry.file) for entry in entries)
    return list(dict.fromkeys(location for location in locations if location is not None))
