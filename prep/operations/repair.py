"""Repair an output: write what is broken again, if that gives the same bytes."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator

from prep.errors import PrepError
from prep.execution.executor import Executor
from prep.monitoring.events import Events
from prep.operations.audit import Audit
from prep.operations.preparation import plan_as_stored
from prep.operations.publish import publish
from prep.operations.running.work import Commits, Run, write_missing
from prep.output.conflicts import require_room_for_readers
from prep.output.findings import Finding, mismatch
from prep.output.journal import Journal
from prep.output.receipt import of_outcome, total_receipts
from prep.output.report.checksums import from_text
from prep.planning.plan import RunPlan
from prep.planning.shards import ShardSpec
from prep.shards.check import ShardInspection
from prep.shards.opened import versions_here
from prep.sources.base import ImageEntry
from prep.sources.manifest import entries_of
from prep.storage.locate import locate
from prep.storage.location import FileChanged, Location, Stamp
from prep.text import counted, quoted, reason_and_file

_CHANGED = (FileNotFoundError, NotADirectoryError, FileChanged)


class Repair:
    """Repairs what can be repaired, and notes why the rest can't."""

    def __init__(
        self,
        journal: Journal,
        stored: RunPlan,
        found: Audit,
        executor: Executor,
        events: Events,
    ) -> None:
        self._journal = journal
        self._stored = stored
        self._found = found
        self._executor = executor
        self._events = events
        self._notes: list[Finding] = []

    def carry_out(self) -> list[Finding]:
        """Repair, and return why some of it could not be done.

        Raises:
            OutputConflict: the output can't be written to.
        """
        try:
            self._carry_out()
        except OSError as error:
            raise self._journal.not_writable(error) from None
        return self._notes

    def _carry_out(self) -> None:
        layout = self._journal.layout
        for problem in self._found.beside:
            if problem.remedy == "remove":
                (layout.root / problem.where).remove_file(within=layout.root)
        layout.labels.publish_json(self._stored.labels.to_json(), within=layout.root)
        plan = self._found.plan or self._plan_anew()
        if plan is not None:
            self._rewrite(plan)
            self._remake_results(plan)

    def _plan_anew(self) -> RunPlan | None:
        """Plan anew from the source, if that is unchanged, and publish the manifest."""
        if any(problem.remedy == "none" for problem in self._found.beside):
            return None
        try:
            plan = plan_as_stored(self._stored, self._journal.output)
        except PrepError as error:
            self._note(self._journal.layout.manifest, f"{error}")
            return None
        differences = self._stored.fingerprint.differences(plan.fingerprint)
        if differences:
            self._note(self._journal.layout.manifest, f"another one: {'; '.join(differences)}")
            return None
        plan = dataclasses.replace(plan, config=self._stored.config)  # The output may have moved.
        self._journal.begin(plan)
        return plan

    def _rewrite(self, plan: RunPlan) -> None:
        """Write the broken shards again that come out as they were planned."""
        if not self._found.broken or self._versions_differ():
            return
        before = {inspection.shard: inspection for inspection in self._found.shards}
        chosen = [shard for shard in self._found.broken if not self._changed(plan, before[shard])]
        if not chosen:
            return
        known = [shard.receipt for shard in self._found.shards if shard.receipt is not None]
        require_room_for_readers(self._journal, plan, known)
        self._journal.withdraw(self._stored.splits)  # A shard may come out otherwise than it was.
        layout = self._journal.layout
        for shard in chosen:
            (layout.root / shard.split).make_folder(within=layout.root)
            layout.receipt(shard.split, shard.index).remove_file(within=layout.root)
        receipts = self._journal.committed(plan)
        run = Run(
            plan=plan,
            journal=self._journal,
            before=total_receipts(receipts),
            missing=chosen,
            events=self._events,
            commits=Commits(self._events, self._journal, receipts),
            began=time.perf_counter(),
            repairs=True,
        )
        write_missing(run, self._executor)
        for shard in chosen:
            self._compare(before[shard])

    def _versions_differ(self) -> bool:
        """Return whether shards would come out other than they were planned, and note why."""
        planned, here = self._stored.fingerprint.versions, versions_here()
        differing = [name for name in planned if planned[name] != here.get(name)]
        for name in differing:
            self._notes.append(
                mismatch(
                    where=self._shown(self._journal.layout.plan),
                    expected=f"{name} {planned[name]}, to write the same shards again",
                    found=f"{here.get(name)}",
                    remedy="none",
                )
            )
        return bool(differing)

    def _changed(self, plan: RunPlan, inspection: ShardInspection) -> bool:
        """Return whether a shard's images are not what they were, and note which."""
        shard = inspection.shard
        gone = set()
        if inspection.receipt is not None:
            refused = of_outcome(inspection.receipt.findings, "refused")
            gone = {finding.path for finding in refused if finding.reason == "unreadable"}
        changed = [name for name in self._changed_images(plan, shard) if name not in gone]
        if changed:
            self._note(
                self._journal.layout.shard(shard),
                f"{counted(len(changed), 'image')} of its {shard.images} changed or gone, such as "
                f"{quoted(changed[0])}",
            )
        return bool(changed)

    def _changed_images(self, plan: RunPlan, shard: ShardSpec) -> Iterator[str]:
        """Yield the names of images that are not as they were planned.

        Raises:
            PrepError: a storage does not say.
        """
        source = self._journal.source(plan)
        place = locate(source.storage)
        rows = plan.manifest.slice(shard.start, shard.images)
        entries = list(entries_of(rows, plan.classes))

        def found(entry: ImageEntry) -> Stamp:
            try:
                return place.patiently(lambda: source.stamp(entry))
            except OSError as error:
                if place.is_remote and not isinstance(error, _CHANGED):
                    raise PrepError(
                        f"source: can't be read: {reason_and_file(error)}; no shard was written "
                        "again"
                    ) from None
                return Stamp(0, 0)

        for entry, now in zip(entries, place.each(found, entries), strict=True):
            if now != entry.stamp:
                yield entry.name

    def _compare(self, before: ShardInspection) -> None:
        """Note a shard whose images had other bytes now, which size and time do not always tell."""
        shard = before.shard
        digest = self._stored.fingerprint.digest
        after = self._journal.receipts.of(shard, digest)
        if before.receipt is None or after is None:
            return
        old, new = (from_text(receipt.checksums) for receipt in (before.receipt, after))
        other = int((old != new).sum())
        if other:
            self._note(
                self._journal.layout.shard(shard),
                f"{counted(other, 'image')} of its {shard.images} to have other contents, though "
                "of the same size and time; it was written again with these",
            )

    def _remake_results(self, plan: RunPlan) -> None:
        receipts = self._journal.committed(plan)
        if len(receipts) == len(plan.shards):
            self._journal.require_lock(ask=True)
            publish(plan, self._journal, receipts, source_was_read=False)

    def _note(self, path: Location, found: str) -> None:
        self._notes.append(
            mismatch(
                where=self._shown(path),
                expected=f"its images in {quoted(self._stored.shown_source)} as they were, "
                "to write it again",
                found=found,
                remedy="none",
            )
        )

    def _shown(self, path: Location) -> str:
        return str(path.relative_to(self._journal.layout.root))
