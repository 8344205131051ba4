"""From a plan to a finished output."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from prep.config import AnyConfig, Config
from prep.display.progress import Stages
from prep.display.stages import ShowOn, stages_of
from prep.errors import Interrupted, OutputConflict, PrepError, ShardError
from prep.execution.clusters.choice import ClusterChoice, choice_of
from prep.execution.executor import Executor, Workload
from prep.execution.interrupts import pressed_again
from prep.execution.placing import placed, require_usable
from prep.operations.outlook import look, missing_shards, require_none_refused, too_many_refused
from prep.operations.plan import plan_images, warn_of_labels
from prep.operations.publish import load_ahead, publish
from prep.operations.writing import Writing
from prep.output.journal import Journal
from prep.output.receipt import ShardReceipt, SplitTotals, Totals, total_receipts
from prep.output.report.duplicates import changed_since_written
from prep.output.report.making import Effort
from prep.output.report.report import RunReport
from prep.output.report.verdict import Verdict
from prep.planning.fingerprint import label_changes
from prep.planning.plan import RunPlan
from prep.planning.shards import ShardSpec
from prep.sources.manifest import entries_of
from prep.sources.registry import open_source
from prep.storage import store
from prep.text import counted, distinct_lines, one_line, quoted

if TYPE_CHECKING:
    from distributed import Client


#: Gives what is to do the work, once it is known how much there is, and tells what it starts.
Start = Callable[[Workload, Callable[[str], None]], AbstractContextManager[Executor]]

_LOGGER = logging.getLogger("prep")

# How often shards are written whose receipts are gone at the end: once, unless somebody takes them.
_ROUNDS = 3


def run(
    config: AnyConfig,
    client: Client | None = None,
    *,
    workers: int | None = None,
    overwrite: bool = False,
    cluster: str | os.PathLike[str] | ClusterChoice | None = None,
    profile: str | None = None,
    progress: ShowOn = None,
    dashboard: bool = False,
) -> RunReport:
    """Prepare a source: write its shards, their mean and a report.

    Shards that are already committed are not written again. So to continue a run that was stopped,
    run it again.

    Args:
        config: what to do: a :class:`prep.Config`, a mapping of its keys, or the path of a JSON,
            YAML or TOML file with them.
        client: a Dask client to use, and leave running. Without one, a cluster is started as
            ``cluster`` says (by default, one process per core), and closed at the end. In a
            notebook it is kept for the next run, and so is one that ``start`` has started. A few
            thousand images are prepared without a cluster, unless you ask for one.
        workers: number of worker processes; no more are started than there are shards to write.
        overwrite: start afresh: remove what earlier runs have written to the output, and any file
            there that has the name of a shard or of another output file. Other files are never
            touched.
        cluster: a cluster file, as for ``prep.cluster``.
        profile: a profile of the cluster file; by default ``local``, or the file's top level.
        progress: whether to show progress; if None, only in a notebook and at a terminal.
        dashboard: use a cluster, which has a dashboard, even for few images.

    Returns:
        What the run has written, as in ``report.json``.

    Raises:
        UsageError: the request can't be carried out. Nothing was written.
        BadImageError: an image was refused, and ``on_bad_image`` is ``fail``.
        TooManyRefused: more images were refused than ``max_refused`` allows. All others are
            written.
        ShardError: shards failed. All others are committed.
        StorageUnavailable: a storage does not answer. Committed shards are kept.
        ClusterError: the cluster can't be started, or the run would fail on it.
        Interrupted: the user stopped the run (also a KeyboardInterrupt). Committed shards are kept.

    A script that lets this start a cluster needs the usual guard of multiprocessing::

        if __name__ == "__main__":
            prep.run(prep.Config(source="photos", output="shards"))
    """
    config = Config.of(config)
    choice = choice_of(cluster, profile, workers, dashboard)
    require_usable(client, choice)
    start = functools.partial(placed, client, choice)
    return carry_out(config, start, overwrite=overwrite, progress=progress)


def carry_out(
    config: Config,
    start: Start,
    *,
    overwrite: bool,
    progress: ShowOn,
) -> RunReport:
    """The same, by what ``start`` gives, which is only called where there is work."""
    started = time.perf_counter()
    with stages_of(config, progress) as stages:
        return _carry_out(config, start, stages, started, overwrite=overwrite)


def _carry_out(
    config: Config,
    start: Start,
    stages: Stages,
    started: float,
    *,
    overwrite: bool,
) -> RunReport:
    stages.doing(f"listing {one_line(str(config.source))}")
    planned = plan_images(config)
    warn_of_labels(planned)
    journal = Journal(config.output)
    found = look(journal, planned, overwrite=overwrite)  # Before anything is written, be it a lock.
    finished = found.finished
    # What is finished may lie where nothing can be written, and so can't be locked.
    with contextlib.nullcontext() if finished else journal.lock():
        if not finished:  # Once more, for another run may just have ended.
            found = look(journal, planned, overwrite=overwrite, locked=True)
        made, before = found.plan, found.receipts
        _require_unchanged(made, journal, before)
        require_none_refused(config, before)
        if len(before) == len(made.shards):
            if not finished:  # Or else without the lock, and another run may begin at this moment.
                journal.begin(made)
            journal.remove_leftovers(made)
            report = publish(made, journal, before)
        else:
            if overwrite:
                _warn_of_labels_that_move(made, journal)
            begin = functools.partial(_begin, made, journal, overwrite=overwrite)
            report = _complete(made, journal, before, start, begin, stages, started)
    stages.finish(report, complete=finished)
    _require_few_refused(report)
    return report


def _complete(
    made: RunPlan,
    journal: Journal,
    before: Sequence[ShardReceipt],
    start: Start,
    begin: Callable[[], None],
    stages: Stages,
    started: float,
) -> RunReport:
    """Writes the shards that are not committed yet.

    Args:
        before: receipts of those that are.
        start: gives what is to do it.
        begin: prepares the output, once it is known that this can do it.
        started: when the run began, by ``time.perf_counter``.
    """
    work: Writing | None = None
    receipts, missing = before, missing_shards(made, before)
    workload = Workload(images=sum(shard.images for shard in missing), parts=len(missing))
    effort = functools.partial(Effort, images=workload.images, resumed_shards=len(before))
    ready = 0.0
    _LOGGER.debug(
        "%s in %s, %d of them committed",
        counted(made.images, "image"),
        counted(len(made.shards), "shard"),
        len(before),
    )
    try:
        with start(workload, stages.doing) as executor:
            load_ahead()
            executor.require_fit(readable=_some_image(made), writable=journal.output)
            begin()
            ready = time.perf_counter() - started
            for _ in range(_ROUNDS):
                work = Writing(made, missing, journal, executor, total_receipts(receipts))
                work.carry_out(stages, elapsed=time.perf_counter() - started)
                # What workers have told is not looked at: only what is here now is committed.
                receipts, work.committed = journal.committed(made), 0
                missing = missing_shards(made, receipts)
                if not missing:
                    break
    except KeyboardInterrupt as error:
        seen = len(receipts) + (work.committed if work else 0)
        # Ctrl-C once more is enough of an answer.
        committed = None if pressed_again(error) else _what_is_committed(made, journal)
        raise _stopped(made, stages, seen, committed) from None
    try:
        _require_all(journal, missing)
        journal.require_lock(ask=True)
        journal.remove_leftovers(made)  # Of workers that were killed meanwhile.
        return publish(
            made,
            journal,
            receipts,
            effort(seconds=time.perf_counter() - started, start_seconds=ready),
        )
    except BaseException as error:
        if work is not None:
            work.correct(Verdict.of_error(error))
        raise


def _require_all(journal: Journal, missing: Sequence[ShardSpec]) -> None:
    if missing:
        raise ShardError(
            f"output: {counted(len(missing), 'shard')} in {journal.output}, or their receipts, "
            "keep disappearing: something else removes them, such as another run; stop it, and run "
            "the same command again"
        )


def _begin(made: RunPlan, journal: Journal, *, overwrite: bool) -> None:
    journal.require_lock(ask=True)  # Starting a cluster may have taken long.
    if overwrite:
        journal.clear(made)
    journal.begin(made)


def _warn_of_labels_that_move(made: RunPlan, journal: Journal) -> None:
    """Say which numbers will stand for other classes than they did, before that is so."""
    before = journal.stored_labels()
    if before is None:
        return
    changes = label_changes(before, made.labels)
    if changes.moved or changes.gone or changes.widths:
        _LOGGER.warning(
            "prep: the labels in %s will change: %s; models trained on the old ones keep to those",
            journal.output,
            changes,
        )


def _some_image(made: RunPlan) -> list[str]:
    """Return the file of an image, if it is one that workers find under its own name."""
    source = open_source(made.config.source)
    entries = entries_of(made.manifest[:1], made.classes)
    locations = (source.location(entry.file) for entry in entries)
    return [location for location in locations if location is not None]


def _require_unchanged(made: RunPlan, journal: Journal, receipts: Sequence[ShardReceipt]) -> None:
    """Compare what was written with what the images hold now, if that is asked for."""
    if made.config.check != "digest":
        return
    changed = changed_since_written(made, journal.source(made), receipts)
    if changed:
        raise OutputConflict(
            f"output: in {made.config.output}, {counted(len(changed), 'image')} had other contents "
            f"when written (such as {quoted(changed[0])}), though the same size and time; choose "
            "another output, or pass `overwrite=True` to replace it"
        )


def _require_few_refused(report: RunReport) -> None:
    if report.verdict.state == "too many refused":
        error = too_many_refused(report.verdict, report.output)
        error.report = report
        raise error


def _what_is_committed(made: RunPlan, journal: Journal) -> Sequence[ShardReceipt] | None:
    """Receipts of all shards, or None where the storage, which may be why it stops, is silent."""
    with contextlib.suppress(OSError, PrepError, KeyboardInterrupt), store.answering_within():
        return journal.committed(made)
    return None


def _shown_totals(made: RunPlan, receipts: Sequence[ShardReceipt]) -> SplitTotals:
    totals = total_receipts(receipts)
    found = (totals.get(split, Totals()) for split in made.counts)
    return dict(zip(distinct_lines(made.counts), found, strict=True))


def _stopped(
    made: RunPlan, stages: Stages, seen: int, committed: Sequence[ShardReceipt] | None
) -> Interrupted:
    """Show what stays of a run that was stopped, and return the error that says so."""
    if committed is None:
        stages.stopped(seen, None)
    else:
        stages.stopped(len(committed), _shown_totals(made, committed))
    return Interrupted(_how_to_resume(made, seen, committed))


def _how_to_resume(made: RunPlan, seen: int, committed: Sequence[ShardReceipt] | None) -> str:
    """What to tell whoever has stopped a run.

    Args:
        seen: how many shards were seen to be committed.
        committed: those that are, if that is known.
    """
    shards = f"{len(made.shards):,} shards"
    known = f"this run has seen {seen:,} of {shards} committed, and these"
    if committed is not None:
        known = f"{len(committed):,} of {shards} are committed and"
    return f"stopped: {known} stay; run the same command again to continue"
