"""Labels of the rows of tables: numbers that a schema names, numbers alone, or text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from prep.sources.base import Wanted
from prep.sources.labels import BETWEEN
from prep.sources.layouts.number_names import NumberNames
from prep.sources.layouts.numbered_labels import Label, classes_of
from prep.sources.lists.list_table import ListTable
from prep.sources.lists.roles import Roles
from prep.sources.lists.row_labels import (
    doubts_about,
    labels_of_rows,
    order_of_columns,
    require_one_label,
)
from prep.sources.lists.words import Words, no_words, words_of
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


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberedColumns:
    """The columns of a table that hold whole numbers.

    Attributes:
        columns: their names.
        names: of the classes, in the order of their numbers, by the column that has these.
        beside: the names that a file beside the tables gives to numbers, if there is one.
    """

    columns: frozenset[str]
    names: Mapping[str, tuple[str, ...]]
    beside: NumberNames | None


def has_label_columns(wanted: Wanted) -> bool:
    """Return whether labels are to be taken from columns, and not from the names of images."""
    return wanted.labels is None or wanted.labels.origin in (None, "column")


def labels_of_table(
    table: ListTable,
    roles: Roles,
    columns: Mapping[int, pa.Array],
    numbered: NumberedColumns,
    wanted: Wanted,
    name_of: Callable[[int], str],
) -> TableLabels:
    """Return the labels of all rows.

    Args:
        table: the rows.
        roles: of its columns.
        columns: as text, by their positions.
        numbered: the columns of numbers.
        wanted: the configuration.
        name_of: returns the name of the image in a row.

    Raises:
        SourceError: no column is known to hold labels, or a number has no name.
    """
    if not has_label_columns(wanted):
        words = no_words(len(columns[roles.image]))
        return TableLabels(words=words, order=None, told="labels from the names of images")
    label = table.columns[roles.label[0]] if len(roles.label) == 1 else None
    if label is None or label not in numbered.columns:
        unnamed = pa.array([""] * len(columns[roles.image]), pa.string())
        words, told = labels_of_rows(table, roles, columns, unnamed, wanted)
        return TableLabels(
            words=words,
            order=order_of_columns(table, roles, wanted),
            told=told,
            doubts=doubts_about(words, wanted.target),
        )
    known = numbered.beside
    doubts: tuple[str, ...] = ()
    told = f"labels from column {quoted(label)}"
    if label in numbered.names:
        classes, doubts = _distinct(numbered.names[label])
        known = NumberNames(names=dict(enumerate(classes)), file="the schema")
    if known is not None:
        told = f"{told}, named by {known.file}"
    texts = columns[roles.label[0]]
    require_one_label(table, words_of(texts), wanted)
    numbers = [_numbers_in(text) for text in texts.to_pylist()]
    found = classes_of(numbers, known, wanted.label_offset, name_of, wanted.target)
    return TableLabels(
        words=Words(numbers=found.numbers, names=found.names),
        order=found.order,
        told=told,
        doubts=(*doubts, *found.doubts),
    )


def _numbers_in(text: str) -> Label:
    """Return the number in a text, or all of several; None of an empty one."""
    found = tuple(int(each) for each in text.split(BETWEEN) if each)
    return found[0] if len(found) == 1 else found or None


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
