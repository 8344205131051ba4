"""The image list of an output: a Parquet file, of which a shard reads its own rows."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from prep import storage
from prep.locations import locate

# Rows that are read together. Small enough that a shard of a few images costs little.
_ROW_GROUP = 4096


class ImageEntry(NamedTuple):
    """One image of a shard.

    Attributes:
        root: the source, with a separator at its end.
        relative: path in it. Both are bytes, for a file name need not be text.
        class_name: the folder it was found in.
        stamp: what it was like when it was listed.
    """

    root: bytes
    relative: bytes
    class_name: str
    stamp: storage.Stamp

    @property
    def path(self) -> bytes:
        """Absolute."""
        return self.root + self.relative

    @property
    def name(self) -> str:
        """Relative, as text."""
        return os.fsdecode(self.relative)


def to_parquet(images: pa.Table) -> bytes:
    """An image list as the contents of its file; see :class:`prep.planning.RunPlan`."""
    sink = pa.BufferOutputStream()
    pq.write_table(images, sink, row_group_size=_ROW_GROUP)
    return bytes(sink.getvalue())


def read(path: Path, columns: list[str] | None = None) -> pa.Table:
    """All rows of an image list, with some columns or all.

    Raises:
        OSError, ArrowException: it can't be read.
    """
    if storage.is_remote(path):
        data = storage.read_patiently(path)
        return pq.read_table(pa.BufferReader(data), columns=columns)
    return pq.read_table(path, columns=columns)


def entries(path: Path, source: str, classes: Sequence[str], rows: range) -> Iterator[ImageEntry]:
    """Some rows of an image list, in their order.

    Args:
        path: the list.
        source: what its paths are relative to.
        classes: those of the plan, by their number.
        rows: which.

    Raises:
        OSError, ArrowException: it can't be read.
    """
    root = os.path.join(os.fsencode(str(locate(source))), b"")
    with _opened(path) as images:
        for group in range(rows.start // _ROW_GROUP, -(-rows.stop // _ROW_GROUP)):
            first = group * _ROW_GROUP
            found = images.read_row_group(group, columns=["path", "class", "size", "mtime"])
            start, stop = max(rows.start - first, 0), rows.stop - first
            wanted = found.slice(start, stop - start)
            columns = (column.to_pylist() for column in wanted.columns)
            for name, class_, size, mtime in zip(*columns, strict=True):
                yield ImageEntry(root, name, classes[class_], storage.Stamp(size, mtime))


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile | _KeptOpen]:
    if storage.is_remote(path):
        yield _keep_open(path, storage.patiently(path, lambda: storage.identity(path)))
        return
    with pq.ParquetFile(path) as images:
        yield images


def close() -> None:
    """Closes the list that is kept open; whoever is reading it goes on."""
    _keep_open.cache_clear()


@lru_cache(maxsize=1)
def _keep_open(path: Path, identity: object) -> _KeptOpen:
    return _KeptOpen(path)


class _KeptOpen:
    """An image list in a storage, kept open, for opening it takes several requests."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: pq.ParquetFile | None = None
        self._lock = threading.Lock()  # It has one position, and threads read different shards.

    def read_row_group(self, group: int, columns: list[str]) -> pa.Table:
        with self._lock:
            return storage.patiently(self._path, lambda: self._read(group, columns))

    def _read(self, group: int, columns: list[str]) -> pa.Table:
        try:
            if self._file is None:
                self._file = pq.ParquetFile(self._path.open("rb"))
            return self._file.read_row_group(group, columns=columns)
        except (OSError, pa.ArrowException):
            self._file = None  # Over a connection that broke, it will never be read again.
            raise
