"""A shard as a whole: its receipt first, then the file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

from prep import storage
from prep.image_list import ImageEntry
from prep.images import configure_process
from prep.inspection.receipt import classes_written, read_receipt, receipt_differences
from prep.inspection.records import inspect_file
from prep.journal import Journal, open_plan
from prep.planning import ShardSpec
from prep.problems import Difference, Problem
from prep.receipts import ShardReceipt
from prep.shards import RunRef
from prep.stored_plan import StoredPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardInspection:
    """What was found in one shard.

    Attributes:
        shard: which one.
        records: how many records could be read.
        receipt: its receipt, if there is a sound one.
        problems: what is wrong; empty for a sound shard.
    """

    shard: ShardSpec
    records: int = 0
    receipt: ShardReceipt | None = None
    problems: tuple[Problem, ...] = ()


def inspect_shard(shard: ShardSpec, run: RunRef) -> ShardInspection:
    """Reads all of a shard again, and says what is not as the plan and the receipt have it.

    Raises:
        OutputConflict: the output holds another plan now.
        OutputNotSeen: this host sees none in it.
        StorageUnavailable: it can't be told, for a storage does not answer.
    """
    configure_process()
    journal = Journal(run.output)
    plan = open_plan(run.output, run.digest, run.run)
    receipt = read_receipt(journal, shard, run.digest)
    if isinstance(receipt, Problem):
        return ShardInspection(shard=shard, problems=(receipt,))
    path = journal.layout.shard(shard.split, shard.index, shard.count)
    entries = _entries(journal, plan, shard)
    file, receipt_file = (
        str(place.relative_to(journal.layout.root))
        for place in (path, journal.layout.receipt(shard.split, shard.index))
    )
    wrong = _problems(receipt_file, receipt_differences(receipt, shard, plan, file, entries))
    if wrong:  # There is nothing to hold the shard against.
        return ShardInspection(shard=shard, problems=wrong)
    classes = None if entries is None else classes_written(receipt, entries)
    records, differences = inspect_file(path, plan, receipt, classes)
    return ShardInspection(
        shard=shard, records=records, receipt=receipt, problems=_problems(file, differences)
    )


def _problems(where: str, differences: Iterable[Difference]) -> tuple[Problem, ...]:
    return tuple(
        Problem(where=where, expected=expected, found=found, remedy="rewrite")
        for expected, found in differences
    )


def _entries(journal: Journal, plan: StoredPlan, shard: ShardSpec) -> list[ImageEntry] | None:
    """The images of a shard; None where the image list can't be read, which is told elsewhere."""
    try:
        return list(journal.entries(plan, shard))
    except OSError as error:
        storage.require_answer(journal.layout.root, error)
        return None
    except (IndexError, ValueError, pa.ArrowException):
        return None
