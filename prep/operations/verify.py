"""Verify that an output holds what its receipts say, and repair it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from prep.display.displays import display_for
from prep.errors import OutputConflict, PrepError
from prep.execution.clusters.choice import ClusterChoice, choice_of
from prep.execution.executor import Workload
from prep.execution.placing import placed, require_usable
from prep.monitoring.events import Callback, emitting, require_callbacks
from prep.operations.audit import Audit, audit, shards_to_read
from prep.operations.repair import Repair
from prep.output.findings import Finding
from prep.output.journal import Journal
from prep.output.lock import require_unheld
from prep.output.plan_file import Trust, no_plan, require_listed, require_trusted
from prep.output.report.verdict import Verdict
from prep.planning.plan import RunPlan
from prep.shards.check import ShardInspection
from prep.sources.naming import paths_of
from prep.storage.arguments import Stored, admit
from prep.text import Displayable, counted

if TYPE_CHECKING:
    from distributed import Client


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationReport(Displayable):
    """The result of verifying an output.

    Attributes:
        output: the output folder.
        shards: number of shards in the plan.
        committed: number of committed shards if the run was stopped, else None.
        images: number of records that could be read.
        problems: what is wrong; after a repair, what still is.
        repaired: what a repair has put right.
        unrelated: files that are named like shards but are not where this output has any. They
            were left alone.
        running: whether a run was at work in it, so that what is missing may be there by now.
    """

    output: str
    shards: int
    images: int
    problems: tuple[Finding, ...]
    repaired: tuple[Finding, ...] = ()
    unrelated: tuple[str, ...] = ()
    committed: int | None = None
    running: bool = False

    @property
    def clean(self) -> bool:
        """True if the output is complete, and nothing is wrong with it."""
        return not self.problems and self.committed is None

    @property
    def verdict(self) -> Verdict:
        """The outcome of the verification."""
        return Verdict("done") if self.clean else Verdict("failed", self.summary())

    def to_json(self) -> dict[str, Any]:
        """Convert to JSON values."""
        problems, repaired = map(_to_json, (self.problems, self.repaired))
        return {**asdict(self), "problems": problems, "repaired": repaired, "clean": self.clean}

    def summary(self) -> str:
        """One line.

        >>> print(VerificationReport(output="out", shards=2, images=64, problems=()).summary())
        out: 2 shards with 64 images: OK
        """
        images = f"with {counted(self.images, 'image')}"
        repaired = f"; {counted(len(self.repaired), 'problem')} repaired" if self.repaired else ""
        if self.committed is None:
            shards = counted(self.shards, "shard")
            return f"{self.output}: {shards} {images}: {self._state}{repaired}"
        shards = counted(self.shards, "shard") + (" is" if self.shards == 1 else " are")
        return (
            f"{self.output}: {self.committed:,} of {shards} committed, {images}: "
            f"{self._state}{repaired}; {self._remedy}"
        )

    @property
    def _remedy(self) -> str:
        if self.running:
            return "a run is at work in it: verify it again when that has ended"
        return "repeat the run to continue"

    @property
    def _state(self) -> str:
        return counted(len(self.problems), "problem") if self.problems else "OK"


def verify(
    output: str | os.PathLike[str],
    client: Client | None = None,
    *,
    repair: bool = False,
    trust_plan: Trust = None,
    workers: int | None = None,
    cluster: str | os.PathLike[str] | ClusterChoice | None = None,
    profile: str | None = None,
    progress: bool | None = None,
    storage_options: Mapping[str, Any] | None = None,
    dashboard: bool = False,
    callbacks: Iterable[Callback] = (),
) -> VerificationReport:
    """Read all of an output again, and report what is wrong with it.

    Compares each file with its receipt (size, SHA-256), each record with its checksums, each image
    with size and encoding, each label with the manifest, sums and counts with the receipt, and
    the means, the report and the label map with all receipts.

    Args:
        output: an output folder or its URL, complete or not. No run may be writing to it.
        client: a Dask client to use, and leave running. Without one, a cluster is started if there
            is enough work for it.
        repair: write broken shards again from their images, make the JSON files again, and remove
            files that readers would mistake for shards of this output. Nothing else is touched. A
            shard whose images have changed since is left as it is, and named. A run that was
            stopped is not continued.
        trust_plan: whether a repair may read the source that the output's plan names; or a function
            that gets one line about it and returns the answer. By default, it may if the plan
            belongs to this user, which a storage does not tell.
        workers: number of workers of a cluster that is started.
        cluster, profile: as for ``prep.run``.
        progress: whether to show progress on standard error; if None, only at a terminal.
        storage_options: options of the output's storage; see :class:`prep.Config`. A repair uses
            them for the source, too, unless they are given by key.
        dashboard: use a cluster, which has a dashboard, even for few images.
        callbacks: objects to call as the work goes on; see :class:`prep.Callback`.

    Raises:
        SourceError: the folder is not an output of this package.
        OutputConflict: it is to be repaired, and a run is at work in it; or a symbolic link is in
            the place of one of its folders.
        UntrustedPlan: it is to be repaired, and its plan may be somebody else's.
        StorageUnavailable: it is in a storage that does not answer; that is no finding.
        PrepError: its plan is lost or can't be read, or for a repair its source can't.
        ShardError: shards could not be written again; all others were.
        ClusterError: the cluster can't be started, or would not do.
    """
    choice = choice_of(cluster, profile, workers, dashboard)
    own = require_callbacks(callbacks)
    journal, stored = _open(admit("output", output, storage_options))
    if repair:
        require_trusted(journal.layout, stored, trust_plan)
        for path in paths_of(stored.source):
            admit("source", Stored(path), storage_options)
    require_usable(client, choice)
    with (
        emitting([*display_for("verifying", progress), *own]) as events,
        journal.lock() if repair else contextlib.nullcontext(),
    ):
        running = not repair and _is_held(journal)
        shards = shards_to_read(journal, stored)
        workload = Workload(images=sum(shard.images for shard in shards), parts=len(shards))
        with placed(client, choice, workload, events.stage) as executor:
            writable = journal.output if repair else None
            executor.require_fit(readable=[str(journal.layout.plan)], writable=writable)
            before = audit(journal, stored, shards, executor, events)
            report = replace(_report(journal, stored, before), running=running)
            if repair and before.problems:
                notes = Repair(journal, stored, before, executor, events).carry_out()
                sound = _with_measures(journal, [i for i in before.shards if not i.problems])
                after = audit(journal, stored, shards, executor, events, sound)
                report = _report(journal, stored, after, before, notes)
        events.end(report)
    return report


def _open(output: str | os.PathLike[str]) -> tuple[Journal, RunPlan]:
    journal = Journal(output)
    journal.require_folders()
    stored = journal.stored_plan()
    if stored is not None:
        journal.require_folders(stored.splits)
        require_listed(journal.layout, stored)
        return journal, stored
    if journal.layout.receipts.is_dir():
        raise PrepError(
            f"{journal.layout.plan}: expected the plan of this output, found no such file; "
            "nothing can be told without it: prepare it afresh with a run with `overwrite=True`"
        )
    raise no_plan(journal.layout)


def _to_json(findings: Iterable[Finding]) -> list[dict[str, str]]:
    names = ("where", "expected", "found", "remedy")
    return [{name: getattr(finding, name) for name in names} for finding in findings]


def _with_measures(journal: Journal, sound: list[ShardInspection]) -> list[ShardInspection]:
    """Return what was found in sound shards, with what a repair has added to their receipts."""

    def with_receipt(inspection: ShardInspection) -> ShardInspection:
        if inspection.receipt is None or inspection.receipt.measures:
            return inspection
        return replace(inspection, receipt=journal.receipts.stored(inspection.shard))

    return list(journal.layout.root.each(with_receipt, sound))


def _is_held(journal: Journal) -> bool:
    """Return whether a run is known to be at work in an output."""
    try:
        require_unheld(journal.layout.lock)
    except OutputConflict:
        return True
    except OSError:  # Only what is read of the output itself has to be there.
        pass
    return False


def _report(
    journal: Journal,
    stored: RunPlan,
    now: Audit,
    before: Audit | None = None,
    notes: list[Finding] | None = None,
) -> VerificationReport:
    shards = len(stored.shards)
    problems = (*now.problems, *(notes or ()))
    left = {(problem.where, problem.expected) for problem in problems}
    repaired = before.problems if before else ()
    return VerificationReport(
        output=journal.output,
        shards=shards,
        committed=len(now.shards) if len(now.shards) < shards else None,
        images=sum(inspection.records for inspection in now.shards),
        problems=problems,
        repaired=tuple(p for p in repaired if (p.where, p.expected) not in left),
        unrelated=now.unrelated,
    )
