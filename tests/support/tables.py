"""Tables that hold images in their rows, as Hugging Face's ``datasets`` writes them."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def table_of(
    images: Iterable[tuple[str, bytes | None]],
    labels: Iterable[Any],
    names: Sequence[str] | None = None,
    *,
    column: str = "label",
    **columns: Any,
) -> pa.Table:
    """Return a table of images, as their names and bytes, and labels.

    Args:
        names: of the classes, which labels number.
        column: the name of the column of labels.
        columns: more columns, by their names.
    """
    rows = [{"bytes": data, "path": name} for name, data in images]
    table = pa.table({"image": pa.array(rows, IMAGE), column: pa.array(labels), **columns})
    if names is None:
        return table
    label = {"names": list(names), "_type": "ClassLabel"}
    info = {"info": {"features": {"image": {"_type": "Image"}, column: label}}}
    return table.replace_schema_metadata({"huggingface": json.dumps(info)})


def parquet(table: pa.Table, rows: int = 4, **options: Any) -> bytes:
    """Return a Parquet file with row groups of so many rows."""
    file = io.BytesIO()
    pq.write_table(table, file, row_group_size=rows, **options)
    return file.getvalue()


def arrow(
    table: pa.Table, rows: int = 4, *, stream: bool = True, compression: str | None = None
) -> bytes:
    """Return a stream in Arrow's format, or a file, with batches of so many rows."""
    file = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    opened = pa.ipc.new_stream if stream else pa.ipc.new_file
    with opened(file, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=rows)
    return file.getvalue()


def tables_of_folders(
    images: Iterable[tuple[str, bytes]],
) -> Mapping[str, pa.Table]:
    """Return a table for each split of images in ``split/class/name``, by the split."""
    found: dict[str, list[tuple[str, str, bytes]]] = {}
    names = set()
    for name, data in images:
        split, class_name, _ = name.split("/")
        names.add(class_name)
        found.setdefault(split, []).append((class_name, name, data))
    classes = sorted(names)
    return {
        split: table_of(
            [(name, data) for _, name, data in rows],
            [classes.index(class_name) for class_name, _, _ in rows],
            classes,
        )
        for split, rows in found.items()
    }


def write_files(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Write files below a folder, which is returned."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder
