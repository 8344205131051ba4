"""Export one shard: write its file, read that again, and only then let it appear."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import google_crc32c

from prep.errors import PrepError, RecordError
from prep.output.index.measures import sizes_from_text
from prep.output.journal import Journal
from prep.output.receipt import ShardReceipt
from prep.planning.label_form import LabelForm
from prep.planning.plan import RunPlan
from prep.planning.shards import ShardSpec
from prep.shards.exports.base import ExportedFile, ExportedImage, export_class
from prep.shards.exports.export_target import ExportTarget
from prep.shards.formats.base import Sample, record_format, record_key
from prep.shards.opened import open_plan
from prep.shards.writer import RunRef
from prep.storage.local import LocalPath
from prep.storage.newfile import new_file_by_path
from prep.text import quoted, reason_and_file


def export_shard(shard: ShardSpec, run: RunRef, target: ExportTarget) -> ExportedFile:
    """Export one shard, unless that is done already.

    The file is written under a temporary name, flushed to disk, read again and compared with what
    was read from the shard; then it is renamed, and noted. So this can be killed at any point and
    run again.

    Raises:
        OutputConflict: the output holds another plan now.
        RecordError: the shard is damaged, or is not what its receipt says.
        StorageUnavailable: it is in a storage that does not answer.
        PrepError: the file can't be written.
    """
    if (kept := target.kept(shard)) is not None:
        return kept
    journal = Journal(run.output)
    plan = open_plan(run.output, run.digest, run.run).plan
    receipt = journal.receipts.of(shard, run.digest)
    if receipt is None:
        raise RecordError(
            f"{journal.layout.shard(shard)}: expected a shard that is committed, found it without "
            "a receipt, or of another size; `prep.verify` says what is wrong with the output"
        )
    try:
        return _export(shard, journal, plan, receipt, target)
    except OSError as error:
        raise PrepError(
            f"the export can't be written: {reason_and_file(error)}; put that right, and export "
            "again to go on"
        ) from None


def _export(
    shard: ShardSpec, journal: Journal, plan: RunPlan, receipt: ShardReceipt, target: ExportTarget
) -> ExportedFile:
    format = export_class(target.to)(plan)
    file = format.file_of(shard)
    path, within = LocalPath(target.folder) / file, LocalPath(target.folder)
    path.parent.make_folder(within=within)
    with new_file_by_path(path) as temporary:
        written, read = _Sum(plan.label_form), _Sum(plan.label_form)
        images = written.adding(_images(shard, journal, plan, receipt))
        format.write(temporary, images, receipt.images)
        for record in format.read(temporary):
            read.add(record.image, record.label)
        if read != written or read.images != receipt.images:
            raise RecordError(
                f"{path}: expected {written}, found {read} when the file was read again; nothing "
                "was kept of it: export again"
            )
    found = ExportedFile(
        split=shard.split,
        index=shard.index,
        file=file,
        images=read.images,
        bytes=path.stat().st_size,
    )
    target.note(found)
    return found


def _images(
    shard: ShardSpec, journal: Journal, plan: RunPlan, receipt: ShardReceipt
) -> Iterator[ExportedImage]:
    """Yield the records of a shard, each with the names of its image and class.

    Raises:
        RecordError: a record is damaged, or there are more or fewer than the receipt says.
    """
    path, format = journal.layout.shard(shard), record_format(plan.config.format)
    entries = receipt.written_among(journal.entries(plan, shard))
    sizes = sizes_from_text(receipt.measures, len(entries))
    try:
        with path.open_regular() as file:
            records = format.records(file, plan.largest_record, len(entries))
            number = 0
            for number, (entry, data) in enumerate(zip(entries, records, strict=False), 1):
                record = format.parse(data)
                key, size = record_key(shard.index, number - 1), sizes[number - 1]
                sample = Sample.of(record.image, entry, key, size)
                yield ExportedImage(sample, record.label, data)
            next(records, None)
            if number < len(entries):
                raise RecordError(f"expected {len(entries)} records, found {number}")
    except RecordError as error:
        raise RecordError(f"{path}: {error}; `prep.verify` can repair it") from None
    except OSError as error:
        path.require_answer(error)
        raise RecordError(f"{quoted(str(path))}: can't be read: {reason_and_file(error)}") from None


@dataclass(slots=True)
class _Sum:
    """A checksum of images and labels in their order, and their number."""

    form: LabelForm
    images: int = 0
    crc: int = 0

    def add(self, image: bytes, label: Sequence[float]) -> None:
        self.images += 1
        self.crc = google_crc32c.extend(self.crc, image)
        self.crc = google_crc32c.extend(self.crc, self.form.array(label).tobytes())

    def adding(self, images: Iterable[ExportedImage]) -> Iterator[ExportedImage]:
        """Yield images, and add each."""
        for image in images:
            self.add(image.sample.image, image.label)
            yield image

    def __str__(self) -> str:
        return f"{self.images} images with the checksum {self.crc:08x}"
