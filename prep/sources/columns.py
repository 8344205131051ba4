"""Columns of the images of a source: their types, and the tables that catalogs have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from prep.sources.base import HOWS

#: The types of the columns that each manifest has.
IMAGES = {
    "path": pa.large_binary(),
    "class": pa.int32(),
    "size": pa.int64(),
    "mtime": pa.int64(),
}
#: Those of the columns for where the bytes of an image are, if its name does not tell: a file, as
#: its source names it, where in it they begin (-1 if they are all of it), and how they lie there.
PLACES = {
    "file": pa.dictionary(pa.int32(), pa.binary()),
    "offset": pa.int64(),
    "how": pa.dictionary(pa.int32(), pa.binary()),
}
#: The type of the column for the groups of images, which a list may have; null is no group.
GROUP = pa.dictionary(pa.int32(), pa.binary())
#: The column for labels that are numbers, which classes do not tell; its type depends on how many.
TARGET = "target"
_TYPES = {"split": pa.int32(), **IMAGES, **PLACES, "group": GROUP}


def table_of(columns: Mapping[str, Sequence[Any] | pa.Array]) -> pa.Table:
    """Return the images of a catalog, by column; see :class:`prep.sources.base.Catalog`."""
    return pa.table({name: pa.array(values, _TYPES[name]) for name, values in columns.items()})


def in_catalog(images: pa.Table) -> pa.Table:
    """Return images with the types that a catalog has."""
    types = {**_TYPES, **({TARGET: images[TARGET].type} if TARGET in images.column_names else {})}
    return images.cast(pa.schema([(name, types[name]) for name in images.column_names]))


def target_type(width: int) -> pa.DataType:
    """Return the type of the column for labels of so many numbers, each a little-endian float32."""
    return pa.binary(4 * width)


def targets_of(numbers: npt.NDArray[np.float32]) -> pa.Array:
    """Return the column for labels that are numbers.

    Args:
        numbers: float32 of shape (images, numbers of a label).
    """
    data = pa.py_buffer(np.ascontiguousarray(numbers, "<f4"))
    return pa.Array.from_buffers(target_type(numbers.shape[1]), len(numbers), [None, data])


def numbers_of(targets: pa.ChunkedArray) -> npt.NDArray[np.float32]:
    """Return the labels that a column of targets holds: float32 of shape (images, numbers)."""
    width = targets.type.byte_width // 4
    column = pa.concat_arrays(targets.chunks) if targets.num_chunks else pa.array([], targets.type)
    data = np.frombuffer(column.buffers()[1] or b"", "<f4")
    first = column.offset * width
    return data[first : first + len(column) * width].reshape(len(column), width)


def columns_of(images: pa.Table) -> list[str]:
    """Return the columns that a manifest of these images has, in their order."""
    return [name for name in (*IMAGES, *PLACES, TARGET) if name in images.column_names]


def place_columns(
    files: pa.Array, offsets: npt.NDArray[np.int64], hows: npt.NDArray[np.integer[Any]]
) -> dict[str, pa.Array]:
    """Return the columns for where images are.

    Args:
        files: the file of each image, no two of which are equal; or the one file of all.
        offsets: where the bytes begin in it; -1 if they are all of it.
        hows: positions in ``HOWS``.
    """
    one = np.arange(len(offsets)) if len(files) == len(offsets) else np.zeros(len(offsets))
    return {
        "file": pa.DictionaryArray.from_arrays(one.astype(np.int32), files.cast(pa.binary())),
        "offset": pa.array(offsets, pa.int64()),
        "how": hows_of(hows),
    }


def places_of_files(files: pa.Array) -> dict[str, pa.Array]:
    """Return the columns for images that are files of their own, no two of which are equal."""
    return place_columns(files, np.full(len(files), -1), np.zeros(len(files), np.uint8))


def hows_of(positions: Sequence[int] | npt.NDArray[np.integer[Any]]) -> pa.DictionaryArray:
    """Return the column for how images lie in their files, from positions in ``HOWS``."""
    hows = pa.array([how.encode() for how in HOWS], pa.binary())
    return pa.DictionaryArray.from_arrays(np.asarray(positions, np.int32), hows)


def joined(
    before: bytes, names: pa.Array | pa.ChunkedArray, after: bytes = b""
) -> pa.Array | pa.ChunkedArray:
    """Return names, which are bytes, with other bytes before and after each."""
    parts = pa.scalar(before, names.type), names, pa.scalar(after, names.type)
    return pc.binary_join_element_wise(*parts, pa.scalar(b"", names.type))


def with_numbers(
    images: pa.Table, column: str, numbers: Sequence[int] | npt.NDArray[np.int32]
) -> pa.Table:
    """Return images with other numbers of their classes or splits."""
    at = images.column_names.index(column)
    return images.set_column(at, column, pa.array(numbers, pa.int32()))


def numbers_in(values: pa.ChunkedArray) -> npt.NDArray[np.int32]:
    """Return a number for each value, the same for equal values."""
    encoded = (
        values.unify_dictionaries()
        if pa.types.is_dictionary(values.type)
        else values.dictionary_encode()
    )
    return np.concatenate([np.array([], np.int32), *(c.indices.to_numpy() for c in encoded.chunks)])
