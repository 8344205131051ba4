"""Read records at known places of shards, on this machine's disks or in a storage."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from prep.errors import RecordError, SourceError
from prep.shards.formats.base import RecordFormat
from prep.storage.locate import read_part
from prep.storage.location import FileChanged, Location
from prep.text import quoted, reason_of

# In a storage, a request takes as long as reading so many bytes more.
_GAP = 256 << 10  # 256 KiB
# One read is not larger than this, unless a record is.
_MOST_TOGETHER = 8 << 20  # 8 MiB
_STALE = "open the output again, or see what `prep verify` finds"

Numbers = npt.NDArray[np.int64]


class Places(NamedTuple):
    """Where records are: three arrays of int64 of one length.

    Attributes:
        shards: the shard of each, counted from 0 in its split.
        offsets: where each begins in its file, in bytes.
        lengths: bytes of each, with framing.
    """

    shards: Numbers
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
    """

    def __init__(
        self, files: Sequence[Location], sizes: Sequence[int], format: RecordFormat
    ) -> None:
        self._files = tuple(files)
        self._sizes = tuple(sizes)
        self._format = format
        self._gap = _GAP if self._files and self._files[0].is_remote else 0

    def read(self, places: Places) -> list[bytes]:
        """Return the data of records, without their framing, in the order of the places.

        Reads what lies together at once, and in a storage many such parts at the same time.

        Raises:
            RecordError: a record is damaged.
            SourceError: a shard is gone, or another one than when the output was opened.
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
        if len(spans) == 1:
            return map(self._read, spans)
        root = self._files[0].parent if self._files else None
        return root.each(self._read, spans) if root is not None else iter(())

    def _read(self, span: _Span) -> bytes:
        file = self._files[span.shard]
        try:
            part = file.patiently(lambda: read_part(str(file), span.start, span.stop - span.start))
        except FileChanged:
            raise self._changed(file) from None
        except OSError as error:
            file.require_answer(error)
            raise SourceError(
                f"shard: {quoted(str(file))} can't be read: {reason_of(error)}; {_STALE}"
            ) from None
        if part.stamp is not None and part.stamp.size != self._sizes[span.shard]:
            raise self._changed(file)
        return part.data

    def _changed(self, file: Location) -> SourceError:
        return SourceError(
            f"shard: {quoted(str(file))} has changed since the output was opened; {_STALE}"
        )

    def _damaged(self, shard: int, offset: int, error: RecordError) -> RecordError:
        return RecordError(
            f"{self._files[shard]}: {error}, in the record at byte {offset:,}; "
            "`prep verify --repair` writes the shard again"
        )


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
