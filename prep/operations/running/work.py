"""Do the work of a run on an executor, and report its progress to callbacks."""

from __future__ import annotations

import contextlib
import logging
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from prep.display.links import address_of
from prep.errors import StorageUnavailable
from prep.execution.executor import Executor, TaskEvent
from prep.execution.interrupts import deferred, pressed_again
from prep.execution.writing import write_shards
from prep.monitoring.counters import shard_key
from prep.monitoring.counts import LiveCounts, Pace, ShardState
from prep.monitoring.events import (
    Callback,
    Events,
    ImageRefused,
    RunEnded,
    ShardCommitted,
    WorkStarted,
)
from prep.monitoring.heartbeat import CLASSES_COUNTED, TallyMessage, totals_message
from prep.monitoring.runwatch import RunInfo
from prep.output.journal import Journal
from prep.output.receipt import (
    ShardReceipt,
    SplitTotals,
    Totals,
    merge_totals,
    of_outcome,
    total_receipts,
)
from prep.output.report.history import add_history
from prep.output.report.verdict import RUNNING, Verdict
from prep.planning.plan import RunPlan
from prep.planning.shards import ShardSpec
from prep.shards.writer import RunRef
from prep.storage.retry import answering_within
from prep.text import distinct_lines, one_line

if TYPE_CHECKING:
    from prep.monitoring.link import RunLink

