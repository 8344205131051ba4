"""From the tables of a set to the catalog of the images in their rows."""

from __future__ import annotations

import contextlib
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import BinaryIO, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from prep.errors import SourceError
from prep.sources.base import HOWS, Catalog, Wanted
from prep.sources.columns import hows_of, in_catalog
from prep.sources.folders.ignored import Passed
from prep.sources.layouts.base import Place, columns_given
from prep.sources.lists.formats.column_files import PARQUET, as_text, is_plain
from prep.sources.lists.list_table import SAMPLED, ListTable
from prep.sources.lists.roles import Roles, find_roles, show_flags
from prep.sources.lists.row_labels import (
    Words,
    are_flags,
    column_named,
    doubts_about,
    require_split,
    words_of,
)
from prep.sources.tables.arrow_table import ArrowTable
from prep.sources.tables.parquet_table import ParquetTable
from prep.sources.tables.row_places import TablePlaces
from prep.sources.tables.table_files import TableFile, files_of, parts_told, splits_of
from prep.sources.tables.table_labels import labels_of_table
from prep.sources.tables.table_schema import (
    ImageColumn,
    binary_columns,
    choose_column,
    class_names,
    class_names_beside,
    struct_columns,
)
from prep.storage.locate import stamp_of
from prep.storage.location import Stamp
from prep.text import counted, quoted, reason_of, size_text, some

# Bytes of images in one group from which a worker's memory is in doubt.
_LARGE_GROUP = 1 << 30  # 1 GiB


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


@dataclass(frozen=True, kw_only=True)
class _Columns:
    """The columns of a set, as its first table has them.

    Attributes:
        image: that of the images.
        table: all that can be taken for text, and the image's; the first rows.
        roles: of the columns.
        names: of classes, by the column that numbers them.
        numbers: the columns that hold whole numbers.
        form: the format of the tables, in words.
    """

    image: ImageColumn
    table: ListTable
    roles: Roles
    names: Mapping[str, tuple[str, ...]]
    numbers: frozenset[str]
    form: str

    @property
    def needed(self) -> list[int]:
        """The positions of the columns that have a role, or may be flags of classes."""
        roles, sample = self.roles, self.table.sample
        flags = () if roles.label or not show_flags(sample, roles.rest) else roles.rest
        others = [at for at in (roles.split, roles.group) if at is not None]
        return list(dict.fromkeys([*roles.label, *others, *flags]))


@dataclass(frozen=True, kw_only=True)
class _Part:
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


def catalog_of_tables(place: Place, layout: str, wanted: Wanted) -> Catalog:
    """Return the catalog of the images of a table, or of all tables in a folder.

    Raises:
        SourceError: a table is damaged, or tables of a set don't fit together.
        ConfigError: a column that is asked for does not exist.
        StorageUnavailable: they are in a storage that does not answer.
    """
    passed = Passed()
    files = files_of(place, layout, wanted.output, passed)
    columns = _columns_of(place, files[0], wanted)
    parts = [_part_of(file, columns) for file in files]
    table = replace(columns.table, places=_Described(parts))
    texts = {at: _joined(parts, n) for n, at in enumerate(columns.needed)}
    roles = columns.roles
    if not roles.label and are_flags([texts[at] for at in roles.rest if at in texts]):
        roles = replace(roles, label=roles.rest, rest=())
    rows = sum(part.rows for part in parts)
    if not rows:
        raise SourceError(f"source: {quoted(place.name)}: has no rows; expected a row an image")
    texts[roles.image] = pa.nulls(rows, pa.string())
    labels = labels_of_table(table, roles, texts, columns.names, columns.numbers, wanted)
    splits, told = _splits_of_rows(table, roles, texts, parts, wanted)
    groups = None if roles.group is None else words_of(texts[roles.group])
    kept, numbers = _rows_of_splits(splits, wanted.splits, place)
    words = labels.words
    return Catalog(
        source=place.name,
        read_as=_read_as(columns, parts, [labels.told, told], roles),
        splits=splits.names if wanted.splits is None else wanted.splits,
        classes=words.names,
        images=_images(parts, words.numbers, numbers, groups).take(pa.array(kept)),
        ignored=passed.ignored(),
        order=labels.order,
        as_keys={"columns": roles.as_columns(table)},
        label_column=", ".join(table.columns[at] for at in roles.label) or None,
        doubts=(
            *labels.doubts,
            *(doubts_about(words) if labels.order is None else ()),
            *parts_told(files),
            *_doubts_about_absent(parts),
            *_doubts_about_memory(parts),
        ),
    )


