"""Publish the results of a run in its output: lists, mean, report and page."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import importlib
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from prep.errors import PrepError, RecordError
from prep.execution.local.resources import cores
from prep.images.likeness.hashing import UNKNOWN, Hashes
from prep.operations.preparation import Tell
from prep.output.index.publishing import publish_derived
from prep.output.index.scanning import note_measures
from prep.output.journal import Journal
from prep.output.receipt import ShardReceipt, SplitTotals, total_receipts
from prep.output.report.checksums import DIGITS
from prep.output.report.duplicates import Copies, copies_in_run, summarise_copies
from prep.output.report.listings import (
    publish_duplicates,
    publish_findings,
    publish_near_duplicates,
    publish_outdated,
)
from prep.output.report.making import Effort, make_report
from prep.output.report.near_copies import NearCopies, near_copies_of
from prep.output.report.report import RunReport
from prep.planning.plan import RunPlan
from prep.shards.image_hashes import hash_images
from prep.text import reason_and_file, reason_of

_LOGGER = logging.getLogger("prep")


def load_ahead() -> None:
    """Load what makes the page, in a thread: while workers are busy, that costs no time."""

    def load() -> None:
        with contextlib.suppress(Exception):  # Whoever needs it is told.
            importlib.import_module("prep.display.page.page")

    threading.Thread(target=load, name="prep-load", daemon=True).start()


def publish(
    plan: RunPlan,
    journal: Journal,
    receipts: Sequence[ShardReceipt],
    effort: Effort | None = None,
    *,
    source_was_read: bool = True,
    tell: Tell = lambda _: None,
) -> RunReport:
    """Publish the results of a run: lists, mean, report and page.

    Files that say the same already are left as they are, for they may lie where nothing can be
    written.

    Args:
        receipts: the receipts of all shards, as they are now.
        effort: what the run took; None if no shard was left to write, and the report is to keep
            what it says of that.
        source_was_read: whether the plan was made from the source, and knows what was passed over;
            False if it is the stored one.
        tell: is told of what takes long.

    Raises:
        OutputConflict: another run has taken the output over, maybe in the middle of this.
        PrepError: something can't be written.
    """
    totals = total_receipts(receipts)
    copies = copies_in_run(plan.manifest, plan.classes, plan.shards, receipts)
    rest = _hashes_of_rest(plan, journal, receipts, tell) if source_was_read else None
    near = near_copies_of(plan, plan.manifest, receipts, rest)
    images = {split: sum(classes.values()) for split, classes in plan.counts.items()}
    report = make_report(
        plan,
        journal.output,
        totals,
        effort or Effort(seconds=0.0, images=0, resumed_shards=len(receipts)),
        summarise_copies(copies, images),
        near.for_report() if near else {},
    )
    stored = None if effort else _stored_report(journal)
    if stored is not None:
        report = _with_what_is_known(report, stored, source_was_read=source_was_read)
    results = _Results(
        journal=journal,
        plan=plan,
        receipts=receipts,
        totals=totals,
        copies=copies,
        near=near,
        report=report,
        stored=stored,
    )
    results.write(growth=source_was_read)
    _update_page(plan, journal, receipts, near)
    journal.require_lock(ask=True)
    return report


@dataclass(frozen=True, slots=True, kw_only=True)
class _Results:
    """The results of a run that are published beside its shards, and the report stored before."""

    journal: Journal
    plan: RunPlan
    receipts: Sequence[ShardReceipt]
    totals: SplitTotals
    copies: Sequence[Copies]
    near: NearCopies | None
    report: RunReport
    stored: RunReport | None

    def write(self, *, growth: bool) -> None:
        """Write the files that do not say the same already.

        Args:
            growth: whether the plan knows which records are outdated.

        Raises:
            OutputConflict: another run has taken the output over, maybe in the middle of this.
            PrepError: something can't be written.
        """
        files: list[Callable[[], None]] = [
            lambda: publish_findings(self.journal.layout, self.totals),
            self._publish_copies,
            *([self._publish_outdated] if growth else []),
            self.report.publish_mean,
            self._publish_for_readers,
            self._publish_report,  # Last: without it, this output has not come to its end.
        ]
        try:
            for publish_file in files:
                self.journal.require_lock(ask=True)  # Whoever was suspended may have lost it.
                publish_file()
        except OSError as error:
            raise PrepError(
                "all shards are committed, but the report can't be written: "
                f"{reason_and_file(error)}; {_remedy(error)}, and run the same command again"
            ) from None
        self.journal.require_lock(ask=True)

    def _publish_copies(self) -> None:
        with _unless_details_alone(self.report, self.stored):
            publish_duplicates(self.journal.layout, self.copies)
            if self.near is not None:
                publish_near_duplicates(self.journal.layout, self.near.rows)

    def _publish_outdated(self) -> None:
        if self.plan.outdated or self.plan.continues is not None:
            with _unless_details_alone(self.report, self.stored):
                publish_outdated(self.journal.layout, self.plan.outdated)

    def _publish_for_readers(self) -> None:
        with _unless_details_alone(self.report, self.stored):
            measured = _measured(self.journal, self.plan, self.receipts)
            publish_derived(self.journal, self.plan, measured)

    def _publish_report(self) -> None:
        report, stored = self.report, self.stored
        if stored is None or stored != _resumed_as(report, stored):
            with _unless_details_alone(report, stored):
                report.publish()


def _measured(
    journal: Journal, plan: RunPlan, receipts: Sequence[ShardReceipt]
) -> Sequence[ShardReceipt]:
    """Return receipts that all tell where their records are, if some do.

    The others are of shards that an earlier version wrote, before this one added to them.
    """
    if not journal.is_locked or not any(receipt.measures for receipt in receipts):
        return receipts
    try:
        return note_measures(journal, plan, receipts)
    except RecordError as error:
        _LOGGER.warning("prep: no index of the records is written: %s", error)
        return receipts


def _with_what_is_known(
    report: RunReport, stored: RunReport, *, source_was_read: bool
) -> RunReport:
    """Return a report with what only the stored one tells, for no shard was left to write."""
    report = dataclasses.replace(
        report,
        seconds=stored.seconds,
        start_seconds=stored.start_seconds,
        images_per_second=stored.images_per_second,
        versions=stored.versions,
    )
    if source_was_read:
        return report
    return dataclasses.replace(
        report,
        read_as=stored.read_as,
        passed_over=stored.passed_over,
        balance=stored.balance,
        refusals_allowed=stored.refusals_allowed,
        near_duplicates=report.near_duplicates or stored.near_duplicates,
        outdated=stored.outdated,
    )


def _hashes_of_rest(
    plan: RunPlan, journal: Journal, receipts: Sequence[ShardReceipt], tell: Tell
) -> Hashes | None:
    """Hash the images of shards that were written when nobody had asked which look alike.

    Returns:
        uint64 (images,), ``UNKNOWN`` for all others; None if there are no such shards.
    """
    starts = {(shard.split, shard.index): shard.start for shard in plan.shards}
    rows = [
        np.arange(starts[r.split, r.index], starts[r.split, r.index] + len(r.checksums) // DIGITS)
        for r in receipts
        if not r.likenesses
    ]
    if plan.config.near_duplicates != "report" or not rows:
        return None
    chosen = np.concatenate(rows)
    hashes = np.full(plan.images, UNKNOWN, np.uint64)
    hashes[chosen] = hash_images(
        journal.source(plan),
        plan.manifest.take(chosen),
        plan.classes,
        plan.settings,
        timeout=plan.config.image_timeout,
        processes=cores(),
        tell=tell,
    )
    return hashes


def _remedy(error: OSError) -> str:
    """Say what to do if a file can't be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "make room"
    if error.errno in (errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENOTEMPTY):
        return "remove whatever is in its place"
    return "make it writable"


