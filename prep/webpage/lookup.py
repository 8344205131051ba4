"""Particular images, found again in the shards."""

from __future__ import annotations

import contextlib
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable

import pyarrow as pa

from prep import storage
from prep.errors import RecordError
from prep.examples import parse_example
from prep.images import SquareReader, Thumbnailer
from prep.journal import Journal
from prep.records import read_chosen
from prep.webpage.facts import Facts
from prep.webpage.samples import THUMBNAIL, written_entries


def thumbnails_of(journal: Journal, facts: Facts, rows: Iterable[int]) -> dict[int, bytes]:
    """A JPEG of each of these rows of the image list, as far as they are in a shard.

    A shard is opened for each but the few that lie in the same one: ask for no more than are shown.
    """
    plan, root = facts.plan, journal.layout.root
    squares, thumbnail = SquareReader(plan.settings), Thumbnailer(THUMBNAIL)
    shards = plan.shards
    starts = [shard.start for shard in shards]
    receipts = {(receipt.split, receipt.index): receipt for receipt in facts.receipts}
    wanted: defaultdict[int, set[bytes]] = defaultdict(set)
    row_of: dict[bytes, int] = {}
    for row in rows:
        path = facts.manifest["path"][row].as_py()
        wanted[bisect_right(starts, row) - 1].add(path)
        row_of[path] = row
    found = {}
    for number, paths in wanted.items():
        shard = shards[number]
        receipt = receipts.get((shard.split, shard.index))
        if receipt is None:
            continue
        with contextlib.suppress(OSError, RecordError, ValueError, pa.ArrowException):
            entries = written_entries(journal, plan, shard, receipt)
            numbers = {n: e.relative for n, e in enumerate(entries) if e.relative in paths}
            with storage.open_regular(root / receipt.file) as file:
                for n, data in read_chosen(file, numbers, plan.largest_record):
                    jpeg = thumbnail(squares.pixels(parse_example(data).image))
                    found[row_of[numbers[n]]] = jpeg
    return found
