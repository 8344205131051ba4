"""Merge complete outputs of equal settings into a new one, shard by shard."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prep.display.displays import display_for
from prep.errors import Interrupted, PrepError
from prep.execution.clusters.choice import ClusterChoice, choice_of
from prep.execution.executor import Executor, TaskEvent, Workload
from prep.execution.interrupts import deferred, pressed_again
from prep.execution.placing import placed, require_usable
from prep.execution.writing import write_shards
from prep.monitoring.events import Callback, Events, WorkStarted, emitting, require_callbacks
from prep.operations.growth.finished import outputs_given, read_finished, require_distinct
from prep.operations.growth.merged_plan import plan_merge
from prep.operations.outlook import missing_shards, require_as_asked
from prep.operations.publish import load_ahead, publish
from prep.operations.running.carrying_out import Start
from prep.operations.running.work import count_tasks
from prep.output.conflicts import require_room, require_room_for_readers
from prep.output.index.derived import lacks_measures
from prep.output.journal import Journal
from prep.output.plan_file import Trust
from prep.output.receipt import ShardReceipt
from prep.output.report.making import Effort
from prep.output.report.report import RunReport
from prep.planning.plan import RunPlan
from prep.planning.shards import ShardSpec
from prep.shards.copying import ShardOrigin, copy_counted
from prep.shards.writer import RunRef
from prep.sources.base import Kept
from prep.storage.arguments import admit
from prep.storage.locate import read_in_pieces
from prep.storage.location import Location
from prep.storage.retry import answering_within
from prep.text import counted

if TYPE_CHECKING:
    from distributed import Client

_LOGGER = logging.getLogger("prep")

# Bytes that are copied in about the time in which an image is prepared.
_BYTES_PER_IMAGE = 1 << 19  # 512 KiB


def merge(
    outputs: Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    client: Client | None = None,
    *,
    overwrite: bool = False,
    trust_plan: Trust = None,
    workers: int | None = None,
    cluster: str | os.PathLike[str] | ClusterChoice | None = None,
    profile: str | None = None,
    progress: bool | None = None,
    storage_options: Mapping[str, Any] | None = None,
    dashboard: bool = False,
    callbacks: Iterable[Callback] = (),
) -> RunReport:
    """Merge outputs of equal settings into a new one. No image is decoded again.

    Each split has the shards of all outputs, one output's after another's, renumbered. They are
    copied, and compared with their receipts on the way. Mean, report and lists are those of the
    whole. Shards that are there already are not copied again, so to continue a merge that was
    stopped, call it again.

    Args:
        outputs: the outputs, complete; two or more. They stay as they are.
        output: the new output folder, or its URL.
        client: a Dask client to use, and leave running. Without one, a cluster is started if there
            is enough work for it.
        overwrite: replace what the new output holds, as ``prep.run`` does.
        trust_plan: whether a repair of the new output may read the sources that the plans of
            ``outputs`` name; see :func:`prep.verify`. By default, it may if the plans belong to
            this user.
        workers: number of workers of a cluster that is started.
        cluster, profile: as for ``prep.run``.
        progress: whether to show progress on standard error; if None, only at a terminal.
        storage_options: options of the storages; see :class:`prep.Config`. If they are given by
            key, ``source`` stands for ``outputs``.
        dashboard: use a cluster, which has a dashboard, even for few images.
        callbacks: objects to call as the work goes on; see :class:`prep.Callback`.

    Returns:
        The report of the new output, as in its ``report.json``.

    Raises:
        ConfigError: the outputs have different settings, or the new one is one of them.
        LabelError: their label maps do not agree.
        SourceError: one is no output, or not complete; or their sources can't be named together.
        OutputConflict: a run is at work in one of them, or the new output holds something else.
        UntrustedPlan: a plan may be somebody else's.
        TooManyRefused: more images were refused than all of them allow. The rest is merged.
        StorageUnavailable: a storage does not answer.
        ShardError: shards could not be copied, such as damaged ones; all others are committed.
        ClusterError: the cluster can't be started, or would not do.
        Interrupted: it was stopped. Committed shards are kept.
    """
    choice = choice_of(cluster, profile, workers, dashboard)
    own = require_callbacks(callbacks)
    require_usable(client, choice)
    places = [admit("source", each, storage_options) for each in outputs_given(outputs)]
    journals = [Journal(place) for place in places]
    journal = Journal(admit("output", output, storage_options))
    require_distinct(journals, journal)
    with emitting([*display_for("merging", progress), *own]) as events:
        events.stage(f"reading {counted(len(journals), 'plan')}")
        began = time.perf_counter()
        trust = True if journal.layout.root.is_remote else trust_plan
        parts = [read_finished(each, trust) for each in journals]
        plan, origins, differing = plan_merge(parts, journal.output)
        work = _Merge(
            plan=plan,
            journal=journal,
            journals=journals,
            origins=origins,
            bytes=sum(part.bytes for part in parts),
            began=began,
        )
        if differing:
            _LOGGER.warning(
                "prep: the outputs were made with different versions of %s; a repair writes "
                "shards again with the newest",
                ", ".join(differing),
            )
        start = functools.partial(placed, client, choice)
        report = work.carry_out(start, events, overwrite=overwrite)
        require_as_asked(report)
        events.end(report)
    return report


@dataclass(frozen=True, slots=True, kw_only=True)
class _Merge:
    """One merge.

    Attributes:
        plan: of the new output.
        journal: the new output.
        journals: the outputs that are merged.
        origins: where its shards come from.
        bytes: of all shards.
        began: when the merge began, by ``time.perf_counter``.
    """

    plan: RunPlan
    journal: Journal
    journals: Sequence[Journal]
    origins: tuple[ShardOrigin, ...]
    bytes: int
    began: float

    def carry_out(self, start: Start, events: Events, *, overwrite: bool) -> RunReport:
        """Copy the shards that are not there yet, and publish the results."""
        plan, journal = self.plan, self.journal
        receipts = self._committed(overwrite=overwrite)
        complete = len(receipts) == len(plan.shards) and not lacks_measures(plan, receipts)
        if complete and journal.holds(plan):  # It may lie where nothing can be written.
            journal.remove_leftovers(plan)
            return publish(plan, journal, receipts)
        require_room_for_readers(journal, plan, receipts, overwrite=overwrite)
        with journal.lock():
            receipts = self._committed(overwrite=overwrite)  # Another merge may just have ended.
            missing = missing_shards(plan, receipts)
            effort = None
            if missing:
                resumed = len(receipts)
                receipts = self._copy(missing, start, events, overwrite=overwrite)
                images = sum(shard.images for shard in missing)
                seconds = time.perf_counter() - self.began
                effort = Effort(seconds=seconds, images=images, resumed_shards=resumed)
            else:
                self._begin()
            journal.remove_leftovers(plan)
            return publish(plan, journal, receipts, effort, tell=events.stage)

    def _committed(self, *, overwrite: bool) -> Sequence[ShardReceipt]:
        """Return the receipts of the shards that are there; raise OutputConflict for others."""
        require_room(self.journal, self.plan, overwrite=overwrite, can_append=False)
        return () if overwrite else self.journal.committed(self.plan)

    def _copy(
        self, missing: Sequence[ShardSpec], start: Start, events: Events, *, overwrite: bool
    ) -> Sequence[ShardReceipt]:
        """Copy shards, and return the receipts of all."""
        plan, journal = self.plan, self.journal
        share = sum(shard.images for shard in missing) / max(plan.images, 1)
        work = round(self.bytes * share / _BYTES_PER_IMAGE)
        try:
            with start(Workload(images=work, parts=len(missing)), events.stage) as executor:
                readable = [str(each.layout.plan) for each in self.journals]
                executor.require_fit(readable=readable, writable=journal.output)
                load_ahead()
                journal.require_lock(ask=True)  # Starting a cluster may have taken long.
                if overwrite:
                    journal.clear(plan)
                journal.withdraw(plan.counts)
                self._begin()
                self._copy_on(executor, missing, events)
        except KeyboardInterrupt as error:
            with deferred():  # Workers of somebody in a hurry were killed at their shards.
                if journal.layout.root.local is not None:
                    journal.remove_leftovers(plan)
            raise self._stopped(error) from None
        journal.require_lock(ask=True)
        receipts = journal.committed(plan)
        if len(receipts) < len(plan.shards):
            raise PrepError(
                f"output: shards in {journal.output}, or their receipts, have disappeared: "
                "something else removes them; run the same command again"
            )
        return receipts

    def _begin(self) -> None:
        """Publish the plan, with the files of images that lie beside the manifests."""
        state, within = self.journal.layout.state, self.journal.layout.root
        try:
            for kept in _kept_files(self.journals):
                if (state / kept.name).exists():
                    continue
                with (state / kept.name).create(within=within) as file:
                    for piece in read_in_pieces(str(kept)):
                        file.write(piece)
        except OSError as error:
            raise self.journal.not_writable(error) from None
        self.journal.begin(self.plan)

    def _copy_on(self, executor: Executor, missing: Sequence[ShardSpec], events: Events) -> None:
        plan, journal = self.plan, self.journal
        digest = plan.fingerprint.digest
        run = RunRef(output=journal.output, digest=digest, run=uuid.uuid4().hex)
        images = [shard.images for shard in missing]
        work = WorkStarted(
            title="merging",
            planned=sum(images),
            shards=len(missing),
            dashboard=executor.dashboard,
        )
        count = count_tasks(events, work, images)

        def look(event: TaskEvent[Any]) -> None:
            journal.require_lock()
            count(event)

        write_shards(
            missing, run, executor, look, write=functools.partial(copy_counted, self.origins)
        )

    def _stopped(self, error: BaseException) -> Interrupted:
        """Return the error of a merge that was stopped, which says what stays."""
        committed = "committed shards"
        if not pressed_again(error):
            with contextlib.suppress(OSError, PrepError, KeyboardInterrupt), answering_within():
                there = len(self.journal.committed(self.plan))
                committed = f"{there:,} of {counted(len(self.plan.shards), 'shard')} are there, and"
        return Interrupted(f"stopped: {committed} stay; run the same command again to continue")


def _kept_files(journals: Sequence[Journal]) -> Iterator[Location]:
    """Yield the files of images that lie beside manifests."""
    for journal in journals:
        for name in journal.layout.state.names("images-"):
            if Kept.has_name(name):
                yield journal.layout.state / name
