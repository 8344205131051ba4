"""Writes shards of a plan, watched from its first image to its last."""

from __future__ import annotations

import contextlib
import logging
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from prep.display.links import address_of
from prep.display.progress import Display, ShowWork, Work
from prep.execution.executor import Executor
from prep.execution.interrupts import deferred, pressed_again
from prep.monitoring.counters import shard_key
from prep.monitoring.counts import ShardState
from prep.monitoring.messages import CLASSES_COUNTED, TallyMessage
from prep.monitoring.runwatch import RunInfo, totals_message
from prep.output.journal import Journal
from prep.output.receipt import SplitTotals, Totals, merge_totals
from prep.output.report.history import add_history
from prep.output.report.verdict import Verdict
from prep.planning.plan import RunPlan
from prep.planning.shards import ShardSpec
from prep.shards.writer import RunRef
from prep.storage import store
from prep.text import distinct_lines, one_line

if TYPE_CHECKING:
    from prep.monitoring.link import RunLink


_LOGGER = logging.getLogger("prep")


class Writing:
    """The work on the shards of an output that are missing.

    Args:
        made: a plan that has begun in this output.
        missing: the shards to write; at least one, and none of them committed.
        before: what all others add up to.
        remember: whether what is measured is to be kept with the output.

    Attributes:
        committed: how many of these shards were seen to be, so far.
    """

    def __init__(
        self,
        made: RunPlan,
        missing: Sequence[ShardSpec],
        journal: Journal,
        executor: Executor,
        before: SplitTotals,
        *,
        remember: bool = True,
    ) -> None:
        self._made = made
        self._missing = missing
        self._journal = journal
        self._executor = executor
        self._before = before
        self._keep = remember
        self._run = uuid.uuid4().hex
        self._classes = made.classes[:CLASSES_COUNTED]
        self._link: RunLink | None = None
        self._ended = False
        self.committed = 0

    def carry_out(self, show_work: ShowWork, *, elapsed: float = 0.0) -> SplitTotals:
        """Writes them, and shows how far it has come.

        Args:
            show_work: gives what to show it on.
            elapsed: seconds that the run has taken so far.

        Returns:
            What they add up to.

        Raises:
            BadImageError: an image was refused, and ``on_bad_image`` is ``fail``.
            ShardError: shards failed; all others are committed.
            StorageUnavailable: for long all failed, for a storage does not answer.
            ClusterError: there were no workers for too long.
            OutputConflict: another run has taken the output over.
        """
        link = self._link = self._executor.watch(self._info(elapsed))
        try:
            with show_work(self._work(link)) as display:
                written = self._executor.write(
                    self._missing,
                    self._run_ref(),
                    _Watched(link, display, self._executor, self._journal, self._count),
                )
                totals = merge_totals([self._before, written])
                self._end(link, self._verdict_of(totals), totals_message(totals, self._classes))
                display.update(link.look())
        except BaseException as error:
            self._keep = self._keep and not pressed_again(error)
            # A storage that does not answer may be why it ends.
            with deferred(), store.answering_within():
                self._end(link, Verdict.of_error(error))
            raise
        return written

    def correct(self, verdict: Verdict) -> None:
        """Tell those who look at the run that it has ended otherwise than its shards have."""
        if self._link is not None:
            self._link.finish(verdict)

    def _work(self, link: RunLink) -> Work:
        return Work(
            title="preparing",
            planned=self._made.images,
            shards=len(self._made.shards),
            dashboard=self._executor.dashboard,
            note=link.note,
            page="status" if link.note else "prep",
        )

    def _verdict_of(self, totals: SplitTotals) -> Verdict:
        refused = len(sum(totals.values(), Totals()).refused)
        return Verdict.of_counts(self._made.images, refused, self._made.refusals_allowed)

    def _end(self, link: RunLink, verdict: Verdict, totals: TallyMessage | None = None) -> None:
        """Ends the watch, once, and keeps what was measured."""
        if self._ended:
            return
        self._ended = True
        history = link.finish(verdict, totals)
        if history is not None and self._keep:
            with contextlib.suppress(OSError):  # The page then says that nothing was measured.
                add_history(self._journal.layout, history)

    def _count(self, task: int, state: ShardState) -> None:
        self.committed += state == "committed"
        _LOGGER.debug("%s: %s", shard_key(self._missing[task]), state)

    def _run_ref(self) -> RunRef:
        config = self._made.config
        return RunRef(
            output=self._journal.output,
            digest=self._made.fingerprint.digest,
            run=self._run,
            stop_at_bad_image=config.on_bad_image == "fail",
            image_timeout=config.image_timeout,
        )

    def _info(self, elapsed: float) -> RunInfo:
        made = self._made
        numbers = {shard: number for number, shard in enumerate(made.shards)}
        classes = self._classes
        planned = [sum(images.values()) for images in made.counts.values()]
        of_class = [sum(i.get(name, 0) for i in made.counts.values()) for name in classes]
        return RunInfo(
            run=self._run,
            output=one_line(self._journal.output),
            page=address_of(self._journal.layout.page),
            began=time.time() - elapsed,
            elapsed=elapsed,
            splits=dict(zip(distinct_lines(made.counts), planned, strict=True)),
            images_per_shard=made.images_per_shard,
            partition=made.fingerprint.partition,
            missing=[numbers[shard] for shard in self._missing],
            classes=dict(zip(distinct_lines(classes), of_class, strict=True)),
            before=totals_message(self._before, classes),
        )


class _Watched:
    """Has the display show what the link knows."""

    def __init__(
        self,
        link: RunLink,
        display: Display,
        executor: Executor,
        journal: Journal,
        count: Callable[[int, ShardState], None],
    ) -> None:
        self._link = link
        self._journal = journal
        self._display = display
        self._executor = executor
        self._count = count

    def tick(self) -> None:
        self._journal.require_lock()
        missing = self._executor.missing()
        self._display.update(replace(self._link.look(), without_workers=missing))

    def settled(self, task: int, state: ShardState) -> None:
        self._count(task, state)
        self._link.settled(task, state)
