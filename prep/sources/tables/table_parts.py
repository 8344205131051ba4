"""The rows of each table of a set: where their images are, and the columns that are needed."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import pyarrow as pa

from prep.errors import SourceError
from prep.sources.lists.formats.column_files import as_text
from prep.sources.tables.row_places import TablePlaces
from prep.sources.tables.table_columns import SetColumns
from prep.sources.tables.table_files import TableFile
from prep.sources.tables.table_opening import Table, open_table, reading_table
from prep.sources.tables.table_schema import binary_columns, class_names, struct_columns
from prep.storage.locate import stamp_of
from prep.text import quoted


@dataclass(frozen=True, kw_only=True)
class TablePart:
    """The rows of one table of a set.

    Attributes:
        file: the table.
        rows: how many it has.
        places: where its images are.
        columns: those that are needed, as text.
    """

    file: TableFile
    rows: int
    places: TablePlaces
    columns: Sequence[pa.Array]


def part_of(file: TableFile, columns: SetColumns) -> TablePart:
    """Read one table of a set: the places of its images, and the columns that are needed."""
    beside = file.place
    names = [columns.table.columns[at] for at in columns.needed]
    with reading_table(beside), closing(beside.location.open_regular()) as opened:
        stamp = stamp_of(str(beside.location))
        found = open_table(beside, opened)
        _require_alike(file, found, columns, names)
        texts = [as_text(column) for column in found.columns(names)]
        places = found.places(columns.image, stamp)
        if any(len(each) != found.rows for each in (*texts, places.offsets)):
            raise ValueError(f"its columns have other numbers of rows than {found.rows:,}")
        return TablePart(file=file, rows=found.rows, places=places, columns=texts)


def _require_alike(
    file: TableFile, table: Table, columns: SetColumns, names: Sequence[str]
) -> None:
    """Raise SourceError if a table does not have the columns or the classes of its set."""
    known = [*struct_columns(table.schema), *binary_columns(table.schema)]
    absent = [name for name in names if name not in table.schema.names]
    if columns.image not in known:
        absent = [columns.image.name]
    if absent:
        raise SourceError(
            f"source: {quoted(file.name)} has no column {quoted(absent[0])} as other tables of the "
            "set do; move it elsewhere, or give it as a source of its own"
        )
    own = class_names(table.schema)
    if own and own != columns.numbered.names:
        raise SourceError(
            f"source: {quoted(file.name)} numbers its classes otherwise than other tables of the "
            "set; give it as a source of its own, with `labels.order`"
        )


def joined_columns(parts: Sequence[TablePart], number: int) -> pa.Array:
    """Return a column of all tables."""
    return pa.concat_arrays([part.columns[number] for part in parts])


@dataclass(frozen=True)
class RowNames:
    """Describes rows of a set: by their table, and their place in it."""

    parts: Sequence[TablePart]

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *accumulate(part.rows for part in self.parts)]

    def _at(self, row: int) -> tuple[str, int]:
        """Return the name of the table of a row, and the number of the row in it."""
        number = bisect_right(self._starts, row) - 1
        return self.parts[number].file.name, row - self._starts[number]

    def name(self, row: int) -> str:
        """Return the name of the image in a row."""
        file, number = self._at(row)
        return f"{file}#{number}"

    def __call__(self, rows: Sequence[int]) -> list[str]:
        return [f"row {number} of {quoted(file)}" for file, number in map(self._at, rows)]
