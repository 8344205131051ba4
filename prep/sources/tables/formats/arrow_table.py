"""An Arrow file or stream: its columns, and the bytes of its images, none of which is read."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
import numpy.typing as npt

from prep.sources.archives.members import UNCHECKED, mark
from prep.sources.tables.formats.arrow_messages import ARROW, BATCH, Message, messages_of
from prep.sources.tables.formats.parquet_table import bytes_in
from prep.sources.tables.row_groups import GroupValues
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

_MAGIC = 16  # bytes that tell an image


class ArrowTable:
    """An Arrow file or stream that is open.

    Raises:
        OSError, ArrowException: it can't be read.
        ValueError: it is damaged or truncated, or is a stream that is compressed.
    """

    form = "Arrow"

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        size = file.seek(0, os.SEEK_END)
        self._heads = [b""]
        self._batches: list[tuple[Message, int]] = []  # Each with the position of its head.
        for message in messages_of(file, size):
            if message.kind == BATCH:
                self._batches.append((message, len(self._heads) - 1))
            else:  # A dictionary may replace another one, of which batches before it have values.
                head = self._bytes(message.start, message.head + message.body)
                self._heads.append(self._heads[-1] + head)
        self._schema_of_file()
        self.is_compressed = any(message.is_compressed for message, _ in self._batches)
        if self.is_compressed and not self._is_file():
            raise ValueError("it is a compressed stream, of which no part can be read alone")

    def _bytes(self, at: int, length: int) -> bytes:
        self._file.seek(at)
        data = self._file.read(length)
        if len(data) != length:
            raise ValueError("it is truncated")
        return data

    def _is_file(self) -> bool:
        return self._bytes(0, len(ARROW)) == ARROW

    def _schema_of_file(self) -> None:
        import pyarrow as pa

        first = self._heads[min(1, len(self._heads) - 1)]
        self.schema: pa.Schema = pa.ipc.open_stream(pa.BufferReader(first)).schema

    @property
    def rows(self) -> int:
        """The number of rows."""
        return sum(message.rows for message, _ in self._batches)

    def _decoded(self, fields: Sequence[int]) -> Iterator[pa.RecordBatch]:
        """Yield the batches of an Arrow file, with some fields alone."""
        opened = open_arrow_file(self._file, fields)
        for number in range(opened.num_record_batches):
            yield opened.get_batch(number)

    def _sparse(self) -> Iterator[_Sparse]:
        for message, at in self._batches:
            yield _Sparse(self._file, self._heads[at], message)

    def columns(self, names: Sequence[str], most: int | None = None) -> list[pa.ChunkedArray]:
        """Return columns other than that of images; the first rows, or all."""
        import pyarrow as pa

        fields = [self.schema.get_field_index(name) for name in names]
        pieces: list[list[pa.Array]] = [[] for _ in names]
        rows = 0
        for columns in self._columns_of_batches(fields):
            for piece, column in zip(pieces, columns, strict=True):
                piece.append(column)
            rows += len(columns[0]) if columns else 0
            if most is not None and rows >= most:
                break
        found = [
            pa.chunked_array(piece, self.schema.field(at).type)
            for piece, at in zip(pieces, fields, strict=True)
        ]
        return found if most is None else [column.slice(0, most) for column in found]

    def _columns_of_batches(self, fields: Sequence[int]) -> Iterator[list[pa.Array]]:
        if self.is_compressed:
            for batch in self._decoded(sorted(set(fields))):
                yield [batch.column(self.schema.field(at).name) for at in fields]
            return
        for sparse in self._sparse():
            yield [sparse.column(at) for at in fields]

    def image_columns(self) -> list[ImageColumn]:
        """Return the columns that hold images, by their types and first values."""
        found = [
            column
            for column in binary_columns(self.schema)
            if (first := self._first_value(column)) is not None and looks_like_image(first)
        ]
        return [*struct_columns(self.schema), *found]

    def _first_value(self, column: ImageColumn) -> bytes | None:
        at = self.schema.get_field_index(column.name)
        if self._by_rows(column):
            batch = next(self._decoded([at]), None)
            value = None if not batch else bytes_in(batch.column(0))[0].as_py()
            return None if value is None else bytes(value[:_MAGIC])
        for sparse in self._sparse():
            offsets, sizes = sparse.images(at)
            if len(offsets):
                return self._bytes(int(offsets[0]), min(int(sizes[0]), _MAGIC))
        return None

    def lacks_images(self, column: ImageColumn) -> bool:
        """Return whether no row of the first batch has an image."""
        at = self.schema.get_field_index(column.name)
        if self._by_rows(column):
            first = next((bytes_in(batch.column(0)) for batch in self._decoded([at])), None)
            return first is not None and 0 < len(first) == first.null_count
        sizes = next((sparse.images(at)[1] for sparse in self._sparse()), np.zeros(0))
        return len(sizes) > 0 and not sizes.any()

    def _by_rows(self, column: ImageColumn) -> bool:
        """Return whether images can only be read with all others of their batch."""
        import pyarrow as pa

        kind = self.schema.field(column.name).type
        kind = kind.field(BYTES).type if pa.types.is_struct(kind) else kind
        return self.is_compressed or pa.types.is_dictionary(kind)

    def places(self, column: ImageColumn, stamp: Stamp) -> TablePlaces:
        """Return where the images of a column are.

        Raises:
            ValueError: offsets lead out of the file, or there are more batches than can be told
                apart.
        """
        at = self.schema.get_field_index(column.name)
        if self._by_rows(column):
            return self._places_of_rows(at, stamp)
        found = [sparse.images(at) for sparse in self._sparse()]
        none = np.zeros(0, np.int64)
        offsets = np.concatenate([none, *(offsets for offsets, _ in found)])
        sizes = np.concatenate([none, *(sizes for _, sizes in found)])
        return TablePlaces(
            offsets=offsets,
            sizes=sizes,
            marks=np.full(len(offsets), mark(UNCHECKED, stamp), np.int64),
            how="bytes",
            absent=int((sizes == 0).sum()),
            groups=len(found),
            largest=0,
        )

    def _places_of_rows(self, at: int, stamp: Stamp) -> TablePlaces:
        if not self._is_file():
            raise ValueError("it is a stream whose images are in dictionaries")
        if len(self._batches) > MOST_GROUPS or at >= MOST_COLUMNS:
            raise ValueError(f"more than {MOST_GROUPS:,} batches or {MOST_COLUMNS:,} columns")
        counts = [message.rows for message, _ in self._batches]
        held = [message.body for message, _ in self._batches]
        groups = [GroupPlace(at, number) for number in range(len(counts))]
        marks = [
            mark(_mark_of(g.group, rows), stamp) for g, rows in zip(groups, counts, strict=True)
        ]
        sizes = [body // max(rows, 1) for body, rows in zip(held, counts, strict=True)]
        none = [np.zeros(0, np.int64)]
        return TablePlaces(
            offsets=np.concatenate([*none, *map(offsets_of, groups, counts)]),
            sizes=np.repeat(np.array(sizes, np.int64), counts),
            marks=np.repeat(np.array(marks, np.int64), counts),
            how="row",
            absent=0,
            groups=len(counts),
            largest=max(held, default=0),
        )


class _Sparse:
    """A record batch of which only the buffers that are asked for are read.

    Its body is made of zeros, which take no memory until they are written to.
    """

    def __init__(self, file: BinaryIO, head: bytes, message: Message) -> None:
        import pyarrow as pa

        self._file = file
        self._message = message
        self._start = len(head)
        self._data = np.zeros(len(head) + message.head + message.body, np.uint8)
        self._fill(0, head)
        self._read(message.start, message.head)
        buffer = pa.py_buffer(self._data)
        self._base: int = buffer.address
        self.batch: pa.RecordBatch = pa.ipc.open_stream(buffer).read_next_batch()
        self.batch.validate()  # Its buffers are as long as its columns say.
        if self.batch.num_rows != message.rows:
            raise ValueError("it is damaged: a batch has another number of rows than it says")

    def _fill(self, at: int, data: bytes) -> None:
        self._data[at : at + len(data)] = np.frombuffer(data, np.uint8)

    def _read(self, at: int, length: int) -> None:
        """Read a part of the file to its place here."""
        self._file.seek(at)
        data = self._file.read(length)
        if len(data) != length:
            raise ValueError("it is truncated")
        self._fill(self._start + at - self._message.start, data)

    def _position(self, buffer: pa.Buffer) -> int:
        """Return where a buffer of the batch lies in the file."""
        position: int = buffer.address - self._base - self._start + self._message.start
        end = self._message.start + self._message.head + self._message.body
        if not self._message.start <= position <= position + buffer.size <= end:
            raise ValueError("it is damaged: a buffer lies outside its message")
        return position

    def _load(self, buffers: Sequence[pa.Buffer | None]) -> None:
        for buffer in buffers:
            if buffer is not None and buffer.size:
                self._read(self._position(buffer), buffer.size)

    def column(self, at: int) -> pa.Array:
        """Return a copy of a column, whose buffers are read."""
        import pyarrow as pa

        column = self.batch.column(at)
        self._load(column.buffers())
        column.validate(full=True)
        return pa.concat_arrays([column, column.slice(0, 0)])

    def images(self, at: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return the offsets in the file of the images of a column, and their sizes.

        A row without an image has a size of 0.
        """
        import pyarrow as pa

        column = self.batch.column(at)
        present = np.ones(len(column), bool)
        if pa.types.is_struct(column.type):
            self._load(column.buffers()[:1])
            present &= column.is_valid().to_numpy(zero_copy_only=False)
            column = column.field(BYTES)
        validity, offsets, data = column.buffers()
        self._load([validity, offsets])
        present &= column.is_valid().to_numpy(zero_copy_only=False)
        width = np.int64 if pa.types.is_large_binary(column.type) else np.int32
        bounds = np.frombuffer(offsets, width)[: len(column) + 1] if len(column) else np.zeros(1)
        bounds = bounds.astype(np.int64)
        held = 0 if data is None else data.size
        if bounds[0] < 0 or bounds[-1] > held or (np.diff(bounds) < 0).any():
            raise ValueError("it is damaged: the bytes of an image lie outside their column")
        start = self._position(data) if held else self._message.start
        return start + bounds[:-1], np.where(present, np.diff(bounds), 0)


def open_arrow_file(file: BinaryIO, fields: Sequence[int]) -> pa.RecordBatchFileReader:
    """Open an Arrow file, of which some fields alone are read."""
    import pyarrow as pa

    file.seek(0)
    options = pa.ipc.IpcReadOptions(included_fields=list(fields), use_threads=False)
    return pa.ipc.open_file(file, options=options)


def read_batch(file: BinaryIO, place: GroupPlace) -> GroupValues:
    """Read the images of a record batch of an Arrow file.

    Raises:
        FileChanged: there is no such batch.
        OSError, ArrowException: it can't be read.
    """
    opened = open_arrow_file(file, [place.column])
    if place.group >= opened.num_record_batches:
        raise FileChanged(f"changed since it was listed: its table has no batch {place.group}")
    batch = opened.get_batch(place.group)
    return GroupValues([bytes_in(batch.column(0))], _mark_of(place.group, batch.num_rows))


def _mark_of(number: int, rows: int) -> int:
    return group_mark(number, rows)
