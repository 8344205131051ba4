r"""``images.parquet``: each image of an output, what became of it, and where its record is.

Its columns are ``split``, ``shard`` (the name of the file), ``row`` (the number of the record in
its split, from 0), ``offset`` and ``size`` (of the record in its shard, with its framing and before
any compression, in bytes), ``label`` (the number of the class; of other targets, a list of numbers
of classes, a value, or a list with a number for each class), ``class``, ``name`` (relative to the
source), ``width`` and ``height`` (of the source image, upright, in pixels) and ``outcome``. An
image that was refused has no shard, row, offset, size, width or height. Sizes of images are null,
too, where an earlier version wrote the record.

Backslashes, and bytes that are no UTF-8, stand as ``\xNN`` in text, as in the lists beside the
report (see :func:`prep.output.report.listings.decode_cell`). The rows of a split are row groups of
their own. The schema's metadata has, under ``prep``, the plan's fingerprint and the size and number
of records of each shard, by which a reader knows whether the file is that of the shards.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from prep.output.index.measures import DIGITS
from prep.output.index.written_rows import OUTCOMES, SplitRows, rows_of_split
from prep.output.receipt import ShardReceipt
from prep.parsing import parse_json
from prep.planning.plan import RunPlan
from prep.planning.shards import ShardSpec
from prep.sources.columns import TARGET, numbers_of
from prep.sources.labels import NO_LABEL
from prep.sources.tables.formats.parquet_footer import column_parts_in, end_of
from prep.storage.location import Location

#: Images that are read together.
ROW_GROUP = 1 << 16
#: The key of our part of the schema's metadata.
METADATA = b"prep"
_CODECS = frozenset((6,))  # The number of Zstandard in Parquet's format.
_LISTS = pa.list_(pa.int64())
_TEXTS = ("split", "shard", "class", "outcome")  # Of few values each.
_SCHEMA = pa.schema(
    {
        "split": pa.string(),
        "shard": pa.string(),
        "row": pa.int64(),
        "offset": pa.int64(),
        "size": pa.int64(),
        "label": pa.int64(),
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
    schema = _schema(plan).with_metadata({METADATA: json.dumps(about)})
    file = io.BytesIO()
    dictionaries: Any = list(_TEXTS)
    with pq.ParquetWriter(
        file, schema, compression="zstd", use_dictionary=dictionaries, write_statistics=True
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


class SplitRecords(NamedTuple):
    """The records of a split.

    Attributes:
        written: bool (images,), which images of the split have a record.
        shards: int32 (records,), indexes of shards.
        lengths: int64 (records,), bytes of each record with its framing.
        classes: int32 (records,), numbers of classes in the plan.
    """

    written: npt.NDArray[np.bool_]
    shards: npt.NDArray[np.int32]
    lengths: npt.NDArray[np.int64]
    classes: npt.NDArray[np.int32]


def read_split(
    path: Location, plan: RunPlan, shards: Sequence[ShardSpec], sizes: Sequence[int]
) -> SplitRecords | None:
    """Read the records of a split from ``images.parquet``, unless it is of other shards.

    Args:
        path: the file, which others may have written.
        plan: of the output.
        shards: all of the split.
        sizes: bytes of their files, as they are.

    Returns:
        None if there is no such file, or it is not of these shards.

    Raises:
        StorageUnavailable: a storage does not answer.
    """
    try:
        with path.open_regular() as file:
            return _Stored(file, plan).records(shards, sizes)
    except OSError as error:
        path.require_answer(error)
    except (ValueError, LookupError, TypeError, pa.ArrowException):
        pass
    return None


class _Stored:
    """An ``images.parquet`` that others may have written.

    Raises:
        ValueError, LookupError, TypeError, ArrowException: it is none, or of another plan.
    """

    def __init__(self, file: BinaryIO, plan: RunPlan) -> None:
        size = file.seek(0, os.SEEK_END)
        end = end_of(file, size)
        metadata = pq.read_metadata(pa.BufferReader(end))
        self._plan = plan
        self._groups = [
            (split, min(images - start, ROW_GROUP))
            for split, images in plan.splits.items()
            for start in range(0, images, ROW_GROUP)
        ]
        parts = column_parts_in(end)
        found = [{part.values for part in of_group} for of_group in parts]
        if found != [{rows} for _, rows in self._groups]:
            raise ValueError("another number of images")
        if not {part.codec for of_group in parts for part in of_group} <= _CODECS:
            raise ValueError("another compression")
        file.seek(0)
        self._file = pq.ParquetFile(file, metadata=metadata, read_dictionary=["class"])
        self._about = parse_json(self._file.schema_arrow.metadata[METADATA])
        if self._about["fingerprint"] != plan.fingerprint.digest:
            raise ValueError("another plan")

    def records(self, shards: Sequence[ShardSpec], sizes: Sequence[int]) -> SplitRecords | None:
        """Return the records of a split; raise ValueError if its shards are others."""
        split = shards[0].split
        about = self._about["splits"][split]
        if about["bytes"] != list(sizes):
            raise ValueError("other sizes of shards")
        groups = [number for number, (of, _) in enumerate(self._groups) if of == split]
        table = self._file.read_row_groups(groups, columns=["size", "class"])
        lengths = table["size"]
        written = lengths.is_valid().to_numpy()
        numbers = lengths.drop_null().to_numpy()
        images = np.repeat(np.arange(len(shards)), [shard.images for shard in shards])
        counts = np.bincount(images[written], minlength=len(shards))
        ends = np.concatenate([[0], np.cumsum(numbers)])[np.cumsum(counts)]
        unpacked = np.diff(ends, prepend=0)
        if about["records"] != counts.tolist() or (len(numbers) and numbers.min() <= 0):
            raise ValueError("other numbers of records")
        if self._plan.compression is None and not (unpacked <= sizes).all():
            raise ValueError("records beyond the ends of shards")
        return SplitRecords(
            written=written,
            shards=np.repeat(np.arange(len(shards), dtype=np.int32), counts),
            lengths=numbers,
            classes=self._classes(table["class"].combine_chunks())[written],
        )

    def _classes(self, column: pa.DictionaryArray) -> npt.NDArray[np.int32]:
        """Return the number of the class of each image; raise KeyError for another class."""
        known = {text: number for number, text in enumerate(_texts(self._plan.classes).to_pylist())}
        numbers = [known[text] for text in column.dictionary.to_pylist()]
        found: npt.NDArray[np.int32] = np.array(numbers, np.int32)[column.indices.to_numpy()]
        return found


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
    files = _texts([shard.name for shard in plan.shards if shard.split == split])
    classes = _texts(plan.classes)
    records = np.cumsum(rows.written) - 1  # (images,): the record of each image that has one
    for start in range(0, len(rows.outcomes), ROW_GROUP):
        part = slice(start, start + ROW_GROUP)
        written, outcomes = rows.written[part], rows.outcomes[part]
        found = np.where(written, records[part], 0)
        images = plan.manifest.slice(rows.first + start, len(outcomes))
        numbers = images["class"].to_numpy()
        columns = {
            "split": pa.repeat(_texts([split])[0], len(outcomes)),
            "shard": files.take(pa.array(rows.shards[part], mask=~written)),
            "row": pa.array(found, mask=~written),
            "offset": _of_records(rows.offsets, found, written),
            "size": _of_records(rows.measures.lengths, found, written),
            "label": _label_column(plan, images),
            "class": classes.take(pa.array(numbers)),
            "name": _names(images["path"]),
            "width": _of_records(rows.measures.widths, found, written, unknown=0),
            "height": _of_records(rows.measures.heights, found, written, unknown=0),
            "outcome": pa.array(OUTCOMES).take(pa.array(outcomes)),
        }
        yield pa.table(columns).cast(schema)


def _schema(plan: RunPlan) -> pa.Schema:
    """Return the schema of the table, in which labels are of the plan's form."""
    kind = {
        "class": pa.int64(),
        "multi": pa.list_(pa.int64()),
        "value": pa.float32(),
        "soft": pa.list_(pa.float32()),
    }[plan.labels.target]
    return _SCHEMA.set(_SCHEMA.get_field_index("label"), pa.field("label", kind))


def _label_column(plan: RunPlan, images: pa.Table) -> pa.Array:
    """Return the label of each of some images of the manifest."""
    classes = images["class"].to_numpy()
    if plan.labels.target == "class":
        return pa.array(label_numbers(plan)[classes])
    if plan.labels.target == "multi":
        return pa.array(list(map(plan.labels.feature, plan.classes)), _LISTS).take(
            pa.array(classes)
        )
    numbers = numbers_of(images[TARGET])
    if plan.labels.target == "value":
        return pa.array(numbers[:, 0])
    flat = pa.array(numbers.reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, numbers.shape[1])


def label_numbers(plan: RunPlan) -> npt.NDArray[np.int64]:
    """Return the number of each class of a plan, (classes,); of a one-hot list, that of its one."""
    numbers = plan.labels.numbers
    return np.array([numbers.get(name, NO_LABEL) for name in plan.classes], np.int64)


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


def _texts(names: Sequence[str]) -> pa.Array:
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
