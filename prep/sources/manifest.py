"""The manifest of an output: a Parquet file of its images, of which a shard reads its own rows."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import BinaryIO, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from prep.sources.base import HOWS, How, ImageEntry
from prep.sources.columns import IMAGES, PLACES, TARGET
from prep.sources.naming import base_of
from prep.sources.tables.formats.parquet_footer import SNAPPY, UNCOMPRESSED, column_parts_in, end_of
from prep.storage.location import Location, Stamp
from prep.storage.urls import leading_out
from prep.text import quoted

# Rows that are read together. Small enough that a shard of a few images costs little.
_ROW_GROUP = 4096
#: The names of the columns that each manifest has.
COLUMNS = tuple(IMAGES)
_NAMES = ("path", "file", "how")
_HOWS: Mapping[bytes, How] = {how.encode(): how for how in HOWS}
# The codecs that this package writes with. Others may hold a thousand times their size.
_CODECS = frozenset((SNAPPY, UNCOMPRESSED))
# How many times longer than its file the paths in a manifest may be: Snappy copies at most 64 bytes
# for each three of its own, and no path is in a manifest twice.
_MOST_INFLATED = 32
_SPARE = 1 << 16
_LONGEST_PATH = 4096  # bytes
_DICTIONARY = pa.dictionary(pa.int32(), pa.binary())
# Not `empty_table`, which makes arrays of lists, for which Arrow imports pandas.
_EMPTY = pa.Table.from_batches([], pa.schema(list(IMAGES.items())))

T = TypeVar("T")


def to_parquet(images: pa.Table) -> bytes:
    """Return the contents of a manifest's file."""
    sink = pa.BufferOutputStream()
    if TARGET not in images.column_names:
        pq.write_table(images, sink, row_group_size=_ROW_GROUP)
        return bytes(sink.getvalue())
    # As they are, so that a reader knows before it reads how much memory they take.
    others = [name for name in images.column_names if name != TARGET]
    codecs = {**dict.fromkeys(others, "snappy"), TARGET: "none"}
    pq.write_table(
        images, sink, row_group_size=_ROW_GROUP, use_dictionary=others, compression=codecs
    )
    return bytes(sink.getvalue())


def read(path: Location, columns: Sequence[str] = ()) -> pa.Table:
    """Read all rows of a manifest.

    Args:
        path: its file.
        columns: the columns wanted; all that it has, if none are named.

    Raises:
        OSError, ArrowException: it can't be read.
        ValueError: it is none, or not one that this package has written.
    """
    if path.is_remote:  # In one request.
        data = path.read_patiently()
        return _all_rows(_Opened(pa.BufferReader(data), len(data)), columns)
    with _opened(path) as images:
        return _all_rows(images, columns)


def _all_rows(images: _Opened | _KeptOpen, columns: Sequence[str]) -> pa.Table:
    groups = [images.read_row_group(group, columns) for group in range(images.groups)]
    if not groups:
        return _EMPTY.select(list(columns or COLUMNS))
    return pa.concat_tables(groups).unify_dictionaries()


def is_same(one: pa.Table, other: pa.Table) -> bool:
    """Return whether two manifests have the same rows, however their columns are encoded."""
    decoded = [
        pa.table({name: _decoded(images[name]) for name in images.column_names})
        for images in (one, other)
    ]
    return bool(decoded[0].equals(decoded[1]))


