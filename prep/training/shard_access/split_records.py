"""The records of a split: where each one is, and its class."""

from __future__ import annotations

import itertools

import numpy as np

from prep.errors import SourceError
from prep.output.index.measures import measures_from_text
from prep.text import quoted
from prep.training.opened_split import OpenedSplit
from prep.training.shard_access.record_reader import Numbers, Places


def places_in(opened: OpenedSplit) -> Places:
    """Return the place of each record of a split, in order.

    Raises:
        SourceError: the shards are compressed, so no record can be read without those before it.
    """
    if opened.plan.compression:
        raise SourceError(
            f"output: its shards are compressed ({opened.plan.compression}), and so read from "
            "their beginning alone: use prep.load, or prepare the images without `compression`"
        )
    lengths = [_lengths(opened, number) for number in range(len(opened.receipts))]
    offsets = [np.cumsum(each) - each for each in lengths]
    shards = [np.full(len(each), number) for number, each in enumerate(lengths)]
    return Places(
        *(np.concatenate([np.empty(0, np.int64), *p]) for p in (shards, offsets, lengths))
    )


def _lengths(opened: OpenedSplit, number: int) -> Numbers:
    """Return the bytes of each record of a shard, with framing."""
    receipt = opened.receipts[number]
    if receipt.measures or not receipt.images:
        return measures_from_text(receipt.measures).lengths
    raise SourceError(
        f"output: {quoted(receipt.file)} was written by an earlier version, which did not note "
        "where records are: read it with prep.load"
    )


def classes_in(opened: OpenedSplit) -> Numbers:
    """Return the class of each record, as its position among the plan's classes."""
    number_of = {name: number for number, name in enumerate(opened.plan.classes)}
    shards = [shard for shard in opened.plan.shards if shard.split == opened.split]
    written = (
        receipt.written_among(opened.journal.entries(opened.plan, shard))
        for shard, receipt in zip(shards, opened.receipts, strict=True)
    )
    entries = itertools.chain.from_iterable(written)
    return np.fromiter((number_of[entry.class_name] for entry in entries), np.int64)
