"""Does an output hold what its receipts say? And if not, how to make it so."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
from distributed import Client

from prep import markup, storage
from prep.admission import Stored, admit
from prep.audits import Audit, audit
from prep.checks import require_fit
from prep.checksums import from_text
from prep.clusters import ClusterChoice, choice_of
from prep.errors import PrepError, SourceError
from prep.images import codec_versions
from prep.inspection import ShardInspection
from prep.journal import Journal
from prep.locations import locate
from prep.planning import RunPlan, ShardSpec
from prep.plans import plan_as_stored
from prep.problems import Problem
from prep.receipts import of_outcome, total_receipts
from prep.runs import publish
from prep.sessions import require_usable, usable_client
from prep.stored_plan import StoredPlan
from prep.text import counted, reason_and_file
from prep.trust import Trust, require_trusted
from prep.writing import Writing

_ABSENT = (FileNotFoundError, NotADirectoryError)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationReport:
    """What was found in an output.

    Attributes:
        output: the output folder.
        shards: how many shards the plan has.
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

    @property
    def clean(self) -> bool:
        """Whether the output is as it should be."""
        return not self.problems

    def summary(self) -> str:
        """One line.

        >>> print(VerificationReport(output="out", shards=2, images=64, problems=()).summary())
        out: 2 shards with 64 images, all as they should be
        """
        held = f"{counted(self.shards, 'shard')} with {counted(self.images, 'image')}"
        mended = f"; {counted(len(self.repaired), 'problem')} repaired" if self.repaired else ""
        state = "all as they should be" if self.clean else counted(len(self.problems), "problem")
        return f"{self.output}: {held}, {state}{mended}"

    def _repr_html_(self) -> str:
        """In a notebook: one line if all is well, else what is wrong."""
        state = "all as it should be" if self.clean else counted(len(self.problems), "problem")
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
    progress: bool | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> VerificationReport:
    """Reads all of an output again, and says what is not as it should be.

    Each file is held against its receipt (size, SHA-256), each record against its checksums, its
    image against size and encoding, its label against the image list, sums and counts against the
    receipt, and the means, the report and the label map against all receipts.

    Args:
        output: an output folder or its URL, whole or not. Nothing may be writing to it.
        client: a Dask client to use, and leave running; without one, a cluster is started.
        repair: write broken shards again from their images, remake the JSON files, and remove what
            would be taken for a part of the output and is none. Nothing else is touched. A shard
            whose images have changed since is left as it is, and named.
        trust_plan: whether a repair may read the source that the output's plan names; or a function
            that is asked, with what there is to know in one line. By default it may where all of
            the plan belongs to this user; a storage does not tell.
        workers: number of workers of a cluster that is started.
        cluster, profile: as for ``prep.run``.
        progress: whether to show progress on standard error; if None, only at a terminal.
        storage_options: of the storage, where it is a URL; see :class:`prep.Config`. For a repair,
            they are the source's, too, or are given for both by key.

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
    choice = choice_of(cluster, profile, workers)
    journal, stored = _open(admit("output", output, storage_options))
    if repair:
        require_trusted(journal.layout, stored, trust_plan)
        admit("source", Stored(stored.source), storage_options)
    require_usable(client, choice)
    with contextlib.ExitStack() as stack:
        if repair:
            stack.enter_context(journal.lock())
        used = stack.enter_context(usable_client(client, choice))
        writable = journal.output if repair else None
        require_fit(used, readable=[str(journal.layout.plan)], writable=writable)
        before = audit(journal, stored, used, progress)
        if not repair or not before.problems:
            return _report(journal, before)
        notes = _Repair(journal, stored, before, used, progress).carry_out()
        sound = [inspection for inspection in before.shards if not inspection.problems]
        return _report(journal, audit(journal, stored, used, progress, sound), before, notes)


def _open(output: str | os.PathLike[str]) -> tuple[Journal, StoredPlan]:
    journal = Journal(output)
    journal.require_folders()
    stored = journal.stored_plan()
    if stored is not None:
        journal.require_folders(stored.images)
        journal.require_listed(stored)
        return journal, stored
    if journal.layout.receipts.is_dir():
        raise PrepError(
            f"{journal.layout.plan}: expected the plan of this output, found no such file; "
            "nothing can be told without it: prepare it afresh with prep run --overwrite"
        )
    raise SourceError(
        f"output: expected a folder that prep run has written, found no plan in "
        f"{str(output)!r}; give the path that was its --output"
    )


def _report(
    journal: Journal, now: Audit, before: Audit | None = None, notes: list[Problem] | None = None
) -> VerificationReport:
    problems = (*now.problems, *(notes or ()))
    left = {(problem.where, problem.expected) for problem in problems}
    mended = before.problems if before else ()
    return VerificationReport(
        output=journal.output,
        shards=len(now.shards),
        images=sum(inspection.records for inspection in now.shards),
        problems=problems,
        repaired=tuple(p for p in mended if (p.where, p.expected) not in left),
        unrelated=now.unrelated,
    )


class _Repair:
    """Makes good what can be, and notes why the rest can't."""

    def __init__(
        self,
        journal: Journal,
        stored: StoredPlan,
        found: Audit,
        client: Client,
        progress: bool | None,
    ) -> None:
        self._journal = journal
        self._stored = stored
        self._found = found
        self._client = client
        self._progress = progress
        self._notes: list[Problem] = []

    def carry_out(self) -> list[Problem]:
        """Gives back why some of it could not be done.

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
                storage.remove(layout.root / problem.where, within=layout.root)
        storage.publish_json(layout.labels, self._stored.labels.to_json(), within=layout.root)
        made = self._found.plan or self._plan_anew()
        if made is not None:
            self._rewrite(made)
            self._remake_results(made)

    def _plan_anew(self) -> RunPlan | None:
        """The plan from the source, if that still is what it was; publishes its image list."""
        if any(problem.remedy == "none" for problem in self._found.beside):
            return None
        try:
            made = plan_as_stored(self._stored, self._journal.output)
        except PrepError as error:
            self._note(self._journal.layout.manifest, f"{error}")
            return None
        differences = self._stored.fingerprint.differences(made.fingerprint)
        if differences:
            self._note(self._journal.layout.manifest, f"another one: {'; '.join(differences)}")
            return None
        made = dataclasses.replace(made, config=self._stored.config)  # The output may have moved.
        self._journal.begin(made)
        return made

    def _rewrite(self, made: RunPlan) -> None:
        """Writes those of the broken shards again that come out as they were planned."""
        if not self._found.broken or self._versions_differ():
            return
        before = {inspection.shard: inspection for inspection in self._found.shards}
        chosen = [shard for shard in self._found.broken if not self._changed(made, before[shard])]
        layout = self._journal.layout
        for shard in chosen:
            storage.make_folder(layout.root / shard.split, within=layout.root)
            storage.remove(layout.receipt(shard.split, shard.index), within=layout.root)
        if chosen:
            others = total_receipts(self._journal.committed(made))
            # What is measured of a repair says nothing of how the output was made.
            work = Writing(made, chosen, self._journal, self._client, others, remember=False)
            work.carry_out(self._progress)
        for shard in chosen:
            self._compare(before[shard])

    def _versions_differ(self) -> bool:
        """Whether shards would come out other than they were planned, and notes why."""
        planned, here = self._stored.fingerprint.versions, _versions()
        differing = [name for name in planned if planned[name] != here.get(name)]
        for name in differing:
            self._notes.append(
                Problem(
                    where=self._shown(self._journal.layout.plan),
                    expected=f"{name} {planned[name]}, to write the same shards again",
                    found=f"{here.get(name)}",
                    remedy="none",
                )
            )
        return bool(differing)

    def _changed(self, made: RunPlan, inspection: ShardInspection) -> bool:
        """Whether a shard's images are not what they were, and notes which."""
        shard = inspection.shard
        gone = set()
        if inspection.receipt is not None:
            refused = of_outcome(inspection.receipt.findings, "refused")
            gone = {finding.path for finding in refused if finding.reason == "unreadable"}
        changed = [path for path in _changed_images(made, shard) if path not in gone]
        if changed:
            self._note(
                self._journal.layout.shard(shard.split, shard.index, shard.count),
                f"{counted(len(changed), 'image')} of its {shard.images} changed or gone, such as "
                f"{changed[0]!r}",
            )
        return bool(changed)

    def _compare(self, before: ShardInspection) -> None:
        """Notes where a shard was made of other bytes now: size and time don't tell of all."""
        shard = before.shard
        digest = self._stored.fingerprint.digest
        after = self._journal.receipt(shard, digest)
        if before.receipt is None or after is None:
            return
        old, new = (from_text(receipt.checksums) for receipt in (before.receipt, after))
        other = int((old != new).sum())
        if other:
            self._note(
                self._journal.layout.shard(shard.split, shard.index, shard.count),
                f"{counted(other, 'image')} of its {shard.images} to have other contents, though "
                "of the same size and time; it was written again with these",
            )

    def _remake_results(self, made: RunPlan) -> None:
        receipts = self._journal.committed(made)
        if len(receipts) == len(made.shards):
            self._journal.require_lock(ask=True)
            publish(made, self._journal, receipts, source_was_read=False)

    def _note(self, path: Path, found: str) -> None:
        self._notes.append(
            Problem(
                where=self._shown(path),
                expected=f"its images in {self._stored.source!r} as they were, to write it again",
                found=found,
                remedy="none",
            )
        )

    def _shown(self, path: Path) -> str:
        return str(path.relative_to(self._journal.layout.root))


def _versions() -> dict[str, str]:
    return {"prep": version("prep"), **codec_versions()}


def _changed_images(made: RunPlan, shard: ShardSpec) -> Iterator[str]:
    """Images of a shard that are not of the size and time that they were planned with.

    Raises:
        PrepError: a storage does not say.
    """
    source = locate(made.source)
    root = os.path.join(os.fsencode(str(source)), b"")
    rows: pa.Table = made.manifest.slice(shard.start, shard.images)
    columns = (rows[name].to_pylist() for name in ("path", "size", "mtime"))
    planned = {path: storage.Stamp(size, mtime) for path, size, mtime in zip(*columns, strict=True)}

    def found(path: bytes) -> storage.Stamp:
        try:
            return storage.patiently(source, lambda: storage.stamp_of(root + path))
        except OSError as error:
            if storage.is_remote(source) and not isinstance(error, _ABSENT):
                raise PrepError(
                    f"source: can't be read: {reason_and_file(error)}; no shard was written again"
                ) from None
            return storage.Stamp(0, 0)

    stamps = storage.each(found, planned, source)
    for (path, then), now in zip(planned.items(), stamps, strict=True):
        if now != then:
            yield os.fsdecode(path)
