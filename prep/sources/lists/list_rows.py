"""The rows of a list that a configuration wants, with their labels, splits and groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from prep.errors import SourceError
from prep.sources.base import Wanted
from prep.sources.labels import BETWEEN
from prep.sources.layouts.base import columns_given
from prep.sources.lists.list_table import ListTable
from prep.sources.lists.resolution import require_inside
from prep.sources.lists.roles import MINUS_ONES, Roles, find_roles, show_flags
from prep.sources.lists.row_labels import (
    are_flags,
    column_named,
    doubt_about_splits,
    labels_of_rows,
    order_of_columns,
    splits_of_rows,
)
from prep.sources.lists.words import Words, no_words, words_of
from prep.text import counted, quoted, some


@dataclass(frozen=True, kw_only=True)
class ListRows:
    """The rows of a list that are wanted.

    Attributes:
        numbers: of the rows, from 0.
        names: of the images, relative to their place.
        told: what the list was read as, in words.
        are_labelled: whether labels are from the list, and not from the names of images.
        columns: the columns by their role, as a configuration names them.
        label_column: the column of the labels, if there is one.
        order: the classes that the numbers of a label are of, if columns tell them.
        split_doubts: whether splits may be told otherwise, in words.
    """

    numbers: npt.NDArray[np.int64]
    names: pa.Array
    labels: Words
    splits: Words
    groups: Words | None
    told: str
    are_labelled: bool
    columns: Mapping[str, Any]
    label_column: str | None
    order: tuple[str, ...] | None
    split_doubts: tuple[str, ...]

    def of_splits(self, wanted: tuple[str, ...] | None, table: ListTable) -> ListRows:
        """Return the rows of some splits; of all, if None.

        Raises:
            SourceError: there is no such split.
        """
        if wanted is None:
            return self
        there = self.splits.names
        absent = [name for name in wanted if name not in there]
        if absent:
            raise SourceError(
                f"splits: no images of {some([*map(quoted, absent)])} in {quoted(table.name)}; "
                f"splits found: {some([*map(quoted, there)])}"
            )
        number = np.array([wanted.index(n) if n in wanted else -1 for n in there], np.int32)
        kept = np.flatnonzero(number[self.splits.numbers] >= 0)
        splits = Words(numbers=number[self.splits.numbers[kept]], names=wanted)
        return replace(
            self,
            numbers=self.numbers[kept],
            names=self.names.take(pa.array(kept)),
            labels=self.labels.take(kept),
            splits=splits,
            groups=None if self.groups is None else self.groups.take(kept),
        )


def rows_wanted(table: ListTable, wanted: Wanted, root: str) -> ListRows:
    """Return the rows that are wanted, with their labels, splits and groups."""
    from_columns = wanted.labels is None or wanted.labels.origin in (None, "column")
    roles = find_roles(table, columns_given(wanted), labels=from_columns)
    columns = _loaded(table, roles)
    if (
        from_columns
        and not roles.label
        and are_flags([columns[at] for at in roles.rest if at in columns])
    ):
        roles = replace(roles, label=roles.rest, rest=())
    column = columns[roles.image]
    if not len(column):
        raise table.error("has no rows; expected a row for each image")
    names = require_inside(table, column, root, absolute=wanted.images is not None)
    labels, told = no_words(len(names)), "labels from the names of images"
    if from_columns:
        labels, told = labels_of_rows(table, roles, columns, names, wanted)
    splits, told_split = splits_of_rows(table, roles, columns)
    groups = None if roles.group is None else words_of(columns[roles.group])
    parts = [f"images from {column_named(table, roles.image)}", told, told_split]
    if roles.group is not None:
        parts.append(f"groups from {column_named(table, roles.group)}")
    of_labels = ", ".join(table.columns[at] for at in roles.label) if from_columns else ""
    return ListRows(
        numbers=np.arange(len(names)),
        names=names,
        labels=labels,
        splits=splits,
        groups=groups,
        told=f"a list ({table.form}): {', '.join(parts)}",
        are_labelled=from_columns,
        columns=roles.as_columns(table),
        label_column=of_labels or None,
        order=order_of_columns(table, roles, wanted),
        split_doubts=doubt_about_splits(table, roles),
    ).of_splits(wanted.splits, table)


def _loaded(table: ListTable, roles: Roles) -> Mapping[int, pa.Array]:
    """Return the columns that are needed, by their positions; the list is parsed once."""
    others = [at for at in (roles.split, roles.group) if at is not None]
    may_be_flags = not roles.label and show_flags(table.sample, roles.rest, MINUS_ONES)
    flags = roles.rest if may_be_flags else ()
    needed = list(dict.fromkeys([roles.image, *roles.label, *others, *flags]))
    columns = dict(zip(needed, table.load(needed), strict=True))
    for at in {roles.image, *others}:
        several = pc.match_substring(columns[at], BETWEEN).to_numpy(zero_copy_only=False)
        if several.any():
            rows = np.flatnonzero(several)
            raise table.error(
                f"{column_named(table, at)} has several values in {counted(len(rows), 'row')}, "
                f"{table.named(rows.tolist())}; expected one text or number"
            )
    return columns
