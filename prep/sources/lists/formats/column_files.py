"""Lists as Parquet and Arrow files."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

from prep.errors import SourceError
from prep.sources.labels import BETWEEN
from prep.sources.layouts.base import Place
from prep.sources.lists.list_table import SAMPLED, ListTable
from prep.sources.lists.roles import is_role
from prep.text import quoted, reason_of

if TYPE_CHECKING:
    import pyarrow as pa

#: The first bytes of a Parquet file, of an Arrow file, and of a stream in Arrow's format.
PARQUET, ARROW, STREAM = b"PAR1", b"ARROW1", b"\xff\xff\xff\xff"


def unreadable(place: Place, error: Exception) -> SourceError:
    """Return the error for a list that can't be read.

    Raises:
        StorageUnavailable: it is in a storage that does not answer.
    """
    if isinstance(error, OSError):
        place.location.require_answer(error, "source: can't read a list")
    more = isinstance(error, MemoryError)
    why = "it claims more memory than there is" if more else reason_of(error)
    return SourceError(f"source: {quoted(place.name)}: can't be read: {why}; write it again")


def read_columns(place: Place, labels: Collection[str] = ()) -> ListTable:
    """Return the table of a Parquet or Arrow file.

    Args:
        labels: columns that hold labels, and so may hold lists.
    """
    import pyarrow as pa

    def is_usable(field: pa.Field) -> bool:
        is_list = is_list_of_plain(field.type)
        return is_plain(field.type) or (
            is_list and (field.name in labels or is_role(field.name, "label"))
        )

    try:
        form, schema, read, first = _opened(place, is_usable)
        usable = [n for n, field in enumerate(schema) if is_usable(field)]
        columns = tuple(schema.field(n).name for n in usable)
        sample = [as_text(first.column(n)).to_pylist() for n in usable]
    except (OSError, pa.ArrowException, UnicodeDecodeError, MemoryError) as error:
        raise unreadable(place, error) from None
    others = [field.name for n, field in enumerate(schema) if n not in usable]

    def load(positions: Sequence[int]) -> Sequence[pa.Array]:
        try:
            return [as_text(column) for column in read([usable[at] for at in positions])]
        except (OSError, pa.ArrowException, UnicodeDecodeError, MemoryError) as error:
            raise unreadable(place, error) from None

    if not columns:
        held = ", ".join(map(quoted, others)) or "none"
        raise SourceError(
            f"source: {quoted(place.name)}: expected columns of text or numbers that name images "
            f"and labels; columns found: {held}"
        )
    return ListTable(
        name=place.name,
        form=form,
        columns=columns,
        sample=list(zip(*sample, strict=True)),
        load=load,
        places=lambda rows: [f"row {row + 1}" for row in rows],
        unusable=tuple(others),
    )


def _opened(
    place: Place, is_usable: Callable[[pa.Field], bool]
) -> tuple[str, pa.Schema, Callable[[Sequence[int]], Sequence[pa.ChunkedArray]], pa.Table]:
    """Return the format, the schema, a function that reads columns, and the first rows."""
    import pyarrow as pa

    source = place.location.open_regular()
    if place.head.startswith(PARQUET):
        import pyarrow.parquet as pq

        file = pq.ParquetFile(source)
        schema = file.schema_arrow
        plain = [field.name for field in schema if is_usable(field)]
        _require_names(place, schema)

        def read(positions: Sequence[int]) -> Sequence[pa.ChunkedArray]:
            names = [schema.field(at).name for at in positions]
            table = file.read(columns=list(dict.fromkeys(names)))
            return [table[name] for name in names]

        batches = file.iter_batches(batch_size=SAMPLED, columns=plain)
        first = next(batches, None)
        few = schema.empty_table() if first is None else pa.table(first)
        return "Parquet", schema, read, _with_all(few, schema)
    open_ = pa.ipc.open_file if place.head.startswith(ARROW) else pa.ipc.open_stream
    table = open_(source).read_all()
    _require_names(place, table.schema)
    return (
        "Arrow",
        table.schema,
        lambda positions: [table.column(at) for at in positions],
        table.slice(0, SAMPLED),
    )


def _require_names(place: Place, schema: pa.Schema) -> None:
    twice = sorted({name for name in schema.names if schema.names.count(name) > 1})
    if twice:
        told = ", ".join(map(quoted, twice))
        raise SourceError(
            f"source: {quoted(place.name)}: two columns are called {told}; rename one"
        )


def _with_all(few: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return rows with a column for each field of a schema; what was not read is null."""
    import pyarrow as pa

    return pa.table(
        {
            field.name: few[field.name]
            if field.name in few.column_names
            else pa.nulls(len(few), field.type)
            for field in schema
        }
    )


def is_plain(kind: pa.DataType) -> bool:
    """Return whether values of a type can be taken for text."""
    import pyarrow.types as types

    if types.is_dictionary(kind):
        return is_plain(kind.value_type)
    text = (types.is_string, types.is_large_string, types.is_string_view)
    others = (types.is_integer, types.is_floating, types.is_boolean, types.is_null)
    return any(is_kind(kind) for is_kind in (*text, *others))


def is_list_of_plain(kind: pa.DataType) -> bool:
    """Return whether a type is that of lists, whose values can be taken for text."""
    import pyarrow.types as types

    lists = (types.is_list, types.is_large_list, types.is_fixed_size_list)
    return any(is_kind(kind) for is_kind in lists) and is_plain(kind.value_type)


def _lists_as_text(column: pa.Array) -> pa.Array:
    """Return lists as text, with ``BETWEEN`` between their values; what is absent is empty."""
    import pyarrow as pa
    import pyarrow.compute as pc

    lists = column.cast(pa.large_list(column.type.value_type))
    values = lists.flatten()
    # Numbers of single columns are written as Python does, which takes ten times as long.
    is_floating = pa.types.is_floating(values.type)
    texts = pc.fill_null(values.cast(pa.string()), "") if is_floating else as_text(values)
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy()
    offsets = pa.array([0, *lengths.cumsum().tolist()], pa.int64())
    joined = pc.binary_join(
        pa.LargeListArray.from_arrays(offsets, texts.cast(pa.string())), BETWEEN
    )
    return joined.cast(pa.string())


def as_text(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """Return a column as text; what is absent is empty."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(column, pa.ChunkedArray):
        column = (
            pa.concat_arrays(column.unify_dictionaries().chunks)
            if column.num_chunks
            else (pa.array([], column.type))
        )
    column.validate(full=True)  # What a damaged file claims may lead anywhere in memory.
    if is_list_of_plain(column.type):
        return _lists_as_text(column)
    if pa.types.is_floating(column.type):  # As Python writes it: 20.0, not 20.
        values = ["" if v is None or v != v else repr(v) for v in column.to_pylist()]
        return pa.array(values, pa.string())
    return pc.fill_null(column.cast(pa.string()), "")