_LOGGER = logging.getLogger("prep")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of a plan in an output.

    Attributes:
        plan: the plan, as it was begun in this output; it has the configuration.
        journal: the output.
        before: totals of the shards that are there already; their receipts are let go of, which
            take 5 kB each and more, before the work begins.
        missing: the shards to write.
        events: where to emit what happens.
        commits: tells callbacks of shards that are committed.
        began: when the run began, by ``time.perf_counter``.
        repairs: whether this writes shards of a finished output again. Then progress counts these
            shards alone, and what is measured is not kept with the output.
    """

    plan: RunPlan
    journal: Journal
    before: SplitTotals
    missing: Sequence[ShardSpec]
    events: Events
    commits: Commits
    began: float
    repairs: bool = False

    @property
    def resumed_shards(self) -> int:
        """Number of shards that were there already."""
        return sum(totals.shards for totals in self.before.values())

    @property
    def seconds(self) -> float:
        """Seconds since the run began."""
        return time.perf_counter() - self.began


class Commits:
    """Tells callbacks once of each shard that a run commits, and of the images refused in it.

    Args:
        known: the receipts of shards that earlier runs have committed.
    """

    def __init__(self, events: Events, journal: Journal, known: Iterable[ShardReceipt]) -> None:
        self._events = events
        self._journal = journal
        self._told = {(receipt.split, receipt.index) for receipt in known}

    def tell_of(self, shards: Sequence[ShardSpec]) -> None:
        """Read the receipts of shards just committed, if any callback wants to know, and tell."""
        if shards and self._events.wants(ShardCommitted, ImageRefused):
            found: list[ShardReceipt | None] = []
            # If a storage does not answer now, these commits are told at the end of the run.
            with contextlib.suppress(StorageUnavailable):
                root = self._journal.layout.root
                found = list(root.each(self._journal.receipts.stored, shards))
            self.tell(receipt for receipt in found if receipt is not None)

    def tell_rest(self, plan: RunPlan) -> None:
        """Tell of the shards of a plan that are committed by now, if any callback wants to know."""
        if self._events.wants(ShardCommitted, ImageRefused):
            rest = [shard for shard in plan.shards if (shard.split, shard.index) not in self._told]
            found: list[ShardReceipt] = []
            with contextlib.suppress(OSError, StorageUnavailable):  # It may be why the run ends.
                found = self._journal.receipts.committed(rest, plan.fingerprint.digest)
            self.tell(found)

    def tell(self, receipts: Iterable[ShardReceipt]) -> None:
        """Emit events for the receipts that have had none yet, and then raise the first error."""
        errors: list[Exception] = []
        for receipt in receipts:
            key = receipt.split, receipt.index
            if key not in self._told:
                self._told.add(key)
                try:
                    self._events.emit(*self._events_of(receipt))
                except Exception as error:
                    errors.append(error)
        if errors:
            raise errors[0]

    def _events_of(self, receipt: ShardReceipt) -> Iterator[ShardCommitted | ImageRefused]:
        refused = of_outcome(receipt.findings, "refused")
        yield ShardCommitted(
            split=receipt.split,
            index=receipt.index,
            count=receipt.count,
            path=str(self._journal.layout.root / receipt.file),
            images=receipt.images,
            refused=len(refused),
            bytes=receipt.bytes,
            seconds=receipt.seconds,
            worker=receipt.worker,
        )
        for note in refused:
            yield ImageRefused(
                path=note.path,
                split=receipt.split,
                class_name=note.class_name,
                reason=note.reason,
                detail=note.detail,
            )


def write_missing(run: Run, executor: Executor) -> None:
    """Write the missing shards of a run, watched from the first image to the last.

    Raises:
        BadImageError: an image was refused, and ``on_bad_image`` is ``fail``.
        ShardError: shards failed; all others are committed.
        StorageUnavailable: for long all failed, for a storage does not answer.
        ClusterError: there were no workers for too long.
        OutputConflict: another run has taken the output over.
        Interrupted: a stop was requested.
    """
    reference = _reference(run)
    link = executor.watch(_info(run, reference.run))
    watch = _Watch(run, link)
    try:
        run.events.subscribe(watch)
        run.events.emit(_work(run, executor.dashboard, link.note))
        watch(TaskEvent())  # What is there already is told at once.
        written = write_shards(run.missing, reference, executor, watch)
        watch.end_well(merge_totals([run.before, written]))
    except BaseException as error:
        # A storage that does not answer may be why it ends.
        with deferred(), answering_within():
            watch.end_with(error)
        raise


class _Watch(Callback):
    """Follows the shards of a run, and tells callbacks and the dashboard of them."""

    def __init__(self, run: Run, link: RunLink) -> None:
        self._run = run
        self._link = link
        self._committed: list[ShardSpec] = []
        self._verdict: Verdict | None = None

    def __call__(self, event: TaskEvent[Any]) -> None:
        """Take in that a shard has ended, or look at all of them."""
        if event.task is None:
            self._look(event.missing)
            return
        state: ShardState = "committed" if event.error is None else "failed"
        shard = self._run.missing[event.task]
        _LOGGER.debug("%s: %s", shard_key(shard), state)
        if state == "committed":
            self._committed.append(shard)
        self._link.task_ended(event.task, state)

    def _look(self, missing: float | None) -> None:
        self._run.journal.require_lock()
        counts = replace(self._link.look(), without_workers=missing)
        self._emit(counts)
        self._tell_of_commits()
        if counts.images < counts.planned:  # Or else there is nothing left to stop.
            self._run.events.token.require_going()

    def end_well(self, totals: SplitTotals) -> None:
        """End the watch of shards that are all committed."""
        plan = self._run.plan
        refused = len(Totals.sum(list(totals.values())).refused)
        verdict = Verdict.of_counts(plan.images, refused, plan.refusals_allowed)
        self._end(verdict, totals_message(totals, plan.classes[:CLASSES_COUNTED]))
        self._tell_of_commits()
        self._emit(replace(self._link.look(), verdict=verdict))

    def end_with(self, error: BaseException) -> None:
        """End the watch, if it has not ended, and tell of what is committed by now."""
        if self._verdict is None:
            self._end(Verdict.of_error(error), remember=not pressed_again(error))
        if isinstance(error, Exception):
            self._run.commits.tell_rest(self._run.plan)

    def run_ended(self, event: RunEnded) -> None:
        """Tell the dashboard if the run has ended otherwise than its shards have."""
        if self._verdict is not None and self._verdict.state != event.verdict.state:
            self._link.finish(event.verdict)

    def _end(
        self, verdict: Verdict, totals: TallyMessage | None = None, *, remember: bool = True
    ) -> None:
        self._verdict = verdict
        history = self._link.finish(verdict, totals)
        if history is not None and remember and not self._run.repairs:
            with contextlib.suppress(OSError):  # The page then says that nothing was measured.
                add_history(self._run.journal.layout, history)

    def _tell_of_commits(self) -> None:
        committed, self._committed = self._committed, []
        self._run.commits.tell_of(committed)

    def _emit(self, counts: LiveCounts) -> None:
        run = self._run
        if run.repairs:
            images = run.plan.images - sum(shard.images for shard in run.missing)
            counts = replace(
                counts,
                planned=counts.planned - images,
                images=counts.images - images,
                shards=counts.shards - len(run.plan.shards) + len(run.missing),
                splits={},
                shard_states={},
            )
        run.events.emit(counts)


def _work(run: Run, dashboard: str, note: str | None) -> WorkStarted:
    shards = run.missing if run.repairs else run.plan.shards
    return WorkStarted(
        title="repairing" if run.repairs else "preparing",
        planned=sum(shard.images for shard in shards),
        shards=len(shards),
        dashboard=dashboard,
        page="status" if note or run.repairs else "prep",
        note=note,
    )


def _reference(run: Run) -> RunRef:
    config = run.plan.config
    return RunRef(
        output=run.journal.output,
        digest=run.plan.fingerprint.digest,
        run=uuid.uuid4().hex,
        stop_at_bad_image=config.on_bad_image == "fail",
        image_timeout=config.image_timeout,
    )


def _info(run: Run, name: str) -> RunInfo:
    plan, elapsed = run.plan, run.seconds
    numbers = {shard: number for number, shard in enumerate(plan.shards)}
    classes = plan.classes[:CLASSES_COUNTED]
    titles = distinct_lines(map(plan.class_title, classes))
    planned = [sum(images.values()) for images in plan.counts.values()]
    of_class = [sum(i.get(name, 0) for i in plan.counts.values()) for name in classes]
    return RunInfo(
        run=name,
        output=one_line(run.journal.output),
        page=address_of(str(run.journal.layout.page)),
        began=time.time() - elapsed,
        elapsed=elapsed,
        splits=dict(zip(distinct_lines(plan.counts), planned, strict=True)),
        images_per_shard=plan.images_per_shard,
        partition=plan.fingerprint.partition,
        sizes=plan.sizes,
        missing=[numbers[shard] for shard in run.missing],
        classes=dict(zip(titles, of_class, strict=True)),
        before=totals_message(run.before, classes),
    )


def only_committed(
    counts: LiveCounts, plan: RunPlan, receipts: Sequence[ShardReceipt]
) -> LiveCounts:
    """Leave out of counts what was done for shards that were not committed.

    Args:
        receipts: of the shards that are.
    """
    totals = total_receipts(receipts)
    everything = Totals.sum(list(totals.values()))
    splits = {
        name: replace(
            counts.splits[name],
            done=total.images + len(total.refused),
            refused=len(total.refused),
        )
        for name, total in zip(
            distinct_lines(plan.counts), (totals.get(s, Totals()) for s in plan.counts), strict=True
        )
        if name in counts.splits
    }
    return replace(
        counts,
        shards=len(receipts),
        images=everything.images + len(everything.refused),
        refused=len(everything.refused),
        splits=splits,
        reasons=dict(Counter(note.reason for note in everything.refused).most_common()),
        bytes_read=everything.source_bytes,
        bytes_written=everything.bytes,
    )


def count_tasks(
    events: Events, work: WorkStarted, images: Sequence[int]
) -> Callable[[TaskEvent[Any]], None]:
    """Return a function that counts tasks as they end, and emits how far the work has come.

    Args:
        images: how many each task stands for, in the unit of the work.
    """
    events.emit(work)
    began, pace = time.monotonic(), Pace()
    tasks = done = 0

    def count(event: TaskEvent[Any]) -> None:
        nonlocal tasks, done
        if event.task is not None:
            tasks += 1
            done += images[event.task]
        now = time.monotonic()
        counts = LiveCounts(
            verdict=Verdict("done") if tasks == len(images) else RUNNING,
            planned=work.planned,
            shards=tasks if work.shards is not None else 0,
            images=done,
            seconds=now - began,
            without_workers=event.missing,
        )
        events.emit(pace.add_rates(counts, now))
        if tasks < len(images):  # Or else there is nothing left to stop.
            events.token.require_going()

    return count
