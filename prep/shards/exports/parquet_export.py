"""Parquet tables as Hugging Face's ``datasets`` has them: images, labels and names.

The schema's metadata says that the images are images, and names the classes. Source: `features`_.

.. _features: https://huggingface.co/docs/datasets/about_dataset_features
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prep.errors import ConfigError, RecordError
from prep.output.index.tfds_files import label_names
from prep.planning.shards import ShardSpec
from prep.settings.choices import IMAGE_FILES
from prep.shards.exports.base import ExportedImage, ExportFormat, as_unicode
from prep.shards.formats.base import Record

if TYPE_CHECKING:
    import pyarrow as pa

# Of a row group, which is read as a whole for one image: rows, and about as many bytes.
_ROWS = 100
_BYTES = 64 << 20  # 64 MiB


class ParquetExport(ExportFormat):
    """Tables with the columns ``image`` (bytes and path), ``label`` and ``name``."""

    suffix = ".parquet"

    def require_possible(self) -> None:
        """Raise ConfigError unless the records hold image files."""
        if (encoding := self.plan.settings.encoding) not in IMAGE_FILES:
            raise ConfigError(
                f"to: expected records of {', '.join(IMAGE_FILES)} for parquet, found "
                f"{encoding}; export them to webdataset, mds or array_record"
            )

    def file_of(self, shard: ShardSpec) -> str:
        """Return a path by which ``datasets`` tells the split, if it knows such a name."""
        return f"data/{shard.split}-{shard.index:05d}-of-{shard.count:05d}{self.suffix}"

    @cached_property
    def schema(self) -> pa.Schema:
        """The schema, with the features in its metadata."""
        import pyarrow as pa

        form = self.plan.label_form
        number = pa.from_numpy_dtype(form.dtype)
        one = form.length == 1 and not form.shape
        columns = {
            "image": pa.struct({"bytes": pa.binary(), "path": pa.string()}),
            "label": number if one else pa.list_(number),
            "name": pa.string(),
        }
        features = {
            "image": {"_type": "Image"},
            "label": self._label_feature if one else _listed(self._label_feature, form.length),
            "name": {"dtype": "string", "_type": "Value"},
        }
        metadata = {"huggingface": json.dumps({"info": {"features": features}})}
        return pa.schema(list(columns.items()), metadata)

    @property
    def _label_feature(self) -> dict[str, Any]:
        """The feature of a number of a label: of a class, if the numbers have names."""
        form, names = self.plan.label_form, label_names(self.plan.labels, as_unicode)
        if names is not None and form.target in ("class", "multi"):
            return {"names": [*names], "_type": "ClassLabel"}
        return {"dtype": form.dtype.name, "_type": "Value"}

    def write(self, path: Path, images: Iterable[ExportedImage], count: int) -> None:
        """Write a table in row groups of 100 images, or fewer of many bytes."""
        import pyarrow.parquet as pq

        with pq.ParquetWriter(
            path,
            self.schema,
            compression={"image.bytes": "none", "image.path": "snappy", "name": "snappy"},
            use_dictionary=["image.path"],
            write_statistics=["label"],
        ) as writer:
            for batch in _row_groups(images):
                writer.write_batch(self._rows(batch), row_group_size=_ROWS)

    def _rows(self, images: Sequence[ExportedImage]) -> pa.RecordBatch:
        import pyarrow as pa

        names = [as_unicode(image.sample.name) for image in images]
        ending = IMAGE_FILES[self.plan.settings.encoding]
        pictures = [
            {"bytes": image.sample.image, "path": f"{image.sample.key}.{ending}"}
            for image in images
        ]
        scalar = self.schema.field("label").type == pa.from_numpy_dtype(self.plan.label_form.dtype)
        labels = [image.label[0] if scalar else image.label for image in images]
        return pa.RecordBatch.from_arrays(
            [
                pa.array(values, field.type)
                for values, field in zip((pictures, labels, names), self.schema, strict=True)
            ],
            schema=self.schema,
        )

    def read(self, path: Path) -> Iterator[Record]:
        """Yield images and labels, of one row group after the other."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with pq.ParquetFile(path) as table:
                columns = ["image.bytes", "label"]
                for rows in itertools.chain.from_iterable(
                    table.iter_batches(_ROWS, row_groups=[group], columns=columns)
                    for group in range(table.num_row_groups)
                ):
                    pairs = zip(rows["image"].field("bytes"), rows["label"], strict=True)
                    for image, label in pairs:
                        numbers = label.as_py()
                        found = numbers if isinstance(numbers, list) else [numbers]
                        yield Record(image.as_py(), tuple(found))
        except pa.ArrowException as error:
            raise RecordError(f"not a whole Parquet file: {error}") from None


def _row_groups(images: Iterable[ExportedImage]) -> Iterator[list[ExportedImage]]:
    """Yield the images of one row group after the other."""
    group: list[ExportedImage] = []
    held = 0
    for image in images:
        group.append(image)
        held += len(image.sample.image)
        if len(group) == _ROWS or held >= _BYTES:
            yield group
            group, held = [], 0
    if group:
        yield group


def _listed(feature: dict[str, Any], length: int | None) -> dict[str, Any]:
    """Return the feature of a list; all versions of ``datasets`` read this form of it."""
    return {"feature": feature, "length": -1 if length is None else length, "_type": "Sequence"}
