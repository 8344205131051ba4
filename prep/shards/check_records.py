"""Check the file of a shard: its bytes as a whole, and its records one by one."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import BinaryIO

import numpy as np

from prep.errors import RecordError
from prep.images.colour import CHANNELS
from prep.images.encoding.readback import ResultReader
from prep.images.encoding.tolerances import clipping_tolerance
from prep.images.stats import ChannelStats
from prep.output.findings import Difference
from prep.output.index.measures import measures_from_text, sizes_from_text
from prep.output.receipt import ShardReceipt
from prep.output.report.checksums import checksum, from_text
from prep.planning.plan import RunPlan
from prep.shards.formats.base import (
    Label,
    Sample,
    Values,
    consists_of,
    crc32c,
    record_format,
    record_key,
)
from prep.sources.base import UNLABELLED, ImageEntry
from prep.sources.labels import NO_LABEL, LabelMap
from prep.storage.location import Location
from prep.storage.retry import Retries
from prep.text import counted, quoted, shown

_RECORDS_NAMED = 3  # at most, of the records of a shard that are wrong
_PAUSES = (0.5, 2.0)  # seconds before a shard that can't be read is read again, from its start


def inspect_file(
    path: Location, plan: RunPlan, receipt: ShardReceipt, entries: Sequence[ImageEntry] | None
) -> tuple[int, list[Difference]]:
    """Return how many records can be read, and what is wrong with them and with their file.

    Args:
        path: the shard.
        plan, receipt: what it should hold.
        entries: the image of each record, in order; None if unknown.
    """

    def read() -> tuple[int, list[Difference]]:
        reading = _Reading(plan, receipt, entries)
        found = [*_file_differences(path, receipt), *reading.differences(path)]
        return reading.records, found

    try:
        return Retries().call(read, _PAUSES)
    except FileNotFoundError:
        return 0, [("a shard", "no file")]
    except OSError as error:
        path.require_answer(error)
        return 0, [("a shard", f"one that can't be read: {error.strerror or error}")]


def _file_differences(path: Location, receipt: ShardReceipt) -> Iterator[Difference]:
    """Compare the size and digest of the file; raise OSError if it can't be read."""
    with path.open_regular() as file:
        size = file.seek(0, os.SEEK_END)
        if size != receipt.bytes:
            yield counted(receipt.bytes, "byte"), counted(size, "byte")
            return  # It can't have the digest either, and may be of any size.
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != receipt.sha256:
        yield f"SHA-256 {receipt.sha256:.12}…", f"{digest:.12}…"


