"""Take over the shards of the plan that an output held before, as they are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from prep.output.journal import Journal
from prep.output.receipt import ShardReceipt, of_outcome
from prep.output.report.checksums import DIGITS
from prep.planning.plan import RunPlan
from prep.planning.shards import ShardSpec
from prep.sources.manifest import to_parquet


@dataclass(frozen=True, slots=True, kw_only=True)
class Adoption:
    """A shard of the plan before that the present plan has not taken over yet.

    Attributes:
        shard: the shard in the present plan.
        name: of its file, in the folder of its split.
        receipt: its receipt under the present plan; None if it is to be written anew.
    """

    shard: ShardSpec
    name: str
    receipt: ShardReceipt | None


def replace_plan(journal: Journal, stored: RunPlan, plan: RunPlan) -> None:
    """Publish a plan in the place of the stored one that it continues.

    The report and the files for readers are removed first, because they are not those of the new
    plan. A copy of the stored
    plan's manifest is kept until the new plan is there: each of the two plans has its manifest,
    whenever this is interrupted (see :meth:`prep.output.journal.Journal.lock`).

    Args:
        stored: with its manifest.

    Raises:
        OutputConflict: the output can't be written to.
    """
    layout, root = journal.layout, journal.layout.root
    try:
        layout.report.remove_file(within=root)
        journal.withdraw(stored.splits)
        layout.manifest_before.publish(to_parquet(stored.manifest), within=root)
        journal.begin(plan)
        layout.manifest_before.remove_file(within=root)
    except OSError as error:
        raise journal.not_writable(error) from None


def pending_adoptions(
    journal: Journal, plan: RunPlan, shards: Iterable[ShardSpec]
) -> list[Adoption]:
    """Return the shards that a plan has still to take over from the plan that it continues.

    Args:
        shards: those of the plan that are not committed.

    Raises:
        StorageUnavailable: a storage does not answer.
    """
    before = plan.continues
    if before is None:
        return []
    layout = journal.layout
    wanted = [shard for shard in shards if before.has(shard)]
    sizes = {split: (layout.root / split).sizes() for split in {shard.split for shard in wanted}}

    def adoption_of(shard: ShardSpec) -> Adoption | None:
        receipt = journal.receipts.of_plan_before(shard, before)
        if receipt is None:
            return None
        name, there = before.name_of(shard, plan.config.format), sizes[shard.split]
        old, new = (_size(journal, shard, each, there) for each in (name, shard.name))
        name = shard.name if old is None else name
        if not before.keeps(shard):
            return Adoption(shard=shard, name=name, receipt=None)
        if receipt.bytes != (new if old is None else old) or not _is_whole(receipt, shard):
            return None
        issued = receipt.moved_to(shard, plan.fingerprint.digest)
        return Adoption(shard=shard, name=name, receipt=issued)

    found = layout.root.each(adoption_of, wanted)
    return [adoption for adoption in found if adoption is not None]


def adopt(journal: Journal, adoptions: Sequence[Adoption]) -> None:
    """Rename the files of shards to what the present plan calls them, and issue their receipts.

    A shard counts under neither plan between the two, but nothing of it is lost: the receipt from
    before stays until the new one replaces it. The file of a shard that is to be written anew is
    renamed too, so readers have its images until then, and its receipt is withdrawn.

    Raises:
        OutputConflict: the output can't be written to.
        StorageUnavailable: a storage does not answer.
    """
    layout, root = journal.layout, journal.layout.root
    names: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for adoption in adoptions:
        if adoption.name != adoption.shard.name:
            names[adoption.shard.split][adoption.name] = adoption.shard.name

    def issue(adoption: Adoption) -> None:
        if adoption.receipt is not None:
            journal.receipts.commit(adoption.receipt)
        else:
            shard = adoption.shard
            layout.receipt(shard.split, shard.index).remove_file(within=root)

    try:
        for split, of_split in names.items():
            (root / split).rename_files(of_split, within=root)
        for _ in root.each(issue, adoptions):
            pass
    except OSError as error:
        raise journal.not_writable(error) from None


def _size(
    journal: Journal, shard: ShardSpec, name: str, there: dict[str, int] | None
) -> int | None:
    """Return the bytes of a file in the folder of a shard; None if there is no such file."""
    if there is not None:
        return there.get(name)
    try:
        return (journal.layout.root / shard.split / name).file_size()
    except OSError as error:
        journal.layout.root.require_answer(error)
        return None


def _is_whole(receipt: ShardReceipt, shard: ShardSpec) -> bool:
    """Return whether a receipt accounts for as many images as a shard has."""
    images = receipt.images + len(of_outcome(receipt.findings, "refused"))
    return images == shard.images and len(receipt.checksums) == DIGITS * images
