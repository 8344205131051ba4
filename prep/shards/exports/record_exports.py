"""Exports whose records are those of our own formats: tar files, and Examples in ArrayRecord."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from prep.errors import ConfigError, RecordError
from prep.output.index.tfds_files import tfds_files
from prep.settings.choices import Format
from prep.settings.distribution import install_command
from prep.settings.record_features import DEFAULT_RECORD, record_features
from prep.shards.exports.base import ExportedFile, ExportedImage, ExportFormat
from prep.shards.formats.base import Pieces, Record, record_format

# Records that are read together: at most so many, and as many as such memory holds.
_READ_TOGETHER = 64
_READ_BYTES = 64 << 20  # 64 MiB, the records as float32


class _RecordExport(ExportFormat):
    """An export whose records are those of one of our formats."""

    form: Format

    def records(self, images: Iterable[ExportedImage]) -> Iterator[Pieces]:
        """Yield records: as they are, if the output is of this format, or encoded anew."""
        if self.plan.config.format == self.form:
            yield from ((image.record,) for image in images)
            return
        # TF-Slim's features are of TFRecords alone; those that were added are of both.
        features = record_features(DEFAULT_RECORD, self.plan.config.features or ())
        encode = record_format(self.form).encoder(self.plan.settings, self.plan.labels, features)
        yield from (encode(image.sample) for image in images)


class WebDatasetExport(_RecordExport):
    """Tar files as ``prep run --format webdataset`` writes them."""

    suffix = ".tar"
    form = "webdataset"

    def write(self, path: Path, images: Iterable[ExportedImage], count: int) -> None:
        """Write a tar file."""
        with path.open("xb") as file:
            writer = record_format(self.form).writer(file)
            for record in self.records(images):
                writer.write(record)
            writer.finish()

    def read(self, path: Path) -> Iterator[Record]:
        """Yield images and labels, and compare checksums on the way."""
        format = record_format(self.form)
        with path.open("rb") as file:
            yield from map(format.parse, format.records(file))


class ArrayRecordExport(_RecordExport):
    """ArrayRecord files of ``tf.train.Example``, as Grain and TFDS read them."""

    suffix = ".array_record"
    form = "tfrecord"

    def require_possible(self) -> None:
        """Raise ConfigError unless the package that writes such files is installed."""
        if importlib.util.find_spec("array_record") is None:
            raise ConfigError(
                "to: array_record needs the package array-record, which is not installed: "
                + install_command("array-record")
            )

    def write(self, path: Path, images: Iterable[ExportedImage], count: int) -> None:
        """Write a file in which each record can be read without the others."""
        # Compressed images don't become smaller.
        writer = _array_record().ArrayRecordWriter(str(path), "group_size:1,uncompressed")
        try:
            for record in self.records(images):
                writer.write(b"".join(record))
        finally:
            writer.close()

    def read(self, path: Path) -> Iterator[Record]:
        """Yield images and labels; the library compares checksums of blocks."""
        parse = record_format(self.form).parse
        reader = _array_record().ArrayRecordReader(str(path))
        step = max(1, min(_READ_TOGETHER, _READ_BYTES // self.plan.largest_record))
        try:
            count = reader.num_records()
            for start in range(0, count, step):
                yield from map(parse, reader.read(start, min(start + step, count)))
        except (RuntimeError, ValueError) as error:
            raise RecordError(f"not a whole ArrayRecord file: {error}") from None
        finally:
            reader.close()

    def beside(self, files: Sequence[ExportedFile]) -> Iterator[tuple[str, bytes]]:
        """Yield the files by which TensorFlow Datasets opens the export."""
        yield from tfds_files(self.plan, files, "array_record").items()


def _array_record() -> Any:
    return importlib.import_module("array_record.python.array_record_module")