def _columns_of(place: Place, file: TableFile, wanted: Wanted) -> _Columns:
    """Return the columns of a set, by its first table."""
    beside = file.place
    given = columns_given(wanted)
    with reading_table(beside), closing(beside.location.open_regular()) as opened:
        found = open_table(beside, opened)
        image = choose_column(found.image_columns(), found.schema, given.get("image"), file.name)
        plain = [each.name for each in found.schema if is_plain(each.type)]
        texts = [as_text(column).to_pylist() for column in found.columns(plain, SAMPLED)]
    others = (n for n in found.schema.names if n not in plain and n != image.name)
    table = ListTable(
        name=place.name,
        form=found.form,
        columns=(*plain, image.name),
        sample=[(*row, "") for row in zip(*texts, strict=True)],
        load=lambda _: (),
        places=lambda _: (),
        unusable=tuple(others),
    )
    from_columns = wanted.labels is None or wanted.labels.origin in (None, "column")
    roles = find_roles(table, {**given, "image": image.name}, labels=from_columns)
    return _Columns(
        image=image,
        table=table,
        roles=roles,
        names=class_names(found.schema) or _names_beside(place, file),
        numbers=frozenset(f.name for f in found.schema if pa.types.is_integer(f.type)),
        form=found.form,
    )


def _names_beside(place: Place, file: TableFile) -> Mapping[str, tuple[str, ...]]:
    """Return the names of classes that files beside a table, or in folders above it, tell."""
    folder = file.location.parent
    while True:
        found = class_names_beside(folder)
        if found or not place.is_folder or folder == place.location:
            return found
        folder = folder.parent


def _part_of(file: TableFile, columns: _Columns) -> _Part:
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
        if 0 < found.rows == places.absent:
            raise SourceError(
                f"source: {quoted(file.name)}: column {quoted(columns.image.name)} holds no images,"
                " but at most names of files; give the folder of these files as the source, or "
                "write the table with them (`to_parquet` of Hugging Face's datasets does)"
            )
        return _Part(file=file, rows=found.rows, places=places, columns=texts)


def _require_alike(file: TableFile, table: Table, columns: _Columns, names: Sequence[str]) -> None:
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
    if own and own != columns.names:
        raise SourceError(
            f"source: {quoted(file.name)} numbers its classes otherwise than other tables of the "
            "set; give it as a source of its own, with `labels.order`"
        )


def _joined(parts: Sequence[_Part], number: int) -> pa.Array:
    """Return a column of all tables."""
    return pa.concat_arrays([part.columns[number] for part in parts])


@dataclass(frozen=True)
class _Described:
    """Describes rows of a set: by their table, and their place in it."""

    parts: Sequence[_Part]

    def __call__(self, rows: Sequence[int]) -> list[str]:
        starts = [0, *accumulate(part.rows for part in self.parts)]
        at = [bisect_right(starts, row) - 1 for row in rows]
        return [
            f"row {row - starts[n]} of {quoted(self.parts[n].file.name)}"
            for row, n in zip(rows, at, strict=True)
        ]


