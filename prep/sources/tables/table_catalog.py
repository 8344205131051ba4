"""From the tables of a set to the catalog of the images in their rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from prep.errors import SourceError
from prep.sources.base import HOWS, Catalog, Wanted
from prep.sources.columns import hows_of, in_catalog
from prep.sources.layouts.base import Place
from prep.sources.lists.list_table import ListTable
from prep.sources.lists.roles import Roles
from prep.sources.lists.row_labels import are_flags, column_named, require_split
from prep.sources.lists.words import Words, words_of
from prep.sources.tables.table_columns import SetColumns, columns_of_set
from prep.sources.tables.table_files import TableSet, tables_at
from prep.sources.tables.table_labels import has_label_columns, labels_of_table
from prep.sources.tables.table_parts import RowNames, TablePart, joined_columns, part_of
from prep.text import counted, quoted, size_text, some

# Bytes of images in one group from which a worker's memory is in doubt.
_LARGE_GROUP = 1 << 30  # 1 GiB


def catalog_of_tables(place: Place, layout: str, wanted: Wanted) -> Catalog:
    """Return the catalog of the images of a table, or of all tables in a folder.

    Raises:
        SourceError: a table is damaged, or tables of a set don't fit together.
        ConfigError: a column that is asked for does not exist.
        StorageUnavailable: they are in a storage that does not answer.
    """
    found = tables_at(place, layout, wanted)
    columns = columns_of_set(place, found.files[0], wanted)
    parts = [part_of(file, columns) for file in found.files]
    names = RowNames(parts)
    table = replace(columns.table, places=names)
    texts = {at: joined_columns(parts, n) for n, at in enumerate(columns.needed)}
    roles = columns.roles
    flags = [texts[at] for at in roles.rest if at in texts]
    if has_label_columns(wanted) and not roles.label and are_flags(flags):
        roles = replace(roles, label=roles.rest, rest=())
    rows = sum(part.rows for part in parts)
    if not rows:
        raise SourceError(f"source: {quoted(place.name)}: has no rows; expected a row an image")
    texts[roles.image] = pa.nulls(rows, pa.string())
    labels = labels_of_table(table, roles, texts, columns.numbered, wanted, names.name)
    splits, told = _splits_of_rows(table, roles, texts, found, parts, wanted)
    groups = None if roles.group is None else words_of(texts[roles.group])
    kept, numbers = _rows_of_splits(splits, wanted.splits, place)
    words = labels.words
    return Catalog(
        source=place.name,
        read_as=_read_as(columns, parts, [labels.told, told], roles),
        splits=splits.names if wanted.splits is None else wanted.splits,
        classes=words.names,
        images=_images(parts, words.numbers, numbers, groups).take(pa.array(kept)),
        ignored=found.passed.ignored(),
        order=labels.order,
        as_keys={"columns": roles.as_columns(table)},
        label_column=", ".join(table.columns[at] for at in roles.label) or None,
        doubts=(
            *labels.doubts,
            *found.doubts,
            *_doubts_about_absent(parts),
            *_doubts_about_memory(parts),
        ),
    )


def _splits_of_rows(
    table: ListTable,
    roles: Roles,
    texts: Mapping[int, pa.Array],
    files: TableSet,
    parts: Sequence[TablePart],
    wanted: Wanted,
) -> tuple[Words, str]:
    """Return the split of each row, and where it is from, in words."""
    asked = "split" in (wanted.columns or {})
    if roles.split is not None and (asked or not files.tells_splits):
        words = words_of(texts[roles.split])
        require_split(table, words)
        return words, f"splits from {column_named(table, roles.split)}"
    names = sorted({file.split for file in files.files}, key=str.encode)
    numbers = np.array([names.index(file.split) for file in files.files], np.int32)
    rows = np.repeat(numbers, [part.rows for part in parts])
    told = "splits from" if files.tells_splits else "no splits in"
    return Words(numbers=rows, names=tuple(names)), f"{told} the names of files"


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
    parts: Sequence[TablePart],
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


def _read_as(
    columns: SetColumns, parts: Sequence[TablePart], told: Sequence[str], roles: Roles
) -> str:
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


def _doubts_about_absent(parts: Sequence[TablePart]) -> tuple[str, ...]:
    """Return the doubt about rows without an image."""
    absent = sum(part.places.absent for part in parts)
    if not absent:
        return ()
    first = next(part.file.name for part in parts if part.places.absent)
    told = f"{counted(absent, 'row')} without an image, such as in {quoted(first)}"
    return (f"{told}: each will be refused as empty",)


def _doubts_about_memory(parts: Sequence[TablePart]) -> tuple[str, ...]:
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
