"""From the table of a list to the catalog of its images."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from prep.errors import SourceError
from prep.settings import DEFAULT_SPLIT
from prep.sources.base import Catalog, Wanted
from prep.sources.folders.ignored import Passed
from prep.sources.folders.names import is_container, is_plainly_a_split
from prep.sources.layouts.base import Place
from prep.sources.lists.image_files import ImageFiles, files_at
from prep.sources.lists.list_table import ListTable
from prep.sources.lists.resolution import Resolved, hint_for, require_inside, resolve
from prep.sources.lists.roles import Roles, find_roles
from prep.sources.lists.row_labels import (
    Words,
    are_flags,
    doubts_about,
    labels_of_flags,
    no_words,
    require_all_labelled,
    require_split,
    same_word,
    words_of,
)
from prep.sources.manifest import table_of
from prep.sources.naming import SourceName
from prep.storage.locate import open_alike
from prep.text import counted, quoted, some

_Rows = npt.NDArray[np.int64]


def catalog_of_list(place: Place, table: ListTable, folder: str, wanted: Wanted) -> Catalog:
    """Return the catalog of the images of a list, in its order.

    Args:
        place: the list, or the folder that it is in, as the source names it.
        table: the list.
        folder: what its paths are relative to, if the configuration does not say.

    Raises:
        ConfigError: a column that is wanted does not exist.
        SourceError: the list is malformed, contradicts itself, or names images that are not there.
        StorageUnavailable: the images are in a storage that does not answer.
    """
    root = wanted.images or folder
    open_alike(root, place.name)
    rows = _read(table, wanted, root)
    files = files_at(root)
    found = resolve(table, rows.names, files, wanted.extension)
    passed = Passed()
    images = _images(table, rows, found, files, root, wanted, passed)
    source = place.name if root == place.name else SourceName(given=place.name, roots=(root,))
    return Catalog(
        source=str(source),
        read_as=f"{rows.told}{''.join('; ' + told for told in found.told)}",
        splits=rows.splits.names,
        classes=rows.labels.names,
        images=images,
        ignored=passed.ignored(),
        class_names={k: v for k, v in table.class_names.items() if k in rows.labels.names},
        label_column=rows.label_column,
        doubts=doubts_about(rows.labels, rows.splits, rows.groups),
    )


@dataclass(frozen=True, kw_only=True)
class _Read:
    """The rows of a list that are wanted.

    Attributes:
        numbers: of the rows, from 0.
        names: of the images, relative to their place.
        told: what the list was read as, in words.
        label_column: the column of the labels, if there is one.
    """

    numbers: _Rows
    names: pa.Array
    labels: Words
    splits: Words
    groups: Words | None
    told: str
    label_column: str | None

    def of_splits(self, wanted: tuple[str, ...] | None, table: ListTable) -> _Read:
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


def _read(table: ListTable, wanted: Wanted, root: str) -> _Read:
    """Return the rows that are wanted, with their labels, splits and groups."""
    from_columns = wanted.labels is None or wanted.labels.origin in (None, "column")
    roles = find_roles(table, wanted.columns or {}, labels=from_columns)
    columns = _loaded(table, roles)
    column = columns[roles.image]
    if not len(column):
        raise table.error("has no rows; expected a row for each image")
    names = require_inside(table, column, root, absolute=wanted.images is not None)
    labels, told = no_words(len(names)), "labels from the names of images"
    if from_columns:
        labels, told = _labels(table, roles, columns, names, wanted)
    splits, told_split = _splits(table, roles, columns)
    groups = None if roles.group is None else words_of(columns[roles.group])
    parts = [f"images from {_column(table, roles.image)}", told, told_split]
    if roles.group is not None:
        parts.append(f"groups from {_column(table, roles.group)}")
    one = roles.label[0] if from_columns and len(roles.label) == 1 else None
    rows = _Read(
        numbers=np.arange(len(names)),
        names=names,
        labels=labels,
        splits=splits,
        groups=groups,
        told=f"a list ({table.form}): {', '.join(parts)}",
        label_column=None if one is None else table.columns[one],
    ).of_splits(wanted.splits, table)
    if from_columns and wanted.unlabelled != "keep":
        require_all_labelled(table, rows.labels, rows.splits, rows.numbers)
    return rows


def _loaded(table: ListTable, roles: Roles) -> Mapping[int, pa.Array]:
    """Return the columns that are needed, by their positions; the list is parsed once."""
    others = [at for at in (roles.split, roles.group) if at is not None]
    flags = roles.rest if not roles.label and len(roles.rest) > 1 else ()
    needed = list(dict.fromkeys([roles.image, *roles.label, *others, *flags]))
    return dict(zip(needed, table.load(needed), strict=True))


def _column(table: ListTable, at: int) -> str:
    return f"column {quoted(table.columns[at]) if table.headed else table.columns[at]}"


def _splits(table: ListTable, roles: Roles, columns: Mapping[int, pa.Array]) -> tuple[Words, str]:
    """Return the split of each row, and where it is from, in words."""
    if roles.split is not None:
        splits = words_of(columns[roles.split])
        require_split(table, splits)
        return splits, f"splits from {_column(table, roles.split)}"
    stem = os.path.basename(table.name).partition(".")[0]
    name = stem if is_plainly_a_split(stem) else DEFAULT_SPLIT
    return same_word(len(columns[roles.image]), name), f"all of split {quoted(name)}"


def _labels(
    table: ListTable,
    roles: Roles,
    columns: Mapping[int, pa.Array],
    names: pa.Array,
    wanted: Wanted,
) -> tuple[Words, str]:
    """Return the label of each row, and where it is from, in words.

    Raises:
        SourceError: none can be told.
    """
    if len(roles.label) == 1:
        at = roles.label[0]
        return words_of(columns[at]), f"labels from {_column(table, at)}"
    flags = roles.label
    if not flags and len(roles.rest) > 1 and are_flags([columns[at] for at in roles.rest]):
        flags = roles.rest
    if flags:
        told = some([quoted(table.columns[at]) for at in flags])
        return labels_of_flags(
            table, {at: columns[at] for at in flags}
        ), f"labels from the columns {told}"
    if not roles.rest:
        return _labels_of_folders(names)
    if wanted.unlabelled == "keep":
        return no_words(len(names)), "no labels"
    found = ", ".join(quoted(name) for name in table.columns)
    raise table.error(
        f"no column is known to hold the labels; columns found: {found}; name it with "
        "`columns`, such as {label: NAME}, or pass `labels` with from: leaf to take them from "
        "folders, or `unlabelled='keep'` if there are none"
    )


def _labels_of_folders(names: pa.Array) -> tuple[Words, str]:
    """Return the folder of each image as its label; no labels, if that would hardly be one."""
    folders = pc.replace_substring_regex(names, "/?[^/]*$", "")
    leaves = words_of(pc.replace_substring_regex(folders, "^.*/", "").cast(pa.string()))
    unlike = any(is_container(name) or is_plainly_a_split(name) for name in leaves.names)
    if (leaves.numbers < 0).any() or len(leaves.names) < 2 or unlike:
        return no_words(len(names)), "no labels"
    return leaves, "labels from the folders of images"


def _images(
    table: ListTable,
    rows: _Read,
    found: Resolved,
    files: ImageFiles,
    root: str,
    wanted: Wanted,
    passed: Passed,
) -> pa.Table:
    """Return the rows of images that are there, each once."""
    valid = np.flatnonzero(found.names.is_valid().to_numpy(False))
    stamped = files.stamped(found.names.drop_null())
    there = valid[stamped.there]
    missing = np.setdiff1d(np.arange(len(rows.names)), there, assume_unique=True)
    if len(missing):
        _settle_missing(table, rows, missing, root, files, wanted, passed)
    names = found.names.take(pa.array(there))
    kept = _once(table, rows, names, there, passed)
    at = there[kept]
    take = pa.array(kept)
    columns = {name: _taken(values, kept) for name, values in stamped.columns.items()}
    images = pa.table(
        {
            "split": pa.array(rows.splits.numbers[at], pa.int32()),
            "class": pa.array(rows.labels.numbers[at], pa.int32()),
            "path": names.take(take),
            **columns,
        }
    )
    return images.cast(table_of(dict.fromkeys(images.column_names, ())).schema)


def _taken(values: pa.Array | npt.NDArray[np.int64], rows: _Rows) -> pa.Array:
    return values.take(pa.array(rows)) if isinstance(values, pa.Array) else pa.array(values[rows])


def _settle_missing(
    table: ListTable,
    rows: _Read,
    missing: _Rows,
    root: str,
    files: ImageFiles,
    wanted: Wanted,
    passed: Passed,
) -> None:
    """Count images that are not there; raise SourceError unless they may be skipped."""
    names = rows.names.take(pa.array(missing)).to_pylist()
    if wanted.on_missing == "skip" and len(missing) < len(rows.names):
        passed.note("listed, but not there", min(names), len(missing))
        return
    told = table.named(rows.numbers[missing].tolist(), [os.fsdecode(name) for name in names])
    all_ = len(missing) == len(rows.names)
    remedy = (
        "; give the folder of the images with `images`, or what the names lack with `extension`"
        if all_
        else "; put them there, or pass `on_missing='skip'` to leave them out"
    )
    raise table.error(
        f"{len(missing):,} of {len(rows.names):,} listed images are not in {quoted(root)}: {told}"
        f"{hint_for(names[:20], files)}{remedy}"
    )


def _once(table: ListTable, rows: _Read, names: pa.Array, at: _Rows, passed: Passed) -> _Rows:
    """Return the positions in ``names`` of the first row of each image.

    Raises:
        SourceError: an image has two labels, or is in two splits.
    """
    encoded = names.dictionary_encode()
    if len(encoded.dictionary) == len(names):
        return np.arange(len(names))
    image = encoded.indices.to_numpy()
    order = np.argsort(image, kind="stable")
    again = image[order][1:] == image[order][:-1]
    one, other = order[:-1][again], order[1:][again]
    for words, what in ((rows.labels, "with two labels"), (rows.splits, "in two splits")):
        unlike = words.numbers[at[one]] != words.numbers[at[other]]
        if unlike.any():
            raise _contradiction(table, rows, names, at, words, what, one[unlike], other[unlike])
    repeated = names.take(pa.array(other))
    passed.note("listed again", pc.min(repeated).as_py(), len(other))
    return np.setdiff1d(np.arange(len(names)), other, assume_unique=True)


def _contradiction(
    table: ListTable,
    rows: _Read,
    names: pa.Array,
    at: _Rows,
    words: Words,
    what: str,
    ones: _Rows,
    others: _Rows,
) -> SourceError:
    told = []
    pairs = [*zip(ones.tolist(), others.tolist(), strict=True)]
    wanted = [row for pair in pairs[:20] for row in pair]
    places = iter(table.places([int(rows.numbers[at[row]]) for row in wanted]))
    for pair in pairs[:20]:
        each = [f"{quoted(words.name(int(at[row])))} in {next(places)}" for row in pair]
        told.append(f"{quoted(os.fsdecode(names[pair[0]].as_py()))} ({' and '.join(each)})")
    more = f" and {len(pairs) - 20:,} more" if len(pairs) > 20 else ""
    images = counted(len(set(names.take(pa.array(ones)).to_pylist())), "image")
    return table.error(f"{images} {what}: {', '.join(told)}{more}; keep one of the rows")