def _stored_report(journal: Journal) -> RunReport | None:
    try:
        return RunReport.read(journal.output)
    except (OSError, ValueError):
        return None


@contextlib.contextmanager
def _unless_details_alone(report: RunReport, stored: RunReport | None) -> Iterator[None]:
    """Ignore a write error if the stored report says the same of all images that were written.

    A finished output may have been moved to where nothing can be written, while files come to the
    source that are passed over. Nor did earlier versions tell as much of duplicates, or how the
    source was read.
    """
    try:
        yield
    except OSError:
        if stored is None:
            raise
        report = dataclasses.replace(
            report,
            read_as=stored.read_as,
            passed_over=stored.passed_over,
            balance=stored.balance,
            duplicates=stored.duplicates,
            near_duplicates=stored.near_duplicates,
            outdated=stored.outdated,
            output=stored.output,
            config={**report.config, "output": stored.config.get("output")},
        )
        if stored != _resumed_as(report, stored):
            raise


def _resumed_as(report: RunReport, other: RunReport) -> RunReport:
    return dataclasses.replace(report, resumed_shards=other.resumed_shards)


def _update_page(
    plan: RunPlan, journal: Journal, receipts: Sequence[ShardReceipt], near: NearCopies | None
) -> None:
    """Make report.html, and only warn if that fails."""
    try:
        # It takes a while to load, and may itself be broken.
        from prep.display.page.page import update_page

        update_page(journal, plan, receipts, near)
    except Exception as error:
        _LOGGER.warning(
            "prep: everything is written but %s, which can't be made: %s; prep report tries again",
            journal.layout.page,
            reason_of(error),
        )
