"""Images that a source has twice: with two labels, in two splits, or once too often."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from prep.errors import SourceError
from prep.sources.base import Catalog
from prep.sources.columns import numbers_in
from prep.sources.labelling.rows import without_rows
from prep.text import MANY, counted, quoted, some

_OFFSET_BITS = 40  # of which most offsets have fewer; others may look alike, and are compared


def without_repeats(catalog: Catalog) -> Catalog:
    """Return a catalog that has each image once.

    Two rows are of one image if they have the same name, or the same whole file. The names of
    members of an archive are only compared if these lie in one place: an archive has each once.

    Raises:
        SourceError: an image has two labels, or is in two splits; the first 20 are named.
    """
    if "file" not in catalog.images.column_names:
        return _once(catalog, "path")
    catalog = _once(catalog, "path", np.flatnonzero(_may_repeat(catalog.images)))
    return _once(catalog, "file", np.flatnonzero(catalog.images["offset"].to_numpy() == -1))


def _may_repeat(images: pa.Table) -> npt.NDArray[np.bool_]:
    """Return which rows are whole files, or lie where another one does as well."""
    offsets = images["offset"].to_numpy()
    places = offsets + (numbers_in(images["file"]).astype(np.int64) << _OFFSET_BITS)
    ordered = np.sort(places)
    repeated = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    found: npt.NDArray[np.bool_] = offsets == -1
    return found | np.isin(places, repeated) if len(repeated) else found


def _once(catalog: Catalog, key: str, among: npt.NDArray[np.int64] | None = None) -> Catalog:
    """Return a catalog with the first alone of the rows that have the same value.

    Args:
        key: the column of the values.
        among: the rows that count; all, if None.
    """
    if among is not None and not len(among):
        return catalog
    values = catalog.images[key]
    numbers = numbers_in(values if among is None else values.take(pa.array(among)))
    counts = np.bincount(numbers)
    if not len(counts) or counts.max() <= 1:
        return catalog
    rows = np.flatnonzero(counts[numbers] > 1)
    rows = rows if among is None else among[rows]
    images = catalog.images.take(pa.array(rows)).to_pylist()
    found: dict[bytes, list[tuple[int, Mapping[str, Any]]]] = {}
    for row, image in zip(rows.tolist(), images, strict=True):
        found.setdefault(image[key], []).append((row, image))
    for column, what, names in (
        ("class", "with two labels", catalog.classes),
        ("split", "in two splits", catalog.splits),
    ):
        unlike = {
            each[0][1]["path"]: sorted({image[column] for _, image in each})
            for each in found.values()
            if len({image[column] for _, image in each}) > 1
        }
        if unlike:
            raise SourceError(_describe(unlike, what, names))
    repeated = np.zeros(len(catalog.images), bool)
    for each in found.values():
        repeated[[row for row, _ in each[1:]]] = True
    return without_rows(catalog, repeated, "image that the source has already")


def _describe(unlike: Mapping[bytes, list[int]], what: str, names: tuple[str, ...]) -> str:
    said = [
        f"{quoted(os.fsdecode(path))} ("
        + ", ".join(quoted(names[n]) if n >= 0 else "none" for n in numbers)
        + ")"
        for path, numbers in sorted(unlike.items())
    ]
    return (
        f"source: {counted(len(said), 'image')} {what}: {some(said, most=MANY)}; "
        "correct the source, or leave images out with `exclude`"
    )
