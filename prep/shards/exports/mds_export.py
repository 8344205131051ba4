"""MDS files, which MosaicML's Streaming reads, without that library.

A file holds the number of its samples, the offset of each and of the end (all uint32), a
description of the columns as JSON, and the samples: the sizes of those columns that have no fixed
one (uint32), and then the values, in the order of the columns' names. The files of a split are
listed, each with the same description, in its ``index.json``.

Source: `writer.py`_ and `encodings.py`_ of version 0.13.

.. _writer.py: https://github.com/mosaicml/streaming/blob/main/streaming/base/format/mds/writer.py
.. _encodings.py: https://github.com/mosaicml/streaming/blob/main/streaming/base/format/mds/encodings.py
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from prep.errors import RecordError
from prep.planning.plan import RunPlan
from prep.planning.shards import ShardSpec
from prep.shards.exports.base import ExportedFile, ExportedImage, ExportFormat, as_unicode
from prep.shards.formats.base import Record

_MOST_BYTES = (1 << 32) - 1  # of a file, for an offset has 32 bits
_UINT32 = np.dtype("<u4")


class _Column(NamedTuple):
    """A column.

    Attributes:
        name: its name; samples have them in the order of their names.
        encoding: what the library calls the encoding of its values.
        size: bytes of each value; None if they differ.
        value: returns the bytes of an image's value.
    """

    name: str
    encoding: str
    size: int | None
    value: Callable[[ExportedImage], bytes]


class MdsExport(ExportFormat):
    """MDS files with the columns ``class``, ``image``, ``label`` and ``name``."""

    suffix = ".mds"

    def __init__(self, plan: RunPlan) -> None:
        super().__init__(plan)
        self._columns = (
            _Column("class", "str", None, lambda image: _utf8(image.sample.class_name)),
            _Column("image", *_image_encoding(plan), lambda image: image.sample.image),
            _Column("label", *_label_encoding(plan), self._label),
            _Column("name", "str", None, lambda image: _utf8(image.sample.name)),
        )

    def _label(self, image: ExportedImage) -> bytes:
        return self.plan.label_form.array(image.label).tobytes()

    @property
    def _description(self) -> dict[str, Any]:
        """The description of a file, as the library's writer has it."""
        return {
            "column_encodings": [column.encoding for column in self._columns],
            "column_names": [column.name for column in self._columns],
            "column_sizes": [column.size for column in self._columns],
            "compression": None,
            "format": "mds",
            "hashes": [],
            "size_limit": None,
            "version": 2,
        }

    def file_of(self, shard: ShardSpec) -> str:
        """Return the name that the library gives to a file."""
        return f"{shard.split}/shard.{shard.index:05d}.mds"

    def write(self, path: Path, images: Iterable[ExportedImage], count: int) -> None:
        """Write the samples, and then what stands before them, for which room was left."""
        description = json.dumps(self._description, sort_keys=True).encode()
        start = _UINT32.itemsize * (count + 2) + len(description)
        offsets = [start]
        with path.open("xb") as file:
            file.seek(start)
            for image in images:
                offsets.append(offsets[-1] + file.write(self._sample(image)))
            if offsets[-1] > _MOST_BYTES:
                raise RecordError(
                    f"an MDS file holds at most {_MOST_BYTES:,} bytes, and this shard takes "
                    f"{offsets[-1]:,}; prepare the images with a smaller images_per_shard"
                )
            file.seek(0)
            file.write(np.array([count, *offsets], _UINT32).tobytes() + description)

    def _sample(self, image: ExportedImage) -> bytes:
        values = [column.value(image) for column in self._columns]
        pairs = zip(self._columns, values, strict=True)
        sizes = [len(value) for column, value in pairs if column.size is None]
        return np.array(sizes, _UINT32).tobytes() + b"".join(values)

    def read(self, path: Path) -> Iterator[Record]:
        """Yield images and labels, by the description in the file."""
        with path.open("rb") as file:
            count = int(np.frombuffer(file.read(4), _UINT32)[0])
            offsets = np.frombuffer(file.read(4 * (count + 1)), _UINT32).tolist()
            if len(offsets) != count + 1 or offsets[-1] != os.fstat(file.fileno()).st_size:
                raise RecordError(f"expected an MDS file of {count} samples, found another size")
            file.seek(offsets[0])
            for start, end in pairwise(offsets):
                yield self._record(file.read(end - start))

    def _record(self, sample: bytes) -> Record:
        varying = sum(column.size is None for column in self._columns)
        sizes = iter(np.frombuffer(sample[: 4 * varying], _UINT32).tolist())
        at = 4 * varying
        values: dict[str, bytes] = {}
        for column in self._columns:
            size = next(sizes) if column.size is None else column.size
            values[column.name] = sample[at : at + size]
            at += size
        label = np.frombuffer(values["label"], self.plan.label_form.dtype)
        if self.plan.label_form.length is None:  # several classes, each a one among zeros
            label = np.flatnonzero(label)
        return Record(values["image"], tuple(label.tolist()))

    def beside(self, files: Sequence[ExportedFile]) -> Iterator[tuple[str, bytes]]:
        """Yield the ``index.json`` of each split; the library knows no empty files."""
        for split, found in groupby(files, lambda file: file.split):
            shards = [self._listed(file) for file in found if file.images]
            text = json.dumps({"shards": shards, "version": 2}, sort_keys=True)
            yield f"{split}/index.json", text.encode()

    def _listed(self, file: ExportedFile) -> dict[str, Any]:
        raw = {"basename": os.path.basename(file.file), "bytes": file.bytes, "hashes": {}}
        return {**self._description, "raw_data": raw, "samples": file.images, "zip_data": None}


def _image_encoding(plan: RunPlan) -> tuple[str, int | None]:
    """Return encoding and size of an image: one that the library decodes, if it knows it."""
    settings = plan.settings
    if settings.encoding in ("jpeg", "png"):
        return settings.encoding, None
    if settings.encoding == "webp":
        return "bytes", None
    dtype = np.dtype(np.uint8 if settings.encoding == "raw" else np.float32)
    return _array((settings.height, settings.width, settings.channels), dtype)


def _label_encoding(plan: RunPlan) -> tuple[str, int | None]:
    form = plan.label_form
    if form.shape:
        return _array(form.shape, form.dtype)
    return ("float32", 4) if form.is_floating else ("int", 8)


def _array(shape: tuple[int, ...], dtype: np.dtype[Any]) -> tuple[str, int]:
    sides = ",".join(map(str, shape))
    return f"ndarray:{dtype.name}:{sides}", int(np.prod(shape)) * dtype.itemsize


def _utf8(name: str) -> bytes:
    return as_unicode(name).encode()
