"""Labels, splits and groups of the rows of a list, as numbers."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import NoReturn

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from prep.settings.choices import DEFAULT_SPLIT, Target
from prep.sources.base import Wanted
from prep.sources.folders.names import is_container, is_plainly_a_split, role_of
from prep.sources.labels import BETWEEN, how_to_keep
from prep.sources.lists.list_table import ListTable
from prep.sources.lists.roles import MINUS_ONES, Roles
from prep.sources.lists.words import Words, no_words, same_word, words_of
from prep.text import MANY, counted, quoted, some

_ZEROS = pa.array(["0", "0.0", "0.00", "false", "False", "FALSE"])
_ONES = pa.array(["1", "1.0", "1.00", "true", "True", "TRUE"])
_MINUS_ONES = pa.array([*MINUS_ONES])
_SEVERAL = re.compile(r"[^|;,]+([|;,] ?[^|;,\s][^|;,]*)+")
# Columns that tell a part of a set by a word or a number: ``is_valid``, ``fold``.
_OF_SPLITS = re.compile(
    r"(is[_ -]?|in[_ -]?)(train(ing)?|val(id(ation)?)?|test(ing)?)|k?[_ -]?folds?([_ -]?id)?",
    re.IGNORECASE,
)
# What programs write for a value that is absent; "none" may well be a class.
_ABSENT = frozenset(["nan", "null", "n/a", "#n/a", "<na>"])
# Labels of which it is remarkable that no two are alike.
_MANY = 20


def column_named(table: ListTable, at: int) -> str:
    """Return a column in words: by its name, or by its number if it has none."""
    return f"column {quoted(table.columns[at]) if table.headed else table.columns[at]}"


def splits_of_rows(
    table: ListTable, roles: Roles, columns: Mapping[int, pa.Array]
) -> tuple[Words, str]:
    """Return the split of each row, and where it is from, in words."""
    if roles.split is not None:
        splits = words_of(columns[roles.split])
        require_split(table, splits)
        return splits, f"splits from {column_named(table, roles.split)}"
    stem = os.path.basename(table.name).partition(".")[0]
    named = is_plainly_a_split(stem)
    told = f"split {quoted(stem)} from its name" if named else "no column of splits"
    return same_word(len(columns[roles.image]), stem if named else DEFAULT_SPLIT), told


def labels_of_rows(
    table: ListTable,
    roles: Roles,
    columns: Mapping[int, pa.Array],
    names: pa.Array,
    wanted: Wanted,
) -> tuple[Words, str]:
    """Return the label of each row, and where it is from, in words.

    Of several values in a row, there is ``BETWEEN`` between them.

    Raises:
        SourceError: none can be told, or a row has several, and the target is one class.
    """
    if len(roles.label) == 1:
        at = roles.label[0]
        labels, told = words_of(columns[at]), f"labels from {column_named(table, at)}"
        separator = None if wanted.labels is None else wanted.labels.separator
        if separator is not None:
            told += f", several of a row with {quoted(separator)} between them"
        elif wanted.target == "multi":
            labels, sign = labels.with_marks()
            told += f", several of a row with {quoted(sign)} between them" if sign else ""
        require_one_label(table, labels, wanted)
        return labels, told
    if roles.label:
        of_classes = {at: columns[at] for at in roles.label}
        told = some([quoted(table.columns[at]) for at in roles.label])
        if wanted.target == "soft":
            return _joined_columns(columns, roles.label), f"labels from the columns {told}"
        labels = labels_of_flags(table, of_classes)
        require_one_label(table, labels, wanted)
        return labels, f"labels from the columns {told}"
    if not roles.rest:
        return _labels_of_folders(names)
    if wanted.unlabelled == "keep":
        return no_words(len(names)), "no labels"
    found = ", ".join(quoted(name) for name in table.columns)
    raise table.error(
        f"no column is known to hold the labels; columns found: {found}; name it with "
        "`columns.label`, or pass `labels.from='leaf'` to take them from folders, or "
        "`unlabelled='keep'` if there are none"
    )


def _labels_of_folders(names: pa.Array) -> tuple[Words, str]:
    """Return the folder of each image as its label; no labels, if that would hardly be one."""
    folders = pc.replace_substring_regex(names, "/?[^/]*$", "")
    leaves = words_of(pc.replace_substring_regex(folders, "^.*/", "").cast(pa.string()))
    unlike = any(is_container(name) or is_plainly_a_split(name) for name in leaves.names)
    if (leaves.numbers < 0).any() or len(leaves.names) < 2 or unlike:
        return no_words(len(names)), "no labels"
    return leaves, "labels from the folders of images"


def are_flags(columns: Sequence[pa.Array]) -> bool:
    """Return whether columns, more than one, hold nothing but ones and zeros, or minus ones."""
    trimmed = [pc.utf8_trim_whitespace(column) for column in columns]
    zeros = _zeros_of(trimmed)
    return len(columns) > 1 and all(
        pc.all(pc.or_(pc.is_in(c, zeros), pc.is_in(c, _ONES)), min_count=0).as_py() for c in trimmed
    )


def _zeros_of(columns: Sequence[pa.Array]) -> pa.Array:
    """Return what stands for a zero in columns of flags: minus one, if nothing else than one does.

    Beside zeros and empty values, minus one says something else: that it is not certain, say.
    """
    signed = pa.concat_arrays([_MINUS_ONES, _ONES])
    return _MINUS_ONES if all(pc.all(pc.is_in(c, signed)).as_py() for c in columns) else _ZEROS


def order_of_columns(table: ListTable, roles: Roles, wanted: Wanted) -> tuple[str, ...] | None:
    """Return the classes of columns that each hold a number for one class; None of any others."""
    if wanted.target != "soft" or len(roles.label) < 2:
        return None
    return tuple(table.columns[at] for at in roles.label)


def _joined_columns(columns: Mapping[int, pa.Array], positions: Sequence[int]) -> Words:
    """Return the values of several columns as one for each row; none where all are empty."""
    parts = [pc.utf8_trim_whitespace(columns[at]) for at in positions]
    joined = pc.binary_join_element_wise(*parts, BETWEEN)
    empty = BETWEEN * (len(parts) - 1)
    return words_of(pc.if_else(pc.equal(joined, empty), "", joined))


def labels_of_flags(table: ListTable, flags: Mapping[int, pa.Array]) -> Words:
    """Return the labels that are given by a column of ones and zeros (or minus ones) a class.

    Where a row has several ones, the names of their columns have ``BETWEEN`` between them.

    Args:
        flags: the columns, by their positions.

    Raises:
        SourceError: there is another value.
    """
    order = sorted(flags, key=lambda at: table.columns[at].encode())
    names = [table.columns[at] for at in order]
    rows = len(flags[order[0]])
    numbers, ones = np.full(rows, -1, np.int32), np.zeros((len(order), rows), bool)
    columns = [pc.utf8_trim_whitespace(flags[at]) for at in order]
    zeros = _zeros_of(columns)
    for number, column in enumerate(columns):
        one = pc.is_in(column, _ONES)
        known = pc.or_(one, pc.or_(pc.is_in(column, zeros), pc.equal(column, "")))
        if not pc.all(known, min_count=0).as_py():
            _refuse_flags(table, names[number], column, known)
        ones[number] = one.to_numpy(zero_copy_only=False)
        numbers[ones[number]] = number
    several = np.flatnonzero(ones.sum(axis=0) > 1)
    if not len(several):
        return Words(numbers=numbers, names=tuple(names))
    distinct, at = np.unique(ones[:, several], axis=1, return_inverse=True)
    numbers[several] = len(names) + at.reshape(-1)
    for which in distinct.T:
        names.append(BETWEEN.join(names[n] for n in np.flatnonzero(which).tolist()))
    return Words(numbers=numbers, names=tuple(names)).renamed(str)


def require_one_label(table: ListTable, labels: Words, wanted: Wanted) -> None:
    """Raise SourceError for rows with several values, unless the target has several."""
    several = [n for n, name in enumerate(labels.names) if BETWEEN in name]
    if wanted.target in ("multi", "soft") or not several:
        return
    rows = np.flatnonzero(np.isin(labels.numbers, several))
    values = [" and ".join(labels.name(row).split(BETWEEN)[:3]) for row in rows[:MANY].tolist()]
    raise table.error(
        f"{counted(len(rows), 'image')} with several labels, where one is expected: "
        f"{table.named(rows.tolist(), values)}; choose one for each, or pass `target='multi'` to "
        "keep them all (`target='soft'` if they are a number for each class)"
    )


def _refuse_flags(table: ListTable, name: str, column: pa.Array, known: pa.Array) -> NoReturn:
    wrong = np.flatnonzero(~known.to_numpy(zero_copy_only=False))
    values = column.take(pa.array(wrong)).to_pylist()
    raise table.error(
        f"column {quoted(name)} has {counted(len(wrong), 'value')} other than 0 and 1, where a "
        f"column for each class is expected: {table.named(wrong.tolist(), values)}; name the "
        "columns of the classes, or the one of the labels, with `columns.label`"
    )


def require_all_labelled(
    table: ListTable,
    labels: Words,
    splits: Words,
    rows: npt.NDArray[np.int64],
    target: Target = "class",
) -> None:
    """Raise SourceError for an empty label in a split of which other images have one.

    A split without any label, such as a test set, is not labelled on purpose.

    Args:
        rows: the numbers of the rows in the list.
        target: what labels say, for what can be done.
    """
    count = len(splits.names)
    unlabelled = labels.numbers < 0
    some_labelled = np.zeros(count, bool)
    some_labelled[splits.numbers[~unlabelled]] = True
    wrong = np.flatnonzero(unlabelled & some_labelled[splits.numbers])
    if len(wrong):
        raise table.error(
            f"{counted(len(wrong), 'image')} with an empty label: "
            f"{table.named(rows[wrong].tolist())}; "
            f"fill it in, or leave such images out with `exclude`{how_to_keep(target)}"
        )


def require_split(table: ListTable, splits: Words) -> None:
    """Raise SourceError for rows without a split."""
    wrong = np.flatnonzero(splits.numbers < 0)
    if len(wrong):
        raise table.error(
            f"{counted(len(wrong), 'image')} with an empty split: {table.named(wrong.tolist())}; "
            "fill it in, or take the rows out"
        )


def doubt_about_splits(table: ListTable, roles: Roles) -> tuple[str, ...]:
    """Return why images may belong to other splits than all to one, if anything says so."""
    if roles.split is not None:
        return ()
    stem = os.path.basename(table.name).partition(".")[0]
    columns = [table.columns[at] for at in roles.rest if _OF_SPLITS.fullmatch(table.columns[at])]
    if columns:
        why = f"column {quoted(columns[0])} may tell the splits, and is not read: name it with"
        return (f"{why} `columns.split` if it does",)
    if role_of(stem) in ("validation", "test") and not is_plainly_a_split(stem):
        return (
            f"all images of {quoted(os.path.basename(table.name))} are taken for split "
            f"{quoted(DEFAULT_SPLIT)}, though it is named like another: give the list by its "
            f"split, as {{{role_of(stem)}: {os.path.basename(table.name)}}}",
        )
    return ()


def doubts_about(labels: Words, target: Target = "class") -> tuple[str, ...]:
    """Return what may be a mistake in the labels of a list."""
    if target != "class":
        return ()
    found = []
    several = [name for name in labels.names if _SEVERAL.fullmatch(name)]
    if several:
        found.append(
            f"{counted(len(several), 'label')} may be several in one, such as "
            f"{quoted(several[0])}; each is taken for a class of its own: pass `target='multi'` if "
            "images have several classes"
        )
    absent = [name for name in labels.names if name.lower() in _ABSENT]
    if absent:
        found.append(
            f"{counted(len(absent), 'label')} may mean that there is none, such as "
            f"{quoted(absent[0])}; each is taken for a class: leave it out with `labels.exclude`"
        )
    used = np.bincount(labels.numbers[labels.numbers >= 0], minlength=len(labels.names))
    if len(used) >= _MANY and used.max() == 1:
        found.append(
            "each image has a label of its own, so that the column of labels may be another one"
        )
    if len(labels.names) > 10 and all(re.fullmatch("0|[1-9][0-9]*", n) for n in labels.names):
        place = labels.names.index("10") if "10" in labels.names else None
        example = "" if place is None else f" (the label of '10' is {place})"
        found.append(
            f"labels are numbers, and classes are numbered by name as text{example}; name "
            "a file of the classes in their order with `labels.order` for another numbering"
        )
    return tuple(found)
