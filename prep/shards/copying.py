"""Copy a committed shard of one output into another, without decoding its images."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import BinaryIO

from prep.errors import RecordError
from prep.output.index.measures import Measure, measures_to_text, sizes_from_text
from prep.output.journal import Journal
from prep.output.receipt import ShardReceipt, SplitTotals, total_receipts
from prep.planning.plan import RunPlan
from prep.planning.shards import ShardSpec
from prep.settings.record_features import RecordFeatures
from prep.shards.formats.base import RecordFormat, Sample, record_format, record_key
from prep.shards.opened import open_plan
from prep.shards.writer import RunRef
from prep.storage.newfile import NewFile
from prep.storage.retry import Retries

_PAUSES = (1.0, 4.0)  # seconds before a shard is copied again
_PIECE = 1 << 20  # 1 MiB


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardOrigin:
    """An output whose shards are copied into another.

    Attributes:
        output: its path or URL, as every process is told it.
        digest: fingerprint of its plan.
        prefix: what the names of its images begin with in the other output.
        shards: number of its shards by split.
    """

    output: str
    digest: str
    prefix: str
    shards: Mapping[str, int]


def origin_of(shard: ShardSpec, origins: tuple[ShardOrigin, ...]) -> tuple[ShardOrigin, ShardSpec]:
    """Return where a shard is copied from, and which shard it is there.

    Args:
        shard: a shard of the output that is written.
        origins: the outputs that it consists of. Each of its splits has their shards, one output
            after the other.
    """
    index = shard.index
    for origin in origins:
        count = origin.shards.get(shard.split, 0)
        if index < count:
            return origin, replace(shard, index=index, count=count)
        index -= count
    raise ValueError(f"{shard.name} is in none of the outputs")


def copy_counted(origins: tuple[ShardOrigin, ...], shard: ShardSpec, run: RunRef) -> SplitTotals:
    """Copy one shard, and return what its receipt adds up to."""
    return total_receipts([copy_shard(origins, shard, run)])


def copy_shard(origins: tuple[ShardOrigin, ...], shard: ShardSpec, run: RunRef) -> ShardReceipt:
    """Copy one shard and commit it, unless it is committed already.

    The file is published under its new name, and then its receipt, as by
    :func:`prep.shards.writer.write_shard`: this can be killed at any point and run again. The bytes
    are compared with the digest in the old receipt before that. They stay as they are, unless the
    records hold names that are others now.

    Raises:
        RecordError: the shard is not what its receipt says, or has none.
        OutputConflict: another run has taken the new output over; nothing was written to it.
        OutputNotSeen: there is no such output any more.
        OSError: the shard can't be read or written.
    """
    journal = Journal(run.output)
    held = journal.receipts.stored(shard)
    if held and journal.receipts.is_true(held, run.digest):
        return held
    origin, there = origin_of(shard, origins)
    return Retries().call(partial(_copy, shard, run, journal, origin, there), _PAUSES)


def _copy(
    shard: ShardSpec, run: RunRef, journal: Journal, origin: ShardOrigin, there: ShardSpec
) -> ShardReceipt:
    opened = open_plan(run.output, run.digest, run.run)
    before = _receipt(origin, there)
    receipt = before.moved_to(shard, run.digest, origin.prefix)
    format = record_format(opened.plan.config.format)
    layout = journal.layout
    path, within, tag = layout.shard(shard), layout.root, f"{shard.index:05d}"

    def make_way() -> None:
        opened.require_held(run.output)
        journal.receipts.withdraw(shard, file.sha256)

    source = Journal(origin.output).layout.shard(there)
    with (
        source.open_regular() as data,
        path.create(within=within, tag=tag, before_publishing=make_way) as file,
    ):
        renamed, renumbered = bool(origin.prefix), shard.index != there.index
        if _change(format, opened.plan.features, renamed=renamed, renumbered=renumbered):
            _require_digest(hashlib.file_digest(data, "sha256").hexdigest(), before, origin)
            data.seek(0)
            measures = _write_anew(file, data, format, journal, opened.plan, shard, receipt)
            receipt = replace(receipt, measures=measures)
        else:
            for piece in _pieces(data):
                file.write(piece)
            _require_digest(file.sha256, before, origin)
    receipt = replace(receipt, bytes=file.size, sha256=file.sha256)
    opened.require_held(run.output)
    journal.receipts.commit(receipt)
    if file.others:
        path.parent.remove_leftovers(tag, within=within)
    return receipt


def _receipt(origin: ShardOrigin, shard: ShardSpec) -> ShardReceipt:
    found = Journal(origin.output).receipts.of(shard, origin.digest)
    if found is None:
        raise RecordError(
            f"{origin.output}: expected {shard.name} with its receipt, found it without one, or "
            "of another size; `prep.verify` says what is wrong with that output"
        )
    return found


def _require_digest(sha256: str, receipt: ShardReceipt, origin: ShardOrigin) -> None:
    if sha256 != receipt.sha256:
        raise RecordError(
            f"{origin.output}: {receipt.file} has the SHA-256 {sha256:.12}…, expected "
            f"{receipt.sha256:.12}…, as in its receipt; `prep.verify` says what is wrong, and can "
            "repair it"
        )


def _write_anew(
    file: NewFile,
    data: BinaryIO,
    format: RecordFormat,
    journal: Journal,
    plan: RunPlan,
    shard: ShardSpec,
    receipt: ShardReceipt,
) -> str:
    """Write the records of a shard with the names that they have in another place.

    Returns:
        their measures, if those that they had are known.
    """
    encode = format.encoder(plan.settings, plan.labels, plan.features)
    writer = format.writer(file, plan.compression)
    entries = receipt.written_among(journal.entries(plan, shard))
    records = format.records(data, plan.largest_record, len(entries))
    if plan.features.hold_source_sizes and entries and not receipt.measures:
        raise RecordError(
            f"{receipt.file}: expected a receipt with the size of each source image, which its "
            "records hold; `prep.verify` can repair it"
        )
    sizes = sizes_from_text(receipt.measures, len(entries))
    lengths = []
    for number, (entry, record) in enumerate(zip(entries, records, strict=True)):
        key = record_key(shard.index, number)
        image = format.parse(record).image
        lengths.append(writer.write(encode(Sample.of(image, entry, key, sizes[number]))))
    writer.finish()
    if not receipt.measures:
        return ""
    return measures_to_text(
        Measure(length, *size) for length, size in zip(lengths, sizes, strict=True)
    )


def _change(
    format: RecordFormat, features: RecordFeatures, *, renamed: bool, renumbered: bool
) -> bool:
    """Return whether records change where their images get other names, or their shard another."""
    if format.holds_keys:
        return renamed or renumbered
    return renamed and features.hold_names


def _pieces(data: BinaryIO) -> Iterator[bytes]:
    while piece := data.read(_PIECE):
        yield piece