def _decoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column without its dictionary, if it has one."""
    is_encoded = pa.types.is_dictionary(column.type)
    return column.cast(column.type.value_type) if is_encoded else column


def count(path: Location) -> int:
    """Return how many rows a manifest has.

    Raises:
        OSError, ArrowException, ValueError: as for :func:`read`.
    """
    with _opened(path) as images:
        return images.rows


def entries(
    path: Location, source: str, classes: Sequence[str], rows: range
) -> Iterator[ImageEntry]:
    """Yield some images of a manifest, in its order.

    Args:
        path: its file.
        source: the name of the source, which decides which names are allowed.
        classes: of the plan, by their number.
        rows: which images.

    Raises:
        OSError, ArrowException: the file can't be read.
        ValueError: it is no manifest, or not one of this source and these classes.
    """
    with _opened(path) as images:
        for group in range(rows.start // _ROW_GROUP, -(-rows.stop // _ROW_GROUP)):
            first = group * _ROW_GROUP
            found = images.read_row_group(group)
            start, stop = max(rows.start - first, 0), rows.stop - first
            wanted = found.slice(start, stop - start)
            require_within(wanted, source)
            require_numbered(wanted["class"], len(classes))
            yield from entries_of(wanted, classes)


def entries_of(images: pa.Table, classes: Sequence[str]) -> Iterator[ImageEntry]:
    """Yield the images of a table with the columns of a manifest."""
    if TARGET in images.column_names:
        targets = images[TARGET].to_pylist()
        others = entries_of(images.drop_columns([TARGET]), classes)
        for entry, target in zip(others, targets, strict=True):
            yield entry._replace(target=target)
        return
    paths, numbers, sizes, mtimes = (images[name].to_pylist() for name in COLUMNS)
    if "file" not in images.column_names:
        for path, number, size, mtime in zip(paths, numbers, sizes, mtimes, strict=True):
            yield ImageEntry(path, classes[number], Stamp(size, mtime), path)
        return
    places = (images[name].to_pylist() for name in PLACES)
    for path, number, size, mtime, file, offset, how in zip(
        paths, numbers, sizes, mtimes, *places, strict=True
    ):
        at = None if offset < 0 else offset
        yield ImageEntry(path, classes[number], Stamp(size, mtime), file, at, _HOWS[how])


def require_within(images: pa.Table, source: str) -> None:
    """Raise ValueError if a path or a relative file leads out of the source.

    Where links lead is not asked. Whether an absolute file is in the source, the source knows.
    """
    _require_no_way_out(images["path"], source)
    if "file" in images.column_names:
        files = pc.unique(images["file"]).dictionary
        absolute = pc.match_substring_regex(files, pattern="^/|://")
        _require_no_way_out(files.filter(pc.invert(absolute)), source)
        if not set(pc.unique(images["how"]).dictionary.to_pylist()) <= set(_HOWS):
            raise ValueError(f"another way to hold images than {', '.join(_HOWS.values())}")


def require_readable(images: pa.Table, source: str) -> None:
    """Raise ValueError if a manifest of these images would not be read back.

    The message names the first of them, and what to do.
    """
    remedy = "rename it, or leave it out with `exclude`"
    names = images["path"]
    too_long = pc.greater(pc.binary_length(names), _LONGEST_PATH)
    if pc.any(too_long, min_count=0).as_py():
        example = os.fsdecode(names.filter(too_long)[0].as_py())
        raise ValueError(
            f"the name {quoted(example)} has more than {_LONGEST_PATH:,} bytes; {remedy}"
        )
    try:
        require_within(images, source)
    except ValueError as error:
        raise ValueError(f"{error}; {remedy}") from None


def _require_no_way_out(paths: pa.ChunkedArray | pa.Array, source: str) -> None:
    strange = pc.match_substring_regex(paths, pattern=leading_out(base_of(source), r"\z"))
    if pc.any(strange, min_count=0).as_py():
        example = os.fsdecode(paths.filter(strange)[0].as_py())
        raise ValueError(f"a path in it does not stay within the source: {quoted(example[:80])}")


def require_numbered(numbers: pa.ChunkedArray, classes: int) -> None:
    """Raise ValueError if a number stands for no class."""
    least, most = pc.min_max(numbers).as_py().values()
    if least is not None and not 0 <= least <= most < classes:
        raise ValueError(f"numbers of classes from {least} to {most}, of {classes}")


class _Opened:
    """A manifest of the right form; its values are checked as they are read.

    Args:
        file: a path, or an open file.
        size: its bytes.

    Raises:
        OSError, ArrowException: it can't be read.
        ValueError: it has another form.
    """

    def __init__(self, file: Location | BinaryIO | pa.NativeFile, size: int) -> None:
        self._end = _end_of(file, size)
        metadata = pq.read_metadata(pa.BufferReader(self._end))
        there = [name for name in _NAMES if name in metadata.schema.names]
        self._file = pq.ParquetFile(file, metadata=metadata, read_dictionary=there)
        self._size = size
        self.rows = int(metadata.num_rows)
        self.groups = int(metadata.num_row_groups)
        found = {field.name: field.type for field in self._file.schema_arrow}
        expected = IMAGES | PLACES if "file" in found else {**IMAGES}
        numbers = found.get(TARGET)
        if numbers is not None and pa.types.is_fixed_size_binary(numbers):
            expected |= {TARGET: numbers}
        self._columns = tuple(expected)
        if found != expected | {"path": _DICTIONARY}:
            raise ValueError(f"other columns or kinds than {', '.join(expected)}")
        if numbers is not None and not self.rows * numbers.byte_width <= size:
            raise ValueError(f"{self.rows:,} labels of {numbers.byte_width:,} bytes in {size:,}")
        # Each row has a path of its own, which takes a byte and more, however well it compresses.
        if not 0 <= self.rows <= size or self.groups != -(-self.rows // _ROW_GROUP):
            raise ValueError(f"{self.rows:,} rows in {self.groups:,} parts in {size:,} bytes")

    def close(self) -> None:
        self._file.close()

    def read_row_group(self, group: int, columns: Sequence[str] = ()) -> pa.Table:
        """Read some columns of a part, or all; raise IndexError if there is no such part."""
        columns = columns or self._columns
        if group >= self.groups:
            raise IndexError(group)
        rows = int(self._file.metadata.row_group(group).num_rows)
        expected = min(self.rows - group * _ROW_GROUP, _ROW_GROUP)
        parts = column_parts_in(self._end)[group]
        if rows != expected or any(part.values != expected for part in parts):
            raise ValueError(f"{rows:,} rows in part {group}; expected {expected:,}")
        if not {part.codec for part in parts} <= _CODECS:
            raise ValueError("another compression than Snappy")
        table = self._file.read_row_group(group, columns=list(columns))
        if any(column.null_count for column in table.columns):
            raise ValueError(f"values are absent from part {group}")
        if "size" in columns and pc.min(table["size"]).as_py() < 0:
            raise ValueError(f"a negative size in part {group}")
        for name in _NAMES:
            if name in columns:
                self._require_plausible(table[name])
        if "path" in columns:
            self._require_no_more(table["path"])
            decoded = table["path"].cast(pa.large_binary())
            table = table.set_column(list(columns).index("path"), "path", decoded)
        return table

    @staticmethod
    def _require_plausible(paths: pa.ChunkedArray) -> None:
        """Raise ValueError for a path that no source has."""
        for chunk in paths.chunks:
            lengths = pc.binary_length(chunk.dictionary)
            if len(lengths) and pc.max(lengths).as_py() > _LONGEST_PATH:
                raise ValueError(f"a path of more than {_LONGEST_PATH:,} bytes")

    def _require_no_more(self, paths: pa.ChunkedArray) -> None:
        """Raise ValueError for more paths than the file can hold: few bytes can stand for many."""
        total = 0
        for chunk in paths.chunks:
            lengths = pc.binary_length(chunk.dictionary)
            total += pc.sum(lengths.take(chunk.indices)).as_py() or 0
        if total > _MOST_INFLATED * self._size + _SPARE:
            raise ValueError(f"{total:,} bytes of paths in a file of {self._size:,}")


def _end_of(file: Location | BinaryIO | pa.NativeFile, size: int) -> bytes:
    if not isinstance(file, Location):
        return end_of(file, size)
    with file.open_regular() as opened:
        return end_of(opened, size)


@contextlib.contextmanager
def _opened(path: Location) -> Iterator[_Opened | _KeptOpen]:
    if path.is_remote:
        yield _keep_open(path, path.patiently(lambda: path.identity()))
        return
    with contextlib.closing(_Opened(path, path.file_size())) as images:
        yield images


def close() -> None:
    """Close the manifest that is kept open; whoever is reading it goes on."""
    _keep_open.cache_clear()


@lru_cache(maxsize=1)
def _keep_open(path: Location, identity: object) -> _KeptOpen:
    return _KeptOpen(path)


class _KeptOpen:
    """A manifest in a storage, kept open, because opening it takes several requests."""

    def __init__(self, path: Location) -> None:
        self._path = path
        self._file: _Opened | None = None
        self._lock = threading.Lock()  # It has one position, and threads read different shards.

    @property
    def rows(self) -> int:
        return self._ask(lambda images: images.rows)

    @property
    def groups(self) -> int:
        return self._ask(lambda images: images.groups)

    def read_row_group(self, group: int, columns: Sequence[str] = ()) -> pa.Table:
        return self._ask(lambda images: images.read_row_group(group, columns))

    def _ask(self, question: Callable[[_Opened], T]) -> T:
        with self._lock:
            return self._path.patiently(lambda: self._answer(question))

    def _answer(self, question: Callable[[_Opened], T]) -> T:
        try:
            if self._file is None:
                file = self._path.open_regular()
                self._file = _Opened(file, file.seek(0, os.SEEK_END))
            return question(self._file)
        except (OSError, pa.ArrowException):
            self._file = None  # Over a connection that broke, it will never be read again.
            raise
