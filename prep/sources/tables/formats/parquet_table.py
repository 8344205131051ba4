"""A Parquet file: its columns, its row groups, and the images in one of these."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from prep.sources.archives.members import mark
from prep.sources.tables.row_groups import FileState, GroupValues
from prep.sources.tables.row_places import (
    MOST_COLUMNS,
    MOST_GROUPS,
    GroupPlace,
    TablePlaces,
    group_mark,
    offsets_of,
)
from prep.sources.tables.table_schema import (
    BYTES,
    ImageColumn,
    binary_columns,
    looks_like_image,
    struct_columns,
)
from prep.storage.location import FileChanged, Stamp

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

# Rows that are decoded together: more than a group of images usually has.
_BATCH = 4096
_MOST_FOOTERS = 16  # of files, that a process keeps
_PAGES = 1 << 20  # bytes that are read of a column whose first value alone is wanted


class ParquetTable:
    """A Parquet file that is open.

    Raises:
        OSError, ArrowException: it can't be read.
    """

    form = "Parquet"

    def __init__(self, file: BinaryIO) -> None:
        import pyarrow.parquet as pq

        self._source = file
        self._file: pq.ParquetFile = pq.ParquetFile(file, pre_buffer=True)
        self._metadata = self._file.metadata
        self.schema: pa.Schema = self._file.schema_arrow
        self.rows = int(self._metadata.num_rows)

    def image_columns(self) -> list[ImageColumn]:
        """Return the columns that hold images, by their types and first values."""
        found = [
            column
            for column in binary_columns(self.schema)
            if (first := self._first_value(column)) is not None and looks_like_image(first)
        ]
        return [*struct_columns(self.schema), *found]

    def _first_value(self, column: ImageColumn) -> bytes | None:
        """Return the first value of a column of bytes, of which few pages are read."""
        import pyarrow.parquet as pq

        self._source.seek(0)
        file = pq.ParquetFile(self._source, metadata=self._metadata, buffer_size=_PAGES)
        for batch in file.iter_batches(1, columns=[column.path], use_threads=False):
            value: bytes | None = bytes_in(batch.column(0))[0].as_py()
            return value
        return None

    def columns(self, names: Sequence[str], most: int | None = None) -> list[pa.ChunkedArray]:
        """Return columns other than that of images; the first rows, or all."""
        import pyarrow as pa

        if most is not None:
            batches = self._file.iter_batches(most, columns=list(names), use_threads=False)
            first = next(batches, None)
            table = self.schema.empty_table() if first is None else pa.table(first)
        else:
            table = self._file.read(columns=list(names))
        return [table[name] for name in names]

    def places(self, column: ImageColumn, stamp: Stamp) -> TablePlaces:
        """Return where the images of a column are; their sizes are the mean of their group.

        Raises:
            ValueError: there are more groups or columns than can be told apart.
        """
        leaf = self._leaf(column)
        groups = range(self._metadata.num_row_groups)
        if len(groups) > MOST_GROUPS or leaf >= MOST_COLUMNS:
            raise ValueError(f"more than {MOST_GROUPS:,} row groups or {MOST_COLUMNS:,} columns")
        counts, sizes, marks, offsets = [], [], [], []
        for number in groups:
            # Not of its columns: damaged statistics of these end the process in pyarrow 26.
            group = self._metadata.row_group(number)
            counts.append(int(group.num_rows))
            sizes.append(max(int(group.total_byte_size), 0))
            marks.append(mark(_mark_of(group, number), stamp))
            offsets.append(offsets_of(GroupPlace(leaf, number), counts[-1]))
        if sum(counts) != self.rows or min(counts, default=0) < 0:
            raise ValueError(f"{sum(counts):,} rows in its row groups, of {self.rows:,}")
        each = [size // max(rows, 1) for size, rows in zip(sizes, counts, strict=True)]
        return TablePlaces(
            offsets=np.concatenate([np.zeros(0, np.int64), *offsets]),
            sizes=np.repeat(np.array(each, np.int64), counts),
            marks=np.repeat(np.array(marks, np.int64), counts),
            how="row",
            absent=0,
            groups=len(counts),
            largest=max(sizes, default=0),
        )

    def lacks_images(self, column: ImageColumn) -> bool:
        """Return whether no row of the first group has an image."""
        if not self.rows or self._first_value(column) is not None:
            return False
        batches = self._file.iter_batches(
            _BATCH, row_groups=[0], columns=[column.path], use_threads=False
        )
        return all(bytes_in(batch.column(0)).null_count == batch.num_rows for batch in batches)

    def _leaf(self, column: ImageColumn) -> int:
        paths = [self._metadata.schema.column(n).path for n in range(self._metadata.num_columns)]
        return paths.index(column.path)


def read_values(file: BinaryIO, state: FileState, place: GroupPlace) -> GroupValues:
    """Read the images of a row group.

    Args:
        file: open for reading.
        state: of the file; of a known one, the footer is not read again.
        place: the group.

    Raises:
        FileChanged: there is no such group.
        OSError, ArrowException: it can't be read.
    """
    import pyarrow.parquet as pq

    metadata = _FOOTERS.get(state)
    opened = pq.ParquetFile(file, pre_buffer=True, metadata=metadata)
    if metadata is None:
        metadata = opened.metadata
        _FOOTERS.keep(state, metadata)
    if place.group >= metadata.num_row_groups or place.column >= metadata.num_columns:
        raise FileChanged(f"changed since it was listed: its table has no row group {place.group}")
    path = metadata.schema.column(place.column).path
    batches = opened.iter_batches(
        _BATCH, row_groups=[place.group], columns=[path], use_threads=False
    )
    chunks = [bytes_in(batch.column(0)) for batch in batches]
    return GroupValues(chunks, _mark_of(metadata.row_group(place.group), place.group))


class _Footers:
    """The footers of the files that were read last, by any thread.

    That of a file with thousands of groups takes longer to read than a group.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[FileState, pq.FileMetaData] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, state: FileState) -> pq.FileMetaData | None:
        """Return the footer of a file in some state; None if it is not known."""
        with self._lock:
            return self._known.get(state)

    def keep(self, state: FileState, footer: pq.FileMetaData) -> None:
        """Keep a footer, in place of the oldest."""
        with self._lock:
            self._known[state] = footer
            while len(self._known) > _MOST_FOOTERS:
                self._known.popitem(last=False)


_FOOTERS = _Footers()


def bytes_in(column: pa.Array) -> pa.Array:
    """Return the bytes of a column of images, which may lie in a struct."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column.validate(full=True)  # What damaged bytes claim may lead anywhere in memory.
    if pa.types.is_struct(column.type):
        column = pc.struct_field(column, BYTES)
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if not (pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type)):
        raise FileChanged("changed since it was listed: its column holds no bytes")
    return column


def _mark_of(group: pq.RowGroupMetaData, number: int) -> int:
    return group_mark(number, group.num_rows, group.total_byte_size)
