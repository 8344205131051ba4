"""Publish what has come of a run: the report, the mean, the lists, and the page to look at."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import importlib
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from prep.errors import PrepError
from prep.output.journal import Journal
from prep.output.receipt import ShardReceipt, total_receipts
from prep.output.report.duplicates import Copies, copies_in_run, summarise_copies
from prep.output.report.listings import publish_duplicates, publish_findings
from prep.output.report.making import Effort, make_report
from prep.output.report.report import RunReport
from prep.planning.plan import RunPlan
from prep.text import reason_and_file, reason_of

_LOGGER = logging.getLogger("prep")


def load_ahead() -> None:
    """Load what makes the page, in a thread: while others are at work, that costs no time."""

    def load() -> None:
        with contextlib.suppress(Exception):  # Whoever needs it is told.
            importlib.import_module("prep.display.page.page")

    threading.Thread(target=load, name="prep-load", daemon=True).start()


def publish(
    made: RunPlan,
    journal: Journal,
    receipts: Sequence[ShardReceipt],
    effort: Effort | None = None,
    *,
    source_was_read: bool = True,
) -> RunReport:
    """Publishes what has come of a run, now that all its shards are committed.

    What is there already and says the same is left as it is, for it may lie where nothing can be
    written.

    Args:
        receipts: of all shards, as they are now.
        effort: what it has taken; None where nothing was left to do, and the report is to go on
            saying what it took then.
        source_was_read: whether the plan is of this run's source and configuration, and knows what
            was passed over; not where it is the stored one.

    Raises:
        OutputConflict: another run has taken the output over, maybe in the middle of this.
        PrepError: something can't be written.
    """
    totals = total_receipts(receipts)
    found = copies_in_run(made.manifest, made.classes, made.shards, receipts)
    nothing = Effort(seconds=0.0, images=0, resumed_shards=len(receipts))
    images = {split: sum(classes.values()) for split, classes in made.counts.items()}
    duplicates = summarise_copies(found, images)
    report = make_report(made, journal.output, totals, effort or nothing, duplicates)
    stored = None if effort else _stored_report(journal)
    if stored is not None:
        report = dataclasses.replace(
            report,
            seconds=stored.seconds,
            start_seconds=stored.start_seconds,
            images_per_second=stored.images_per_second,
            versions=stored.versions,
            **({} if source_was_read else _only_asked_for_once(stored)),
        )
    files: list[Callable[[], None]] = [
        lambda: publish_findings(journal.layout, totals),
        lambda: _publish_duplicates(journal, found, report, stored),
        report.publish_mean,
        lambda: _publish_report(report, stored),
    ]
    try:
        for publish_file in files:
            journal.require_lock(ask=True)  # Whoever was suspended may have lost it by now.
            publish_file()
    except OSError as error:
        raise PrepError(
            f"all shards are committed, but the report can't be written: {reason_and_file(error)}; "
            f"{_remedy(error)}, and run the same command again"
        ) from None
    journal.require_lock(ask=True)
    _update_page(made, journal, receipts)
    journal.require_lock(ask=True)
    return report


def _remedy(error: OSError) -> str:
    """Say what to do where a file can't be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "make room"
    if error.errno in (errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENOTEMPTY):
        return "remove whatever is in its place"
    return "make it writable"


def _only_asked_for_once(stored: RunReport) -> dict[str, Any]:
    """What a report says of the source and of what was asked for, which the plan does not keep."""
    return {"passed_over": stored.passed_over, "refusals_allowed": stored.refusals_allowed}


def _publish_duplicates(
    journal: Journal, found: Sequence[Copies], report: RunReport, stored: RunReport | None
) -> None:
    with _unless_details_alone(report, stored):
        publish_duplicates(journal.layout, found)


def _publish_report(report: RunReport, stored: RunReport | None) -> None:
    if stored is None or stored != _resumed_as(report, stored):
        with _unless_details_alone(report, stored):
            report.publish()


def _stored_report(journal: Journal) -> RunReport | None:
    try:
        return RunReport.read(journal.output)
    except (OSError, ValueError):
        return None


@contextlib.contextmanager
def _unless_details_alone(report: RunReport, stored: RunReport | None) -> Iterator[None]:
    """Ignore a write error if the stored report says the same of all images that were written.

    A finished output may have been moved to where nothing can be written, while files come to the
    source that are passed over. Nor did earlier versions tell as much of duplicates.
    """
    try:
        yield
    except OSError:
        if stored is None:
            raise
        report = dataclasses.replace(
            report,
            passed_over=stored.passed_over,
            duplicates=stored.duplicates,
            output=stored.output,
            config={**report.config, "output": stored.config.get("output")},
        )
        if stored != _resumed_as(report, stored):
            raise


def _resumed_as(report: RunReport, other: RunReport) -> RunReport:
    return dataclasses.replace(report, resumed_shards=other.resumed_shards)


def _update_page(made: RunPlan, journal: Journal, receipts: Sequence[ShardReceipt]) -> None:
    """Make the page to look at, and only warn where that fails."""
    try:
        from prep.display.page.page import (
            update_page,  # It takes a while to load, and may itself be broken.
        )

        update_page(journal, made, receipts)
    except Exception as error:
        _LOGGER.warning(
            "prep: everything is written but %s, which can't be made: %s; prep report tries again",
            journal.layout.page,
            reason_of(error),
        )
