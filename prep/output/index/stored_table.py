"""Read ``images.parquet``, which others may have written, and believe it if it is of the shards."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from prep.output.index.image_table import METADATA, ROW_GROUP, as_texts, table_schema
from prep.parsing import parse_json
from prep.planning.plan import RunPlan
from prep.planning.shards import ShardSpec
from prep.sources.tables.formats.parquet_footer import column_parts_in, end_of
from prep.storage.location import Location

_CODECS = frozenset((6,))  # The number of Zstandard in Parquet's format.
_COLUMNS = ("size", "class")
_NAMES = table_schema("class").names
_PLACES = [_NAMES.index(name) for name in _COLUMNS]


class SplitRecords(NamedTuple):
    """The records of a split.

    Attributes:
        written: bool (images,), which images of the split have a record.
        shards: int32 (records,), indexes of shards.
        lengths: int64 (records,), bytes of each record with its framing.
        classes: int32 (records,), numbers of classes in the plan.
    """

    written: npt.NDArray[np.bool_]
    shards: npt.NDArray[np.int32]
    lengths: npt.NDArray[np.int64]
    classes: npt.NDArray[np.int32]


def read_split(
    path: Location, plan: RunPlan, shards: Sequence[ShardSpec], sizes: Sequence[int]
) -> SplitRecords | None:
    """Read the records of a split from ``images.parquet``, unless it is of other shards.

    Args:
        path: the file, which others may have written.
        plan: of the output.
        shards: all of the split.
        sizes: bytes of their files, as they are.

    Returns:
        None if there is no such file, or it is not of these shards.

    Raises:
        StorageUnavailable: a storage does not answer.
    """
    try:
        with path.open_regular() as file:
            return _StoredTable(file, plan).records(shards, sizes)
    except OSError as error:
        path.require_answer(error)
    except (ValueError, LookupError, TypeError, pa.ArrowException):
        pass
    return None


class _StoredTable:
    """An ``images.parquet`` that others may have written.

    Raises:
        ValueError, LookupError, TypeError, ArrowException: it is none, or of another plan.
    """

    def __init__(self, file: BinaryIO, plan: RunPlan) -> None:
        size = file.seek(0, os.SEEK_END)
        end = end_of(file, size)
        metadata = pq.read_metadata(pa.BufferReader(end))
        file.seek(0)
        self._file = pq.ParquetFile(
            file,
            metadata=metadata,
            read_dictionary=["class"],
            page_checksum_verification=True,
        )
        self._plan = plan
        self._groups = [
            (split, min(images - start, ROW_GROUP))
            for split, images in plan.splits.items()
            for start in range(0, images, ROW_GROUP)
        ]
        if self._file.schema_arrow.names != _NAMES:
            raise ValueError("other columns")
        parts = [[of_group[at] for at in _PLACES] for of_group in column_parts_in(end)]
        found = [{part.values for part in of_group} for of_group in parts]
        if found != [{rows} for _, rows in self._groups]:
            raise ValueError("another number of images")
        if not {part.codec for of_group in parts for part in of_group} <= _CODECS:
            raise ValueError("another compression")
        self._about = parse_json(self._file.schema_arrow.metadata[METADATA])
        if self._about["fingerprint"] != plan.fingerprint.digest:
            raise ValueError("another plan")

    def records(self, shards: Sequence[ShardSpec], sizes: Sequence[int]) -> SplitRecords | None:
        """Return the records of a split; raise ValueError if its shards are others."""
        split = shards[0].split
        about = self._about["splits"][split]
        if about["bytes"] != list(sizes):
            raise ValueError("other sizes of shards")
        groups = [number for number, (of, _) in enumerate(self._groups) if of == split]
        table = self._file.read_row_groups(groups, columns=[*_COLUMNS])
        lengths = table["size"]
        written = lengths.is_valid().to_numpy()
        numbers = lengths.drop_null().to_numpy()
        images = np.repeat(np.arange(len(shards)), [shard.images for shard in shards])
        counts = np.bincount(images[written], minlength=len(shards))
        ends = np.concatenate([[0], np.cumsum(numbers)])[np.cumsum(counts)]
        unpacked = np.diff(ends, prepend=0)
        if about["records"] != counts.tolist():
            raise ValueError("other numbers of records")
        if len(numbers) and not 0 < numbers.min() <= numbers.max() <= self._plan.most_bytes(1):
            raise ValueError("records of sizes that none can have")
        if self._plan.compression is None and not (unpacked <= sizes).all():
            raise ValueError("records beyond the ends of shards")
        return SplitRecords(
            written=written,
            shards=np.repeat(np.arange(len(shards), dtype=np.int32), counts),
            lengths=numbers,
            classes=self._classes(table["class"].combine_chunks())[written],
        )

    def _classes(self, column: pa.DictionaryArray) -> npt.NDArray[np.int32]:
        """Return the number of the class of each image; raise KeyError for another class."""
        known = {
            text: number for number, text in enumerate(as_texts(self._plan.classes).to_pylist())
        }
        numbers = [known[text] for text in column.dictionary.to_pylist()]
        found: npt.NDArray[np.int32] = np.array(numbers, np.int32)[column.indices.to_numpy()]
        return found
