"""Check a shard: its receipt against the plan, then its file against both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from prep.images.decoders.process import configure_process
from prep.images.mean_image import grid_side
from prep.output.findings import Difference, Finding, mismatch
from prep.output.index.measures import DIGITS as MEASURE_DIGITS
from prep.output.journal import Journal
from prep.output.receipt import ShardReceipt, of_outcome
from prep.output.report.checksums import DIGITS
from prep.planning.plan import RunPlan
from prep.planning.shards import ShardSpec
from prep.shards.check_records import inspect_file
from prep.shards.opened import open_plan
from prep.shards.writer import RunRef
from prep.sources.base import UNLABELLED, ImageEntry
from prep.text import brief, reason_of


def read_receipt(journal: Journal, shard: ShardSpec, digest: str) -> ShardReceipt | Finding:
    """Return the receipt of a shard, or why there is none of this plan."""
    path = journal.layout.receipt(shard.split, shard.index)

    def problem(expected: str, found: str) -> Finding:
        where = str(path.relative_to(journal.layout.root))
        return mismatch(where, expected, found, "rewrite")

    try:
        receipt = journal.receipts.read(shard.split, shard.index)
    except FileNotFoundError:
        file = journal.layout.shard(shard)
        there = file.patiently(file.exists)
        found = "a file without one" if there else "none, and no file: it was not written"
        return problem(f"the receipt of {file.name}", found)
    except (OSError, ValueError) as error:
        if isinstance(error, OSError):
            path.require_answer(error)
        return problem("a receipt", f"one that can't be read: {reason_of(error)}")
    if receipt.fingerprint != digest:
        found = f"that of another ({str(receipt.fingerprint)[:12]}…)"
        return problem(f"a receipt of this plan ({digest[:12]}…)", found)
    return receipt


def receipt_differences(
    receipt: ShardReceipt,
    shard: ShardSpec,
    plan: RunPlan,
    file: str,
    entries: Sequence[ImageEntry] | None,
) -> Iterator[Difference]:
    """Compare a receipt with the plan, and with itself.

    Args:
        file: path of the shard, relative to the output.
        entries: its images; None if the manifest can't be read.
    """
    written, refused = receipt.images, of_outcome(receipt.findings, "refused")
    largest = plan.most_bytes(written)
    pairs: dict[str, tuple[object, object]] = {
        "shard": (
            (shard.split, shard.index, shard.count, file),
            (receipt.split, receipt.index, receipt.count, receipt.file),
        ),
        "images": (shard.images, written + len(refused)),
        "images in its sums": (written, receipt.stats.images),
        "digits of checksums": (DIGITS * shard.images, len(receipt.checksums)),
        "classes without a label": ([], sorted(receipt.written.keys() - _labelled(plan))),
        f"bytes beyond {largest:,}": (0, max(receipt.bytes - largest, 0)),
    }
    if plan.features.hold_source_sizes:
        pairs["measures of records"] = (written, len(receipt.measures) // MEASURE_DIGITS)
    if plan.settings.same_size:
        pixels = written * plan.settings.height * plan.settings.width
        pairs["pixels in its sums"] = (pixels, receipt.stats.pixels)
    if receipt.dimensions.images:  # They were not always noted.
        pairs["images in its dimensions"] = (written, receipt.dimensions.images)
    if receipt.traits.images:
        pairs["images in its traits"] = (written, receipt.traits.images)
    if receipt.mean_image.images:
        pairs["images in its mean image"] = (written, receipt.mean_image.images)
        side = grid_side(plan.settings)
        pairs["points on each side of its mean image"] = (side, receipt.mean_image.side)
    deep = {name: found.images for name, found in receipt.depths.classes.items()}
    more = [name for name, images in deep.items() if images > receipt.written.get(name, 0)]
    pairs["classes with more images of 16 bits than images"] = ([], more)
    if entries is not None:
        by_class = dict(Counter(entry.class_name for entry in receipt.written_among(entries)))
        names = {entry.name for entry in entries}
        strange = {finding.path for finding in receipt.findings} - names
        pairs["images by class"] = (by_class, receipt.written)
        pairs["images named that are not its own"] = (0, len(strange))
    for what, (expected, found) in pairs.items():
        if expected != found:
            yield f"{what}: {brief(expected)}", brief(found)


def _labelled(plan: RunPlan) -> set[str]:
    """Return the classes of which records may be; images of the plan may have no label."""
    if plan.labels.target == "multi":
        return {*plan.classes}
    return {*plan.labels.numbers, *({UNLABELLED} & {*plan.classes})}


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardInspection:
    """The result of checking one shard.

    Attributes:
        shard: which one.
        records: how many records could be read.
        receipt: its receipt, if there is a sound one.
        problems: what is wrong; empty for a sound shard.
    """

    shard: ShardSpec
    records: int = 0
    receipt: ShardReceipt | None = None
    problems: tuple[Finding, ...] = ()


def inspect_shard(shard: ShardSpec, run: RunRef) -> ShardInspection:
    """Read all of a shard, and compare it with its plan and receipt.

    Raises:
        OutputConflict: the output holds another plan now.
        OutputNotSeen: this host sees no plan in it.
        StorageUnavailable: a storage does not answer.
    """
    configure_process()
    journal = Journal(run.output)
    plan = open_plan(run.output, run.digest, run.run).plan
    receipt = read_receipt(journal, shard, run.digest)
    if isinstance(receipt, Finding):
        return ShardInspection(shard=shard, problems=(receipt,))
    path = journal.layout.shard(shard)
    entries = _entries(journal, plan, shard)
    file, receipt_file = (
        str(place.relative_to(journal.layout.root))
        for place in (path, journal.layout.receipt(shard.split, shard.index))
    )
    wrong = _problems(receipt_file, receipt_differences(receipt, shard, plan, file, entries))
    if wrong:  # There is nothing to hold the shard against.
        return ShardInspection(shard=shard, problems=wrong)
    written = None if entries is None else receipt.written_among(entries)
    records, differences = inspect_file(path, plan, receipt, written)
    return ShardInspection(
        shard=shard, records=records, receipt=receipt, problems=_problems(file, differences)
    )


def _problems(where: str, differences: Iterable[Difference]) -> tuple[Finding, ...]:
    return tuple(mismatch(where, expected, found, "rewrite") for expected, found in differences)


def _entries(journal: Journal, plan: RunPlan, shard: ShardSpec) -> list[ImageEntry] | None:
    """Return the images of a shard; None if the manifest can't be read, which is told elsewhere."""
    try:
        return list(journal.entries(plan, shard))
    except OSError as error:
        journal.layout.root.require_answer(error)
        return None
    except (IndexError, ValueError, pa.ArrowException):
        return None
