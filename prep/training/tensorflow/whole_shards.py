"""Records of compressed shards, which can only be read from the start of a shard."""

from __future__ import annotations

import io
import os
import threading
from collections import OrderedDict

import numpy as np
import numpy.typing as npt

from prep.errors import RecordError
from prep.shards.formats.base import RecordFormat, record_format
from prep.training.opened_split import OpenedSplit
from prep.training.shard_access.shard_bytes import read_bytes
from prep.training.shard_access.shard_cache import ShardCache

#: Parts of an epoch that are shuffled at the same time, each as many records as a shard has.
LANES = 4
#: Shards in memory: the records of a lane lie in two or three of them.
MOST_SHUFFLED = 3 * LANES
MOST_IN_ORDER = 2


class WholeShards:
    """Reads records by keeping the last few shards in memory, whole and inflated.

    Made for orders that stay within few shards for a while. Any number of threads may use it.

    Args:
        opened: the split.
        most: number of shards that are kept in memory.
        cache: a folder for copies of shards; see :func:`prep.open`.
    """

    def __init__(
        self, opened: OpenedSplit, most: int, cache: str | os.PathLike[str] | None = None
    ) -> None:
        digest = opened.plan.fingerprint.digest
        self._cache = None if cache is None else ShardCache(cache, digest)
        self._files = opened.files
        self._sizes = [receipt.bytes for receipt in opened.receipts]
        self._largest = opened.plan.largest_record
        self._format: RecordFormat = record_format(opened.plan.config.format)
        self._ends = np.cumsum(opened.shard_sizes)
        self._most = most
        self._kept: OrderedDict[int, list[bytes]] = OrderedDict()
        self._lock = threading.Lock()

    def read_bytes(self, numbers: npt.NDArray[np.int64], /) -> list[bytes]:
        """Return the bytes of records by their numbers in the split, in the order asked for.

        Raises:
            RecordError: a shard is damaged, or has not as many records as it should.
            SourceError: a shard is gone, or has another size than when the output was opened.
            StorageUnavailable: a storage does not answer.
        """
        shards = np.searchsorted(self._ends, numbers, side="right")
        rows = numbers - np.concatenate([[0], self._ends])[shards]
        found = [b""] * len(numbers)
        # Shard by shard, so that each is inflated at most once for these records.
        for at in np.argsort(shards, kind="stable").tolist():
            found[at] = self._records_of(int(shards[at]))[int(rows[at])]
        return found

    def _records_of(self, number: int) -> list[bytes]:
        """Return the records of a shard, as bytes."""
        with self._lock:
            if number not in self._kept:
                while len(self._kept) >= self._most:
                    self._kept.popitem(last=False)
                self._kept[number] = self._read(number)
            self._kept.move_to_end(number)
            return self._kept[number]

    def _read(self, number: int) -> list[bytes]:
        file, size = self._files[number], self._sizes[number]
        if self._cache is not None:
            file = self._cache.copy_of(file, size)
        expected = int(np.diff(self._ends, prepend=0)[number])
        try:
            data = io.BytesIO(read_bytes(file, 0, size, size))
            records = list(self._format.records(data, self._largest, expected))
            if len(records) < expected:
                raise RecordError(f"expected {expected:,} records, found {len(records):,}")
        except RecordError as error:
            raise RecordError(f"{file}: {error}; repair the shard with `prep.verify`") from None
        return records
