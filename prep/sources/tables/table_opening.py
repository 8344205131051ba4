"""Open a table, whatever its format."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import BinaryIO, Protocol

import pyarrow as pa

from prep.errors import SourceError
from prep.sources.layouts.base import Place
from prep.sources.lists.formats.column_files import PARQUET
from prep.sources.tables.formats.arrow_table import ArrowTable
from prep.sources.tables.formats.parquet_table import ParquetTable
from prep.sources.tables.row_places import TablePlaces
from prep.sources.tables.table_schema import ImageColumn
from prep.storage.location import Stamp
from prep.text import quoted, reason_of


class Table(Protocol):
    """One table that is open."""

    form: str
    schema: pa.Schema

    @property
    def rows(self) -> int: ...

    def image_columns(self) -> list[ImageColumn]:
        """Return the columns that hold images."""

    def columns(self, names: Sequence[str], most: int | None = None) -> list[pa.ChunkedArray]:
        """Return other columns: their first rows, or all."""

    def lacks_images(self, column: ImageColumn) -> bool:
        """Return whether no row of the first group has an image."""

    def places(self, column: ImageColumn, stamp: Stamp) -> TablePlaces:
        """Return where the images of a column are."""


def open_table(place: Place, file: BinaryIO) -> Table:
    """Return the table in an open file; raise what :func:`reading_table` makes an error of."""
    return ParquetTable(file) if place.head.startswith(PARQUET) else ArrowTable(file)


@contextlib.contextmanager
def reading_table(place: Place) -> Iterator[None]:
    """Turn whatever a file can't be read for into one SourceError."""
    try:
        yield
    except SourceError:
        raise
    except (OSError, pa.ArrowException, ValueError, KeyError, IndexError, MemoryError) as error:
        if isinstance(error, OSError) and not isinstance(error, pa.ArrowException):
            place.location.require_answer(error, "source: can't read a table")
        more = isinstance(error, MemoryError)
        why = "it claims more memory than there is" if more else reason_of(error)
        raise SourceError(
            f"source: {quoted(place.name)}: can't be read: {why}; get it again, or write it anew"
        ) from None


def embeds_images(place: Place, *, unreadable: bool) -> bool:
    """Return whether a table has a column of images.

    Args:
        place: the table.
        unreadable: what to return for a table that can't be read.

    Raises:
        StorageUnavailable: it is in a storage that does not answer.
    """
    try:
        with reading_table(place), closing(place.location.open_regular()) as file:
            return bool(open_table(place, file).image_columns())
    except SourceError:
        return unreadable
