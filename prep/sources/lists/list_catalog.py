"""From the table of a list to the catalog of its images."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from prep.errors import ConfigError, SourceError
from prep.sources.base import Catalog, Wanted
from prep.sources.columns import in_catalog
from prep.sources.folders.ignored import MISSING, Passed
from prep.sources.labelling.exclusion import without_excluded
from prep.sources.layouts.base import Place
from prep.sources.lists.image_files import ImageFiles, files_at
from prep.sources.lists.list_rows import ListRows, rows_wanted
from prep.sources.lists.list_table import ListTable
from prep.sources.lists.resolution import Resolved, hint_for, resolve
from prep.sources.lists.row_labels import doubts_about, require_all_labelled
from prep.sources.lists.words import Words
from prep.sources.naming import SourceName
from prep.storage.locate import absolute, open_alike
from prep.storage.urls import is_url
from prep.text import MANY, counted, quoted, some

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
    _require_apart(root, wanted.output)
    rows = rows_wanted(table, wanted, root)
    files = files_at(root)
    found = resolve(table, rows.names, files, wanted.extension)
    if wanted.target == "multi":
        rows = replace(rows, labels=_united(rows.labels, found.names))
    passed = Passed()
    images = _Images(table, rows, found, files, root, wanted, passed).rows_of_images()
    source = place.name if root == place.name else SourceName(given=place.name, roots=(root,))
    return Catalog(
        source=str(source),
        read_as=f"{rows.told}{''.join('; ' + told for told in found.told)}",
        splits=rows.splits.names,
        classes=rows.labels.names,
        images=images,
        ignored=passed.ignored(),
        order=rows.order,
        class_names={k: v for k, v in table.class_names.items() if k in rows.labels.names},
        as_keys={"columns": rows.columns} if rows.columns else {},
        label_column=rows.label_column,
        doubts=doubts_about(rows.labels, wanted.target),
        split_doubts=rows.split_doubts,
    )


def _united(labels: Words, names: pa.Array) -> Words:
    """Return the labels of rows of which those of one image have all of its labels.

    Args:
        names: of the images; null where one is not there.
    """
    encoded = names.dictionary_encode()
    if len(encoded.dictionary) == len(names) - names.null_count:
        return labels
    images = encoded.indices.fill_null(-1).to_numpy().astype(np.int64)
    return labels.united(np.where(images < 0, -1 - np.arange(len(images)), images))


def _require_apart(root: str, output: str) -> None:
    """Raise ConfigError if shards would be written among the images."""
    folders = [path if is_url(path) else os.path.realpath(path) for path in (root, output)]
    if absolute(folders[0]) == absolute(folders[1]):
        raise ConfigError(
            f"output: {quoted(output)} is also the folder of the images; choose another folder"
        )


@dataclass(frozen=True)
class _Images:
    """The images of a list that are there, each once.

    What the configuration excludes need not be right.

    Attributes:
        found: the files of the rows.
        root: the path or URL that they are relative to.
        passed: counts what is left out.
    """

    table: ListTable
    rows: ListRows
    found: Resolved
    files: ImageFiles
    root: str
    wanted: Wanted
    passed: Passed

    def rows_of_images(self) -> pa.Table:
        """Return the images as a catalog has them.

        Raises:
            SourceError: an image is not there, has no label or two, or is in two splits.
        """
        self._require_labels()
        valid = np.flatnonzero(self.found.names.is_valid().to_numpy(False))
        stamped = self.files.stamped(self.found.names.drop_null())
        at = valid[stamped.there]
        self._settle_missing(np.setdiff1d(np.arange(len(self.rows.names)), at, True))
        names = self.found.names.take(pa.array(at))
        kept = self._once(names, at)
        columns = {name: _taken(values, kept) for name, values in stamped.columns.items()}
        if self.rows.groups is not None:
            columns["group"] = self.rows.groups.take(at[kept]).as_column()
        images = pa.table(
            {
                "split": pa.array(self.rows.splits.numbers[at[kept]]),
                "class": pa.array(self.rows.labels.numbers[at[kept]]),
                "path": names.take(pa.array(kept)),
                **columns,
            }
        )
        return in_catalog(images)

    @cached_property
    def _excluded(self) -> npt.NDArray[np.bool_]:
        """For each row, True if the configuration excludes its image."""
        names = pc.coalesce(self.found.names, self.rows.names)
        if self.wanted.exclude is None:
            return np.zeros(len(names), bool)
        once = pa.table({"path": pc.unique(names)})
        catalog = Catalog(source="", splits=(), classes=(), images=once)
        kept = without_excluded(catalog, self.wanted.exclude).images["path"]
        there = pc.is_in(names, value_set=kept.combine_chunks())
        return ~np.asarray(there.to_numpy(False), bool)

    def _require_labels(self) -> None:
        rows = self.rows
        if rows.are_labelled and self.wanted.unlabelled != "keep":
            kept = np.flatnonzero(~self._excluded)
            labels, splits = rows.labels.take(kept), rows.splits.take(kept)
            target = self.wanted.target
            require_all_labelled(self.table, labels, splits, rows.numbers[kept], target)

    def _settle_missing(self, missing: _Rows) -> None:
        """Count images that are not there; raise SourceError unless they may be skipped."""
        missing = missing[~self._excluded[missing]]
        if not len(missing):
            return
        rows = self.rows
        names = rows.names.take(pa.array(missing)).to_pylist()
        all_ = len(missing) == len(rows.names)
        if self.wanted.on_missing == "skip" and not all_:
            self.passed.note(MISSING, min(names), len(missing))
            return
        told = self.table.named(
            rows.numbers[missing].tolist(), [os.fsdecode(name) for name in names]
        )
        remedy = (
            "give the folder of the images with `images`, or what the names lack with `extension`"
            if all_
            else "put them there, or pass `on_missing='skip'` to leave them out"
        )
        raise self.table.error(
            f"{len(missing):,} of {len(rows.names):,} listed images are not in "
            f"{quoted(self.root)}: {told}{hint_for(names[:20], self.files, self.root)}; {remedy}"
        )

    def _once(self, names: pa.Array, at: _Rows) -> _Rows:
        """Return the positions in ``names`` of the first row of each image.

        Args:
            at: the row of each name.

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
        settled = self._excluded[at[one]]
        for words, what in ((self.rows.labels, "two labels"), (self.rows.splits, "two splits")):
            unlike = (words.numbers[at[one]] != words.numbers[at[other]]) & ~settled
            if unlike.any():
                images = names.take(pa.array(one[unlike]))
                raise self._contradiction(images, words, what, at[one[unlike]], at[other[unlike]])
        self.passed.note("listed again", pc.min(names.take(pa.array(other))).as_py(), len(other))
        return np.setdiff1d(np.arange(len(names)), other, assume_unique=True)

    def _contradiction(
        self, images: pa.Array, words: Words, what: str, ones: _Rows, others: _Rows
    ) -> SourceError:
        """Return the error for images of which two rows say different things."""
        pairs = np.stack([ones, others], axis=1)[:MANY]
        places = iter(self.table.places(self.rows.numbers[pairs.reshape(-1)].tolist()))
        told = []
        for name, pair in zip(images.to_pylist(), pairs.tolist(), strict=False):
            each = " and ".join(f"{quoted(words.name(row))} in {next(places)}" for row in pair)
            told.append(f"{quoted(os.fsdecode(name))} ({each})")
        takes_all = words is self.rows.labels and self.wanted.target == "class"
        remedy = ", or pass `target='multi'` to take all its labels" if takes_all else ""
        return self.table.error(
            f"{counted(len(pc.unique(images)), 'image')} with {what}: "
            f"{some(told, most=MANY, total=len(ones))}; "
            f"keep one of the rows, or leave the image out with `exclude`{remedy}"
        )


def _taken(values: pa.Array | npt.NDArray[np.int64], rows: _Rows) -> pa.Array:
    return values.take(pa.array(rows)) if isinstance(values, pa.Array) else pa.array(values[rows])
