"""A list of images as a table of text, whatever its format."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from prep.errors import SourceError
from prep.text import MANY, quoted, some

if TYPE_CHECKING:
    import pyarrow as pa

#: Rows that are looked at to tell a format and the roles of columns.
SAMPLED = 200


@dataclass(frozen=True, kw_only=True)
class ListTable:
    """The rows of a list, as text.

    Attributes:
        name: the path or URL of the list.
        form: its format, in words: ``CSV``.
        columns: the names of its columns; ``1``, ``2`` and so on, if they have none.
        headed: whether the columns have names.
        sample: the first rows.
        load: returns columns by their positions, as arrays of text; an absent value is empty.
        places: returns where rows are, in words (``line 7``), by their numbers from 0.
        class_names: names for people, by label, if the list has them.
        fixed: the columns that hold images and labels, where the format says so.
        unusable: columns that hold neither text nor numbers.
    """

    name: str
    form: str
    columns: tuple[str, ...]
    headed: bool = True
    sample: Sequence[Sequence[str]] = field(repr=False)
    load: Callable[[Sequence[int]], Sequence[pa.Array]] = field(repr=False)
    places: Callable[[Sequence[int]], Sequence[str]] = field(repr=False)
    class_names: dict[str, str] = field(default_factory=dict, repr=False)
    fixed: dict[str, str] = field(default_factory=dict)
    unusable: tuple[str, ...] = ()

    def error(self, what: str) -> SourceError:
        """Return an error about the list."""
        return SourceError(f"source: {quoted(self.name)}: {what}")

    def named(self, rows: Sequence[int], values: Sequence[str] | None = None) -> str:
        """Return the places of the first rows, in words, each after its value.

        Args:
            rows: their numbers, from 0.
            values: what is wrong there, for each row.
        """
        told = list(self.places(rows[:MANY]))
        if values is not None:
            pairs = zip(values, told, strict=False)
            told = [f"{quoted(value)} ({place})" for value, place in pairs]
        return some(told, most=MANY, total=len(rows))


def in_one(
    tables: Sequence[ListTable], folders: Sequence[str], name: str, given: Mapping[str, Any]
) -> ListTable:
    """Return one table of lists that are each in the folder of a split, of the images there.

    Args:
        folders: of the lists, in their order; also the names of the splits.
        name: the path or URL of the folder that these are in.
        given: the columns that a configuration names, by their roles.
    """
    rows: list[tuple[str, str, str]] = []
    places: list[tuple[ListTable, int]] = []
    for table, folder in zip(tables, folders, strict=True):
        images, labels = _images_and_labels(table, given)
        found = zip(images, labels, strict=True)
        rows += [(f"{folder}/{image}" if image else "", label, folder) for image, label in found]
        places += [(table, row) for row in range(len(images))]

    def describe(wanted: Sequence[int]) -> Sequence[str]:
        return [
            f"{table.places([row])[0]} of {quoted(os.path.relpath(table.name, name))}"
            for table, row in (places[row] for row in wanted)
        ]

    fixed = {"image": "image", "label": "label", "split": "split"}
    form = f"{tables[0].form} in each split"
    return rows_of_text(name, form, tuple(fixed), rows, describe, fixed=fixed)


def _images_and_labels(
    table: ListTable, given: Mapping[str, Any]
) -> tuple[Sequence[str], Sequence[str]]:
    """Return the images of a list and their labels, which may be in a column for each class.

    Raises:
        SourceError: it is not known where the labels are, or an image has several.
    """
    from prep.sources.lists.roles import find_roles
    from prep.sources.lists.row_labels import are_flags, labels_of_flags

    roles = find_roles(table, given, labels=True)
    images, *columns = table.load([roles.image, *(roles.label or roles.rest)])
    if not columns:
        return images.to_pylist(), [""] * len(images)
    if len(roles.label) == 1:
        return images.to_pylist(), columns[0].to_pylist()
    if not roles.label and not are_flags(columns):
        raise table.error("no column is known to hold the labels; name it with `columns.label`")
    flags = dict(zip(roles.label or roles.rest, columns, strict=True))
    found = labels_of_flags(table, flags)
    return images.to_pylist(), [found.name(row) for row in range(len(images))]


def rows_of_text(
    name: str,
    form: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    places: Callable[[Sequence[int]], Sequence[str]],
    *,
    headed: bool = True,
    class_names: dict[str, str] | None = None,
    fixed: dict[str, str] | None = None,
) -> ListTable:
    """Return the table of rows that are in memory."""
    import pyarrow as pa

    def load(positions: Sequence[int]) -> Sequence[pa.Array]:
        return [pa.array([row[at] for row in rows], pa.string()) for at in positions]

    return ListTable(
        name=name,
        form=form,
        columns=tuple(columns),
        headed=headed,
        sample=rows[:SAMPLED],
        load=load,
        places=places,
        class_names=class_names or {},
        fixed=fixed or {},
    )
