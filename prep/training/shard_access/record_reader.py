"""Read records at known places of shards, on this machine's disks or in a storage."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from prep.errors import RecordError
from prep.shards.formats.base import RecordFormat
from prep.storage.location import Location
from prep.training.shard_access.shard_bytes import read_bytes
from prep.training.shard_access.shard_cache import ShardCache

# In a storage, a request takes as long as reading so many bytes more.
_GAP = 256 << 10  # 256 KiB
# One read is not larger than this, unless a record is.
_MOST_TOGETHER = 8 << 20  # 8 MiB

Numbers = npt.NDArray[np.int64]


class Places(NamedTuple):
    """Where records are: three arrays of integers, of one length.

    Attributes:
        shards: the shard of each, counted from 0 in its split.
        offsets: where each begins in its file, in bytes.
        lengths: bytes of each, with framing.
    """

    shards: npt.NDArray[np.integer[Any]]
    offsets: Numbers
    lengths: Numbers


class _Span(NamedTuple):
    """Bytes of a shard that are read at once.

    Attributes:
        shard: which.
        start, stop: the bytes.
        places: which of the places that are asked for lie in it.
    """

    shard: int
    start: int
    stop: int
    places: list[int]


class RecordReader:
    """Reads records of the shards of a split.

    It keeps no file open itself, and can be used by any number of threads and forked processes.

    Args:
        files: the shards, in order.
        sizes: bytes that each must have.
        format: how records lie in them. The files are not compressed.
        cache: copies of them, to be read in their place.
    """

    def __init__(
        self,
        files: Sequence[Location],
        sizes: Sequence[int],
        format: RecordFormat,
        cache: ShardCache | None = None,
    ) -> None:
        self._files = tuple(files)
        self._sizes = tuple(sizes)
        self._format = format
        self._cache = cache
        is_slow = cache is None and any(file.is_remote for file in self._files[:1])
        self._gap = _GAP if is_slow else 0

    def read(self, places: Places) -> list[bytes]:
        """Return the data of records, without their framing, in the order of the places.

        Reads what lies together at once, and in a storage many such parts at the same time.

        Raises:
            RecordError: a record is damaged.
            SourceError: a shard is gone, or has another size than when the output was opened.
            StorageUnavailable: a storage does not answer.
        """
        found = [b""] * len(places.shards)
        spans = list(_spans(places, self._gap))
        for span, data in zip(spans, self._bytes_of(spans), strict=True):
            for number in span.places:
                start = int(places.offsets[number]) - span.start
                framed = data[start : start + int(places.lengths[number])]
                try:
                    found[number] = self._format.unframe(framed)
                except RecordError as error:
                    raise self._damaged(span.shard, int(places.offsets[number]), error) from None
        return found

    def _bytes_of(self, spans: Sequence[_Span]) -> Iterator[bytes]:
        if len(spans) <= 1 or self._cache is not None:
            return map(self._read, spans)
        return self._files[0].each(self._read, spans)

    def _read(self, span: _Span) -> bytes:
        file, size = self._files[span.shard], self._sizes[span.shard]
        if self._cache is not None:
            file = self._cache.copy_of(file, size)
        return read_bytes(file, span.start, span.stop, size)

    def _damaged(self, shard: int, offset: int, error: RecordError) -> RecordError:
        file, remedy = self._files[shard], "repair the shard with `prep.verify`"
        if self._cache is not None:
            file = self._cache.copy_of(file, self._sizes[shard])
            remedy = "remove this copy, and it is fetched again"
        return RecordError(f"{file}: {error}, in the record at byte {offset:,}; {remedy}")


def _spans(places: Places, gap: int) -> Iterator[_Span]:
    """Yield the bytes to read, of which each holds records that lie together.

    Args:
        gap: bytes between two records that are read and thrown away rather than asked for apart.
    """
    order = np.lexsort((places.offsets, places.shards)).tolist()
    shards, offsets = places.shards.tolist(), places.offsets.tolist()
    ends = (places.offsets + places.lengths).tolist()
    span: _Span | None = None
    for number in order:
        start, stop = offsets[number], ends[number]
        if span is not None and _joins(span, shards[number], start, stop, gap):
            span.places.append(number)
            span = span._replace(stop=max(stop, span.stop))
            continue
        if span is not None:
            yield span
        span = _Span(shards[number], start, stop, [number])
    if span is not None:
        yield span


def _joins(span: _Span, shard: int, start: int, stop: int, gap: int) -> bool:
    near = shard == span.shard and start - span.stop <= gap
    return near and max(stop, span.stop) - span.start <= _MOST_TOGETHER