class _Reading:
    """One reading of the records of a shard, and what it finds."""

    def __init__(
        self, plan: RunPlan, receipt: ShardReceipt, entries: Sequence[ImageEntry] | None
    ) -> None:
        self._plan = plan
        self._receipt = receipt
        self._entries = entries
        self._format = record_format(plan.config.format)
        self._encode = self._format.encoder(plan.settings, plan.labels, plan.features)
        self._results = ResultReader(plan.settings)
        self._stats = ChannelStats()
        self._wrong: list[Difference] = []
        self._by_label = Counter[Label]()
        keeps = plan.settings.keep_fitting
        self._sources = set(from_text(receipt.checksums).tolist()) if keeps else set()
        self._kept = 0
        self._sizes = sizes_from_text(receipt.measures, receipt.images)
        self._lengths: list[int] = []  # of the records, with their framing
        self.records = 0

    def differences(self, path: Location) -> list[Difference]:
        """Return what is wrong with the records; raise OSError if the file can't be read."""
        with path.open_regular() as file:
            self._read(file)
            if self.records != self._receipt.images:
                file.seek(0)
                self._wrong[:0] = _repeated(self._records(file))
            elif not self._wrong:
                self._wrong += [
                    *self._lengths_differ(),
                    *self._kept_differ(),
                    *self._sums_differ(file),
                ]
        return self._summary()

    def _read(self, file: BinaryIO) -> None:
        expected = self._plan.compression
        try:
            found = self._format.compression_of(file)
            if found != expected and self._receipt.bytes:
                self._wrong.append((f"compression {expected}", f"{found}"))
            for data in self._records(file):
                number, self.records = self.records, self.records + 1
                self._lengths.append(len(data) + self._format.framing)
                try:
                    self._stats += self._results.sums(self._image(data, number))
                except RecordError as error:
                    self._wrong.append((f"record {number} to be whole", str(error)))
        except RecordError as error:
            self._wrong.append((f"record {self.records} to be whole", str(error)))

    def _records(self, file: BinaryIO) -> Iterator[bytes]:
        """Yield up to twice as many records as there should be, to say how many there are."""
        most = 2 * self._receipt.images + _RECORDS_NAMED
        return self._format.records(file, self._plan.largest_record, most)

    def _image(self, data: bytes, number: int) -> bytes:
        """Return the image of a record, which is held against what it was made of, if known."""
        record = self._format.parse(data)
        if self._sources and checksum(record.image) in self._sources:
            self._kept += 1
        if self._entries is None or number >= len(self._entries):
            self._by_label[record.label] += 1
            return record.image
        entry = self._entries[number]
        key = record_key(self._receipt.index, number)
        size = self._sizes[number] if number < len(self._sizes) else (0, 0)
        made = self._encode(Sample.of(record.image, entry, key, size))
        if consists_of(data, made):
            return record.image
        label = self._label_of(entry)
        if record.label == label:
            self._wrong.append(self._feature_differs(b"".join(made), data, number))
            return record.image
        expected, found = (_describe(self._plan.labels, each) for each in (label, record.label))
        self._wrong.append((f"record {number} to have {expected}", found))
        return record.image

    def _label_of(self, entry: ImageEntry) -> Label:
        """Return the label that the record of an image should have."""
        if entry.target:
            return tuple(np.frombuffer(entry.target, "<f4").tolist())
        return self._plan.labels.feature(entry.class_name)

    def _feature_differs(self, made: bytes, data: bytes, number: int) -> Difference:
        """Return the first feature that a record has otherwise than it should."""
        expected, found = self._format.others(made), self._format.others(data)
        for name in sorted(expected.keys() | found.keys()):
            if expected.get(name) != found.get(name):
                wanted, there = (_shown(each.get(name)) for each in (expected, found))
                return f"record {number} to have {quoted(name)} {wanted}", there
        return f"record {number} to be whole", "its features followed by more, or in another form"

    def _lengths_differ(self) -> Iterator[Difference]:
        """Compare how long records are, which tells readers where each one begins."""
        expected = measures_from_text(self._receipt.measures).lengths.tolist()
        for number, (length, found) in enumerate(zip(expected, self._lengths, strict=False)):
            if length != found:
                yield f"record {number} of {length:,} bytes, as its receipt says", f"{found:,}"
                return

    def _kept_differ(self) -> Iterator[Difference]:
        """Compare how many images are the very bytes of source images.

        There may be more: an image that was encoded may be the same as another that was kept.
        """
        kept = self._receipt.traits.marks.get("kept")
        if kept is not None and self._kept < kept.images:
            yield f"{counted(kept.images, 'image')} kept to the byte", f"{self._kept}"

    def _sums_differ(self, file: BinaryIO) -> Iterator[Difference]:
        """Compare sums: exactly, unless encoding has changed the pixels since they were taken."""
        expected, found = self._receipt.stats, self._stats
        mean = self._results.grids.mean()
        if mean.images and self._receipt.mean_image.images and mean != self._receipt.mean_image:
            yield "the mean image of its results", "another one"
        if expected.products is None:  # Earlier versions did not add them up.
            found = replace(found, products=None)
        if expected == found or found.images != expected.images:
            return
        if not self._plan.settings.lossy:
            yield _describe_sums(expected), _describe_sums(found)
            return
        allowed = self._results.tolerance
        pairs = list(zip(expected.mean() or (), found.mean() or (), strict=True))
        if any(abs(a - b) > most for (a, b), most in zip(pairs, allowed, strict=True)):
            clipped = self._clipping(file)
            for channel, (a, b), near, more in zip(CHANNELS, pairs, allowed, clipped, strict=True):
                if abs(a - b) > near + more:
                    yield f"a mean of {a:.3f} ± {near + more:.3f} in {channel}", f"{b:.3f}"

    def _clipping(self, file: BinaryIO) -> Sequence[float]:
        """Return what clipping adds to the tolerance; only photos that are none need it."""
        file.seek(0)
        encoding, quality = self._plan.settings.encoding, self._plan.settings.quality
        found, sizes = [], []
        for data in self._records(file):
            pixels = self._results.pixels(self._format.parse(data).image)
            found.append(clipping_tolerance(pixels, encoding, quality))
            sizes.append(pixels.shape[0] * pixels.shape[1])
        return [float(mean) for mean in np.average(found, axis=0, weights=sizes)]

    def _summary(self) -> list[Difference]:
        expected = self._receipt.images
        wrong = self._wrong[:_RECORDS_NAMED]
        if len(self._wrong) > len(wrong):
            wrong.append(("no more than that", f"{len(self._wrong) - len(wrong)} more"))
        if self.records != expected:
            wrong.insert(0, (f"{expected} records", f"{self.records}"))
        if self._entries is None and not wrong:
            wrong += self._labels_differ()
        return wrong

    def _labels_differ(self) -> Iterator[Difference]:
        """Compare how often each label occurs, which needs no manifest where classes tell it."""
        if self._plan.label_form.is_floating:
            return
        expected = Counter[Label]()
        for name, count in self._receipt.written.items():
            expected[self._plan.labels.feature(name)] += count
        for label in sorted(expected.keys() | self._by_label.keys()):
            wanted, found = expected[label], self._by_label[label]
            if wanted != found:
                yield f"{wanted} records of {_describe(self._plan.labels, label)}", f"{found}"


def _describe_sums(stats: ChannelStats) -> str:
    products = "" if stats.products is None else f", products {stats.products}"
    return f"sums {stats.sums}, squares {stats.squares}{products}"


def _describe(labels: LabelMap, label: Label) -> str:
    """Return a label as it stands in the map, with a class that it may stand for."""
    if labels.target != "class" or not label:
        return f"label {str(list(label))[:60]}"
    number = label[0] if labels.width is None else label.index(1) if 1 in label else -1
    names = [name for name, value in labels.numbers.items() if value == number]
    if tuple(label) == labels.feature(UNLABELLED) and not names:
        return f"label {NO_LABEL} (no label)"
    if not names or tuple(label) != labels.feature(names[0]):
        return f"label {str(list(label))[:40]}, which is not in the map"
    return f"label {number} ({quoted(names[0])})"


def _shown(values: Values | None) -> str:
    """Return the values of a feature in a few words."""
    if values is None:
        return "not at all"
    return shown(values[0] if len(values) == 1 else values, 80)


def _repeated(records: Iterator[bytes]) -> Iterator[Difference]:
    """Name records that occur more than once, as far as they can be read."""
    seen: dict[int, int] = {}
    with contextlib.suppress(RecordError):
        for number, data in enumerate(records):
            first = seen.setdefault(crc32c(data), number)
            if first != number:
                yield f"record {number} to be its own", f"record {first} once more"
