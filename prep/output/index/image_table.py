r"""``images.parquet``: each image of an output, what became of it, and where its record is.

Its columns are ``split``, ``shard`` (the name of the file), ``row`` (the number of the record in
its split, from 0), ``offset`` and ``size`` (of the record in its shard, with its framing and before
any compression, in bytes), ``label`` (as in the record, but of a one-hot list the position of its
one), ``class``, ``name`` (relative to the source), ``width`` and ``height`` (of the source image,
upright, in pixels) and ``outcome``. An image that was refused has no shard, row, offset, size,
width or height. Sizes of images are null, too, where an earlier version wrote the record.

Backslashes, and bytes that are no UTF-8, stand as ``\xNN`` in text, as in the lists beside the
report (see :func:`prep.output.report.listings.decode_cell`). The rows of a split are row groups of
their own. The schema's metadata has, under ``prep``, the plan's fingerprint and the size and number
of records of each shard, by which a reader knows whether the file is that of the shards.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from prep.output.index.measures import DIGITS
from prep.output.index.written_rows import OUTCOMES, SplitRows, rows_of_split
from prep.output.receipt import ShardReceipt
from prep.planning.plan import RunPlan
from prep.settings.choices import Target
from prep.sources.columns import TARGET, numbers_of
from prep.sources.labels import NO_LABEL
from prep.sources.tables.formats.parquet_footer import column_parts_in, end_of

#: Images that are read together.
ROW_GROUP = 1 << 16
#: The key of our part of the schema's metadata.
METADATA = b"prep"
_TEXTS = ("split", "shard", "class", "outcome")  # Of few values each.
_LABELS: Mapping[Target, pa.DataType] = {
    "class": pa.int64(),
    "multi": pa.list_(pa.int64()),
    "value": pa.float32(),
    "soft": pa.list_(pa.float32()),
}


def table_schema(target: Target) -> pa.Schema:
    """Return the columns of the table for labels of a kind."""
    return pa.schema(
        {
            "split": pa.string(),
            "shard": pa.string(),
            "row": pa.int64(),
            "offset": pa.int64(),
            "size": pa.int64(),
            "label": _LABELS[target],
            "class": pa.string(),
            "name": pa.string(),
            "width": pa.int32(),
            "height": pa.int32(),
            "outcome": pa.string(),
        }
    )


def plain_text(name: bytes) -> str:
    r"""Return a name as text that keeps its bytes.

    >>> print(plain_text(b"caf\xe9\\1.jpg"))
    caf\xe9\x5c1.jpg
    """
    return name.replace(b"\\", rb"\x5c").decode(errors="backslashreplace")


def text_bytes(text: str) -> bytes:
    """Return the bytes of a name, or the nearest to them if no file can have it."""
    try:
        return os.fsencode(text)
    except UnicodeEncodeError:
        return text.encode(errors="surrogatepass")


def image_table(plan: RunPlan, receipts: Sequence[ShardReceipt]) -> bytes:
    """Return the contents of ``images.parquet``.

    Args:
        plan: with its manifest.
        receipts: of all shards, in the order of the plan, each with its measures.
    """
    about = {"fingerprint": plan.fingerprint.digest, "splits": _shards_by_split(plan, receipts)}
    schema = table_schema(plan.label_form.target).with_metadata({METADATA: json.dumps(about)})
    file = io.BytesIO()
    dictionaries: Any = list(_TEXTS)
    with pq.ParquetWriter(
        file, schema, compression="zstd", use_dictionary=dictionaries, write_page_checksum=True
    ) as writer:
        for split in plan.splits:
            of_split = [receipt for receipt in receipts if receipt.split == split]
            rows = rows_of_split(plan, split, of_split)
            for table in _tables(plan, split, rows, schema):
                writer.write_table(table, row_group_size=ROW_GROUP)
    return file.getvalue()


def is_same_table(one: bytes, other: bytes) -> bool:
    """Return whether a file that others may have written has the same images as one of ours.

    The same table takes other bytes where another version of pyarrow has written it.

    Args:
        one: the file, of a size like that of ours.
        other: ours.
    """
    try:
        parts = [column_parts_in(end_of(io.BytesIO(data), len(data))) for data in (one, other)]
        if parts[0] != parts[1]:
            return False
        found, expected = (pq.ParquetFile(io.BytesIO(data)) for data in (one, other))
        if found.metadata.created_by == expected.metadata.created_by:
            return False
        same: bool = found.read().equals(expected.read(), check_metadata=True)
    except (OSError, ValueError, pa.ArrowException):
        return False
    return same


def _shards_by_split(plan: RunPlan, receipts: Sequence[ShardReceipt]) -> dict[str, Any]:
    return {
        split: {
            "bytes": [receipt.bytes for receipt in receipts if receipt.split == split],
            "records": [
                len(receipt.measures) // DIGITS for receipt in receipts if receipt.split == split
            ],
        }
        for split in plan.splits
    }


def _tables(plan: RunPlan, split: str, rows: SplitRows, schema: pa.Schema) -> Iterator[pa.Table]:
    """Yield the rows of a split, as many at a time as a row group has."""
    files = as_texts([shard.name for shard in plan.shards if shard.split == split])
    classes = as_texts(plan.classes)
    records = np.cumsum(rows.written) - 1  # (images,): the record of each image that has one
    for start in range(0, len(rows.outcomes), ROW_GROUP):
        part = slice(start, start + ROW_GROUP)
        written, outcomes = rows.written[part], rows.outcomes[part]
        found = np.where(written, records[part], 0)
        images = plan.manifest.slice(rows.first + start, len(outcomes))
        numbers = images["class"].to_numpy()
        columns = {
            "split": pa.repeat(as_texts([split])[0], len(outcomes)),
            "shard": files.take(pa.array(rows.shards[part], mask=~written)),
            "row": pa.array(found, mask=~written),
            "offset": _of_records(rows.offsets, found, written),
            "size": _of_records(rows.measures.lengths, found, written),
            "label": _labels(plan, images),
            "class": classes.take(pa.array(numbers)),
            "name": _names(images["path"]),
            "width": _of_records(rows.measures.widths, found, written, unknown=0),
            "height": _of_records(rows.measures.heights, found, written, unknown=0),
            "outcome": pa.array(OUTCOMES).take(pa.array(outcomes)),
        }
        yield pa.table(columns).cast(schema)


def _labels(plan: RunPlan, images: pa.Table) -> pa.Array:
    """Return the labels of images: the numbers in their records, or of one-hot lists one number."""
    if plan.label_form.is_floating:
        values = numbers_of(images[TARGET])
        if plan.label_form.target == "value":
            return pa.array(values[:, 0])
        ends = np.arange(len(values) + 1, dtype=np.int32) * values.shape[1]
        return pa.ListArray.from_arrays(ends, values.ravel())
    of_classes = [
        plan.labels.feature(name)
        if plan.label_form.target == "multi"
        else plan.labels.numbers.get(name, NO_LABEL)
        for name in plan.classes
    ]
    by_class = pa.array(of_classes, _LABELS[plan.label_form.target])
    return by_class.take(pa.array(images["class"].to_numpy()))


def _of_records(
    values: npt.NDArray[np.int64],
    records: npt.NDArray[np.int64],
    written: npt.NDArray[np.bool_],
    unknown: int | None = None,
) -> pa.Array:
    """Return the values of some records, null for images that have none."""
    if not len(values):
        return pa.nulls(len(records), pa.int64())
    chosen = values[records]
    absent = ~written if unknown is None else ~written | (chosen == unknown)
    return pa.array(chosen, mask=absent)


def as_texts(names: Sequence[str]) -> pa.Array:
    """Return names of splits, shards or classes as the table has them."""
    return pa.array([plain_text(text_bytes(name)) for name in names], pa.string())


def _names(paths: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return names as text; most are that already."""
    try:
        texts = paths.cast(pa.large_string())
        if not pc.any(pc.match_substring(texts, "\\"), min_count=0).as_py():
            return texts
    except pa.ArrowInvalid:
        pass
    return pa.chunked_array([pa.array(map(plain_text, paths.to_pylist()), pa.large_string())])