def _splits_of_rows(
    table: ListTable,
    roles: Roles,
    texts: Mapping[int, pa.Array],
    parts: Sequence[_Part],
    wanted: Wanted,
) -> tuple[Words, str]:
    """Return the split of each row, and where it is from, in words."""
    asked = "split" in (wanted.columns or {})
    if roles.split is not None and (asked or not any(part.file.split for part in parts)):
        words = words_of(texts[roles.split])
        require_split(table, words)
        return words, f"splits from {column_named(table, roles.split)}"
    splits, told = splits_of([part.file for part in parts])
    names = sorted(set(splits), key=str.encode)
    numbers = np.array([names.index(split) for split in splits], np.int32)
    rows = np.repeat(numbers, [part.rows for part in parts])
    return Words(numbers=rows, names=tuple(names)), told


def _rows_of_splits(
    splits: Words, wanted: tuple[str, ...] | None, place: Place
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """Return the rows of the splits that are wanted, and the number of the split of each row.

    Raises:
        SourceError: there is no such split.
    """
    names = splits.names if wanted is None else wanted
    absent = [name for name in names if name not in splits.names]
    if absent:
        raise SourceError(
            f"splits: no images of {some([*map(quoted, absent)])} in {quoted(place.name)}; splits "
            f"found: {some([*map(quoted, splits.names)])}"
        )
    numbers = np.array([names.index(n) if n in names else -1 for n in splits.names], np.int32)
    of_rows = numbers[splits.numbers]
    return np.flatnonzero(of_rows >= 0), of_rows


def _images(
    parts: Sequence[_Part],
    classes: npt.NDArray[np.int32],
    splits: npt.NDArray[np.int32],
    groups: Words | None,
) -> pa.Table:
    """Return the images of all rows, as a catalog has them."""
    files = pa.array([part.file.file for part in parts], pa.binary())
    counts = [part.rows for part in parts]
    at = np.repeat(np.arange(len(parts), dtype=np.int32), counts)
    hows = np.repeat([HOWS.index(part.places.how) for part in parts], counts)
    names = [
        pc.binary_join_element_wise(
            f"{part.file.name}#", pa.array(np.arange(part.rows)).cast(pa.string()), ""
        )
        for part in parts
    ]
    images = pa.table(
        {
            "split": pa.array(splits),
            "class": pa.array(classes),
            "path": pa.chunked_array(names, pa.string()).cast(pa.binary()),
            "size": np.concatenate([part.places.sizes for part in parts]),
            "mtime": np.concatenate([part.places.marks for part in parts]),
            "file": pa.DictionaryArray.from_arrays(at, files),
            "offset": np.concatenate([part.places.offsets for part in parts]),
            "how": hows_of(hows),
            **({} if groups is None else {"group": groups.as_column()}),
        }
    )
    return in_catalog(images)


def _read_as(columns: _Columns, parts: Sequence[_Part], told: Sequence[str], roles: Roles) -> str:
    """Return what a set was read as, in words."""
    files = counted(len(parts), f"{columns.form} file")
    said = [f"images from column {quoted(columns.image.name)}", *told]
    if roles.group is not None:
        said.append(f"groups from {column_named(columns.table, roles.group)}")
    groups = sum(part.places.groups for part in parts if part.places.how == "row")
    if groups:
        word = "row group" if columns.form == "Parquet" else "record batch"
        said.append(f"shuffled by {counted(groups, word)}")
    return f"{files} of images: {', '.join(said)}"


def _doubts_about_absent(parts: Sequence[_Part]) -> tuple[str, ...]:
    """Return the doubt about rows without an image."""
    absent = sum(part.places.absent for part in parts)
    if not absent:
        return ()
    first = next(part.file.name for part in parts if part.places.absent)
    told = f"{counted(absent, 'row')} without an image, such as in {quoted(first)}"
    return (f"{told}: each will be refused as empty",)


def _doubts_about_memory(parts: Sequence[_Part]) -> tuple[str, ...]:
    """Return the doubt about groups that take much of a worker's memory."""
    largest = max(parts, key=lambda part: part.places.largest)
    size = largest.places.largest
    if size < _LARGE_GROUP:
        return ()
    return (
        f"a group of rows of {quoted(largest.file.name)} has {size_text(size)} of images, and each "
        "worker holds two such groups; write the tables with smaller row groups (of 100 rows, say) "
        "if that is more memory than there is",
    )
