"""Labels of the rows of tables: numbers that a schema names, numbers alone, or text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from prep.sources.base import Wanted
from prep.sources.lists.list_table import ListTable
from prep.sources.lists.roles import Roles
from prep.sources.lists.row_labels import Words, labels_of_rows
from prep.text import counted, quoted, some


@dataclass(frozen=True, slots=True, kw_only=True)
class TableLabels:
    """The labels of rows.

    Attributes:
        words: the label of each row; -1 for none.
        order: the classes in the order of their numbers; None if they have none.
        told: where labels are from, in words.
        doubts: what may be a mistake.
    """

    words: Words
    order: tuple[str, ...] | None
    told: str
    doubts: tuple[str, ...] = ()


def labels_of_table(
    table: ListTable,
    roles: Roles,
    columns: Mapping[int, pa.Array],
    names: Mapping[str, tuple[str, ...]],
    numbers: frozenset[str],
    wanted: Wanted,
) -> TableLabels:
    """Return the labels of all rows.

    Args:
        table: the rows.
        roles: of its columns.
        columns: as text, by their positions.
        names: of classes, by the column that numbers them.
        numbers: the columns that hold whole numbers.
        wanted: the configuration.

    Raises:
        SourceError: no column is known to hold labels, or a number has no name.
    """
    label = table.columns[roles.label[0]] if len(roles.label) == 1 else None
    if label is not None and label in names:
        return _named(table, label, columns[roles.label[0]], names[label])
    if label is not None and label in numbers:
        return _numbered(label, columns[roles.label[0]])
    unnamed = pa.array([""] * len(columns[roles.image]), pa.string())
    words, told = labels_of_rows(table, roles, columns, unnamed, wanted)
    return TableLabels(words=words, order=None, told=told)


def _numbers_in(column: pa.Array) -> tuple[list[int | None], pa.Array]:
    """Return the distinct numbers of a column of text, and the position of each row in these."""
    encoded = column.dictionary_encode()
    values = encoded.dictionary.to_pylist()
    return [int(value) if value else None for value in values], encoded.indices


def _named(table: ListTable, label: str, column: pa.Array, given: Sequence[str]) -> TableLabels:
    """Return labels that are numbers of classes with names; -1 is no label."""
    classes, doubts = _distinct(given)
    numbers, indices = _numbers_in(column)
    wrong = [n for n in numbers if n is not None and not -1 <= n < len(classes)]
    if wrong:
        rows = np.flatnonzero(pc.is_in(column, pa.array(map(str, wrong))).to_numpy(False))
        raise table.error(
            f"column {quoted(label)} has {counted(len(rows), 'number')} without a name, of "
            f"{counted(len(classes), 'class')}: {table.named(rows.tolist(), _texts(column, rows))}"
            "; correct them, or leave the images out with `exclude`"
        )
    at = [-1 if n is None else n for n in numbers]
    found = np.array([*at, -1], np.int32)[indices.to_numpy()]
    used = sorted({classes[n] for n in at if n >= 0}, key=str.encode)
    position = {name: number for number, name in enumerate(used)}
    words = np.array([*(position.get(name, -1) for name in classes), -1], np.int32)
    return TableLabels(
        words=Words(numbers=words[found], names=tuple(used)),
        order=classes,
        told=f"labels from column {quoted(label)} with the names of its schema",
        doubts=doubts,
    )


def _texts(column: pa.Array, rows: np.ndarray) -> list[str]:
    found: list[str] = column.take(pa.array(rows[:20])).to_pylist()
    return found


def _distinct(given: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return names of which no two are alike, and the doubt about those that were.

    ImageNet has two classes called "crane", and Hugging Face's copy of it numbers both.
    """
    times = Counter(given)
    classes = tuple(
        f"{name} ({number})".lstrip() if times[name] > 1 or not name else name
        for number, name in enumerate(given)
    )
    twice = [name for name, count in times.items() if count > 1]
    if not twice:
        return classes, ()
    told = some([*map(quoted, twice)])
    example = quoted(next(c for c, name in zip(classes, given, strict=True) if name == twice[0]))
    return classes, (
        f"{counted(len(twice), 'name')} of several classes: {told}; each is followed by its "
        f"number, as in {example}",
    )


def _numbered(label: str, column: pa.Array) -> TableLabels:
    """Return labels that are numbers without names; negative ones are none."""
    numbers, indices = _numbers_in(column)
    order = sorted({n for n in numbers if n is not None and n >= 0})
    names = sorted(map(str, order))
    position = {name: at for at, name in enumerate(names)}
    at = [-1 if n is None else position.get(str(n), -1) for n in numbers]
    doubts: tuple[str, ...] = ()
    if order and order[-1] >= len(order):
        doubts = (
            f"column {quoted(label)} has numbers from {order[0]:,} to {order[-1]:,} for "
            f"{counted(len(order), 'class')}, which are numbered anew from 0, in their order; name "
            "a file of the classes with `labels.order` for another numbering",
        )
    return TableLabels(
        words=Words(numbers=np.array([*at, -1], np.int32)[indices.to_numpy()], names=tuple(names)),
        order=tuple(map(str, order)),
        told=f"labels from column {quoted(label)}, which are numbers",
        doubts=doubts,
    )
