"""What a shard's receipt says, held against the plan."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from prep import storage
from prep.checksums import DIGITS
from prep.image_list import ImageEntry
from prep.journal import Journal
from prep.planning import ShardSpec
from prep.problems import Difference, Problem
from prep.receipts import ShardReceipt, of_outcome
from prep.stored_plan import StoredPlan


def read_receipt(journal: Journal, shard: ShardSpec, digest: str) -> ShardReceipt | Problem:
    """The receipt of a shard; what is wrong, where there is none of this plan."""
    path = journal.layout.receipt(shard.split, shard.index)

    def problem(expected: str, found: str) -> Problem:
        where = str(path.relative_to(journal.layout.root))
        return Problem(where=where, expected=expected, found=found, remedy="rewrite")

    try:
        receipt = ShardReceipt.from_json(json.loads(storage.read_patiently(path)))
    except FileNotFoundError:
        file = journal.layout.shard(shard.split, shard.index, shard.count)
        there = storage.patiently(file, file.exists)
        found = "a file without one" if there else "none, and no file: it was not written"
        return problem(f"the receipt of {file.name}", found)
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, OSError):
            storage.require_answer(path, error)
        return problem("a receipt", f"what can't be read ({error!r})")
    if receipt.fingerprint != digest:
        found = f"that of another ({str(receipt.fingerprint)[:12]}…)"
        return problem(f"a receipt of this plan ({digest[:12]}…)", found)
    return receipt


def receipt_differences(
    receipt: ShardReceipt,
    shard: ShardSpec,
    plan: StoredPlan,
    file: str,
    entries: Sequence[ImageEntry] | None,
) -> Iterator[Difference]:
    """In what a receipt does not agree with the plan, or with itself.

    Args:
        file: where the shard is to be, relative to the output.
        entries: its images; None where the image list can't be read.
    """
    try:
        written, refused = sum(receipt.written.values()), of_outcome(receipt.findings, "refused")
        pixels = written * plan.settings.size**2
        pairs: dict[str, tuple[Any, Any]] = {
            "shard": (
                (shard.split, shard.index, shard.count, file),
                (receipt.split, receipt.index, receipt.count, receipt.file),
            ),
            "images": (shard.images, written + len(refused)),
            "images in its sums": (written, receipt.stats.images),
            "pixels in its sums": (pixels, receipt.stats.pixels),
            "digits of checksums": (DIGITS * shard.images, len(receipt.checksums)),
            "classes without a label": ([], sorted(receipt.written.keys() - plan.labels.numbers)),
        }
        deep = {name: found.images for name, found in receipt.depths.classes.items()}
        more = [name for name, images in deep.items() if images > receipt.written.get(name, 0)]
        pairs["classes with more images of 16 bits than images"] = ([], more)
        if entries is not None:
            by_class = dict(Counter(classes_written(receipt, entries)))
            strange = {finding.path for finding in refused} - {entry.name for entry in entries}
            pairs["images by class"] = (by_class, receipt.written)
            pairs["refused images that are not its own"] = (0, len(strange))
    except (TypeError, ValueError, AttributeError) as error:
        yield "a receipt", f"what makes no sense ({error!r})"
        return
    for what, (expected, found) in pairs.items():
        if expected != found:
            yield f"{what}: {expected}", f"{found}"


def classes_written(receipt: ShardReceipt, entries: Sequence[ImageEntry]) -> list[str]:
    """The class of each record of a shard, in their order."""
    refused = {finding.path for finding in of_outcome(receipt.findings, "refused")}
    return [entry.class_name for entry in entries if entry.name not in refused]
