"""Does an output hold what its receipts say? And if not, how to make it so."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from prep import markup
from prep.admission import Stored, admit
from prep.audits import Audit, audit, shards_to_read
from prep.cluster_choice import ClusterChoice, choice_of
from prep.errors import PrepError
from prep.executors import Workload
from prep.journal import Journal, no_plan, require_listed
from prep.placing import placed, require_usable
from prep.problems import Problem
from prep.progress import ShowOn, stages_for
from prep.repair import Repair
from prep.stored_plan import StoredPlan
from prep.text import counted
from prep.trust import Trust, require_trusted
from prep.verdict import Verdict

if TYPE_CHECKING:
    from distributed import Client


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationReport:
    """What was found in an output.

    Attributes:
        output: the output folder.
        shards: how many shards the plan has.
        committed: how many of them there are in the output of a run that was stopped; None in all
            others.
        images: how many records could be read in them.
        problems: what is wrong; after a repair, what still is.
        repaired: what was wrong before a repair, and is not any more.
        unrelated: files that are named like shards, but lie where none of this output is looked
            for. They were left alone.
    """

    output: str
    shards: int
    images: int
    problems: tuple[Problem, ...]
    repaired: tuple[Problem, ...] = ()
    unrelated: tuple[str, ...] = ()
    committed: int | None = None

    @property
    def clean(self) -> bool:
        """Whether the output is whole and as it should be."""
        return not self.problems and self.committed is None

    @property
    def verdict(self) -> Verdict:
        """How it has ended."""
        return Verdict("done") if self.clean else Verdict("failed", self.summary())

    def to_json(self) -> dict[str, Any]:
        """All of it, in values that JSON has."""
        return {**asdict(self), "clean": self.clean}

    def summary(self) -> str:
        """One line.

        >>> print(VerificationReport(output="out", shards=2, images=64, problems=()).summary())
        out: 2 shards with 64 images: OK
        """
        images = f"with {counted(self.images, 'image')}"
        mended = f"; {counted(len(self.repaired), 'problem')} repaired" if self.repaired else ""
        if self.committed is None:
            return f"{self.output}: {counted(self.shards, 'shard')} {images}: {self._state}{mended}"
        shards = counted(self.shards, "shard") + (" is" if self.shards == 1 else " are")
        return (
            f"{self.output}: {self.committed:,} of {shards} committed, {images}: "
            f"{self._state}{mended}; run the same command to go on"
        )

    @property
    def _state(self) -> str:
        return counted(len(self.problems), "problem") if self.problems else "OK"

    def _repr_html_(self) -> str:
        """In a notebook: one line if all is well, else what is wrong."""
        state = self._state if self.committed is None else "not finished"
        parts = [markup.heading("Verified", state, "good" if self.clean else "bad")]
        parts.append(markup.line(self.summary(), kind="s"))
        for title, problems in (("Wrong", self.problems), ("Repaired", self.repaired)):
            rows = [(p.where, p.expected, p.found, p.remedy) for p in problems]
            if rows:
                parts.append(markup.section(title))
                parts.append(markup.table(("where", "expected", "found", "remedy"), rows))
        if self.unrelated:
            parts.append(markup.line("left alone, for they are not of this output:", kind="s"))
            parts.append(markup.table(("file",), [(path,) for path in self.unrelated]))
        return markup.panel(*parts)


def verify(
    output: str | os.PathLike[str],
    client: Client | None = None,
    *,
    repair: bool = False,
    trust_plan: Trust = None,
    workers: int | None = None,
    cluster: str | os.PathLike[str] | ClusterChoice | None = None,
    profile: str | None = None,
    progress: ShowOn = None,
    storage_options: Mapping[str, Any] | None = None,
    dashboard: bool = False,
) -> VerificationReport:
    """Read all of an output again, and say what is wrong with it.

    Each file is held against its receipt (size, SHA-256), each record against its checksums, its
    image against size and encoding, its label against the image list, sums and counts against the
    receipt, and the means, the report and the label map against all receipts.

    Args:
        output: an output folder or its URL, whole or not. Nothing may be writing to it.
        client: a Dask client to use, and leave running; without one, a cluster is started.
        repair: write broken shards again from their images, make the JSON files again, and remove
            files that readers would take for shards of this output, though they are not. Nothing
            else is touched. A shard whose images have changed since is left as it is, and named.
            A run that was stopped is not continued.
        trust_plan: whether a repair may read the source that the output's plan names; or a function
            that is asked, with what there is to know in one line. By default it may where all of
            the plan belongs to this user; a storage does not tell.
        workers: number of workers of a cluster that is started.
        cluster, profile: as for ``prep.run``.
        progress: whether to show progress on standard error; if None, only at a terminal.
        storage_options: of the storage, where it is a URL; see :class:`prep.Config`. For a repair,
            they are the source's, too, or are given for both by key.
        dashboard: use a cluster, which has a dashboard, however few images there are.

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
    journal, stored = _open(admit("output", output, storage_options))
    if repair:
        require_trusted(journal.layout, stored, trust_plan)
        admit("source", Stored(stored.source), storage_options)
    require_usable(client, choice)
    with contextlib.ExitStack() as stack:
        stages = stack.enter_context(stages_for("verifying", progress))
        if repair:
            stack.enter_context(journal.lock())
        shards = shards_to_read(journal, stored)
        workload = Workload(images=sum(shard.images for shard in shards), parts=len(shards))
        used = stack.enter_context(placed(client, choice, workload, stages.doing))
        writable = journal.output if repair else None
        used.require_fit(readable=[str(journal.layout.plan)], writable=writable)
        before = audit(journal, stored, shards, used, stages)
        if not repair or not before.problems:
            return _report(journal, stored, before)
        notes = Repair(journal, stored, before, used, stages).carry_out()
        sound = [inspection for inspection in before.shards if not inspection.problems]
        after = audit(journal, stored, shards, used, stages, sound)
        return _report(journal, stored, after, before, notes)


def _open(output: str | os.PathLike[str]) -> tuple[Journal, StoredPlan]:
    journal = Journal(output)
    journal.require_folders()
    stored = journal.stored_plan()
    if stored is not None:
        journal.require_folders(stored.images)
        require_listed(journal.layout, stored)
        return journal, stored
    if journal.layout.receipts.is_dir():
        raise PrepError(
            f"{journal.layout.plan}: expected the plan of this output, found no such file; "
            "nothing can be told without it: prepare it afresh with a run with `overwrite=True`"
        )
    raise no_plan(journal.layout)


def _report(
    journal: Journal,
    stored: StoredPlan,
    now: Audit,
    before: Audit | None = None,
    notes: list[Problem] | None = None,
) -> VerificationReport:
    shards = len(stored.shards)
    problems = (*now.problems, *(notes or ()))
    left = {(problem.where, problem.expected) for problem in problems}
    mended = before.problems if before else ()
    return VerificationReport(
        output=journal.output,
        shards=shards,
        committed=len(now.shards) if len(now.shards) < shards else None,
        images=sum(inspection.records for inspection in now.shards),
        problems=problems,
        repaired=tuple(p for p in mended if (p.where, p.expected) not in left),
        unrelated=now.unrelated,
    )
