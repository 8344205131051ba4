"""Everything known about an output without opening a shard."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from prep.errors import PrepError
from prep.output.journal import Journal
from prep.output.receipt import ImageNote, ShardReceipt, Totals, total_receipts
from prep.output.report.history import History, read_histories
from prep.output.report.near_copies import NearCopies, near_copies_of
from prep.output.report.report import RunReport
from prep.planning.plan import RunPlan, count_classes
from prep.settings.distribution import version
from prep.sources.folders.names import training_splits
from prep.sources.manifest import require_numbered, require_within
from prep.storage.location import Location
from prep.text import reason_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The plan, manifest, receipts and report of an output.

    Attributes:
        root: the output folder.
        plan: what it is to hold.
        receipts: of the shards that are committed, in the plan's order.
        report: ``report.json``; None where there is none of this plan.
        histories: what was measured in each part of the run, the oldest first.
        planned: images by split and class.
        manifest: the images, as planned.
        class_rows: int (images,), for each row of the manifest the index of its class.
        sizes: int64 (images,), the bytes of each image file.
        totals: of all splits, those of which nothing is committed too.
        own: whether the plan is this user's own, so that its source may be looked into.
        near: the images that look alike; None if nobody asked for them.
    """

    root: Location
    plan: RunPlan
    receipts: tuple[ShardReceipt, ...]
    report: RunReport | None
    histories: tuple[History, ...]
    planned: Mapping[str, Mapping[str, int]]
    manifest: pa.Table
    class_rows: npt.NDArray[np.integer[Any]]
    sizes: npt.NDArray[np.int64]
    totals: Mapping[str, Totals]
    own: bool
    near: NearCopies | None = None

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(self.plan.splits)

    @property
    def finished(self) -> bool:
        """True if all shards are committed."""
        return len(self.receipts) == len(self.plan.shards)

    @property
    def references(self) -> tuple[str, ...]:
        """The splits from which mean and std are computed."""
        return training_splits(self.plan.splits)

    def findings(self) -> list[tuple[str, ImageNote]]:
        """All images that were not simply written, with their split; refused ones first."""
        found = [(r.split, finding) for r in self.receipts for finding in r.findings]
        return sorted(found, key=lambda f: (f[1].outcome != "refused", f[1].reason, f[1].path))

    def digest(self) -> str:
        """Return a digest of these facts and of the version that would make the page from them."""
        values = {
            "version": version(),
            "root": str(self.root),
            "plan": self.plan.to_json(),
            "own": self.own,
            # The rest of a receipt follows from the plan and the contents of the shard.
            "receipts": [
                (r.split, r.index, r.sha256, r.worker, r.began, r.seconds, len(r.findings))
                for r in self.receipts
            ],
            "report": _lasting(self.report),
            "histories": [history.to_json() for history in self.histories],
        }
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _lasting(report: RunReport | None) -> Mapping[str, Any]:
    """Return the part of a report that does not change when a finished run is started again."""
    values = report.to_json() if report else {}
    return {name: value for name, value in values.items() if name != "resumed_shards"}


def read_facts(
    journal: Journal,
    plan: RunPlan,
    receipts: Sequence[ShardReceipt] | None = None,
    *,
    own: bool = True,
    near: NearCopies | None = None,
) -> Facts:
    """Read the plan, manifest, receipts and report of an output.

    Args:
        own: see :class:`Facts`.
        receipts: of all shards that are committed, where they are at hand.
        near: the images that look alike, where they are at hand.

    Raises:
        PrepError: its manifest can't be read.
    """
    if receipts is None:
        receipts = journal.receipts.committed(plan.shards, plan.fingerprint.digest)
    try:
        table = journal.manifest.table_of(plan)
        require_within(table, plan.source)
        rows: npt.NDArray[np.integer[Any]] = table["class"].to_numpy()
        require_numbered(table["class"], len(plan.classes))
        planned = count_classes(rows, plan.splits, plan.classes)
        if len(rows) != plan.images:
            raise ValueError(f"{len(rows):,} images")
    except (OSError, ValueError, pa.ArrowException) as error:
        raise PrepError(
            f"{journal.layout.manifest}: expected the manifest, found something else "
            f"({reason_of(error)}); prep verify --repair remakes it"
        ) from None
    found = total_receipts(receipts)
    return Facts(
        root=journal.layout.root,
        plan=plan,
        receipts=tuple(receipts),
        report=_read_report(journal, plan),
        histories=tuple(read_histories(journal.layout)),
        planned=planned,
        manifest=table,
        class_rows=rows,
        sizes=table["size"].to_numpy(),
        totals={split: found.get(split, Totals()) for split in plan.splits},
        own=own,
        near=near or near_copies_of(plan, table, receipts),
    )


def _read_report(journal: Journal, plan: RunPlan) -> RunReport | None:
    try:
        report = RunReport.read(journal.output)
    except (OSError, ValueError):
        return None
    return report if report.fingerprint == plan.fingerprint.digest else None
