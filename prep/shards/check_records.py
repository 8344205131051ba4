"""What is in the file of a shard: its bytes, and its records one by one."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Sequence
from typing import BinaryIO

import numpy as np

from prep.errors import RecordError
from prep.images.readback import CropReader, clipping_tolerance, mean_tolerance
from prep.images.stats import CHANNELS, ChannelStats
from prep.output.findings import Difference
from prep.output.receipt import ShardReceipt
from prep.planning.plan import RunPlan
from prep.shards.formats.example import image_of, label_entry, parse_example
from prep.shards.formats.tfrecord import compression_of, crc32c, read_records
from prep.sources.labels import LabelMap
from prep.storage.location import Location
from prep.storage.retry import Retries
from prep.text import counted, quoted

_RECORDS_NAMED = 3  # of those in a shard that something is wrong with
_PAUSES = (0.5, 2.0)  # seconds before a shard that can't be read is read again, from its start


def inspect_file(
    path: Location, plan: RunPlan, receipt: ShardReceipt, classes: Sequence[str] | None
) -> tuple[int, list[Difference]]:
    """How many records could be read, and what is wrong with them and with their file.

    Args:
        classes: of each record, in their order; None where that is not known.
    """

    def read() -> tuple[int, list[Difference]]:
        reading = _Reading(plan, receipt, classes)
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
    """Size and digest of the file; raises OSError where it can't be read."""
    with path.open_regular() as file:
        size = file.seek(0, os.SEEK_END)
        if size != receipt.bytes:
            yield counted(receipt.bytes, "byte"), counted(size, "byte")
            return  # It can't have the digest either, and may be of any size.
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != receipt.sha256:
        yield f"SHA-256 {receipt.sha256:.12}…", f"{digest:.12}…"


class _Labels:
    """The labels of classes as they are stored, each made once it is needed."""

    def __init__(self, labels: LabelMap) -> None:
        self._labels = labels
        self._entries: dict[str, bytes] = {}

    def entry(self, name: str) -> bytes:
        entry = self._entries.get(name)
        if entry is None:
            entry = self._entries[name] = label_entry(self._labels.feature(name))
        return entry

    def describe(self, label: Sequence[int]) -> str:
        """A label as it stands in the map, with a class that it may stand for."""
        number = label[0] if self._labels.width is None else label.index(1) if 1 in label else -1
        names = [n for n, value in self._labels.numbers.items() if value == number]
        if not names or tuple(label) != self._labels.feature(names[0]):
            return f"label {str(list(label))[:40]}, which is not in the map"
        return f"label {number} ({quoted(names[0])})"


class _Reading:
    """Goes over the records of a shard, and keeps count of what is in them."""

    def __init__(self, plan: RunPlan, receipt: ShardReceipt, classes: Sequence[str] | None) -> None:
        self._plan = plan
        self._receipt = receipt
        self._classes = classes
        self._labels = _Labels(plan.labels)
        self._squares = CropReader(plan.settings)
        self._stats = ChannelStats()
        self._wrong: list[Difference] = []
        self._by_label: dict[tuple[int, ...], int] = {}
        self.records = 0

    def differences(self, path: Location) -> list[Difference]:
        """What is wrong with the records of the file; raises OSError where it can't be read."""
        with path.open_regular() as file:
            self._read(file)
            if self.records != self._receipt.images:
                file.seek(0)
                self._wrong[:0] = _repeated(self._records(file))
            elif not self._wrong:
                self._wrong += self._sums_differ(file)
        return self._summary()

    def _read(self, file: BinaryIO) -> None:
        expected = self._plan.compression
        try:
            found = compression_of(file)
            if found != expected and self._receipt.bytes:
                self._wrong.append((f"compression {expected}", f"{found}"))
            for data in self._records(file):
                self._take(data)
        except RecordError as error:
            self._wrong.append((f"record {self.records} to be whole", str(error)))

    def _records(self, file: BinaryIO) -> Iterator[bytes]:
        """What a file may hold by plan and receipt, and twice as many records to say what came."""
        most = 2 * self._receipt.images + _RECORDS_NAMED
        return read_records(file, self._plan.largest_record, most)

    def _take(self, data: bytes) -> None:
        number = self.records
        self.records += 1
        try:
            self._stats += self._squares.sums(self._image(data, number))
        except RecordError as error:
            self._wrong.append((f"record {number} to be whole", str(error)))

    def _image(self, data: bytes, number: int) -> bytes:
        name = self._class_of(number)
        if name is not None:
            image = image_of(data, self._labels.entry(name))
            if image is not None:
                return image
        example = parse_example(data)
        if name is not None and example.label != self._plan.labels.feature(name):
            expected = self._labels.describe(self._plan.labels.feature(name))
            found = self._labels.describe(example.label)
            self._wrong.append((f"record {number} to have {expected}", found))
        elif name is not None:
            raise RecordError("it holds more than an image and a label, or in another form")
        self._by_label[example.label] = self._by_label.get(example.label, 0) + 1
        return example.image

    def _class_of(self, number: int) -> str | None:
        if self._classes is None or number >= len(self._classes):
            return None
        return self._classes[number]

    def _sums_differ(self, file: BinaryIO) -> Iterator[Difference]:
        """Sums are exact, but for those of JPEGs: they were taken before encoding."""
        expected, found = self._receipt.stats, self._stats
        mean = self._squares.grids.mean()
        if mean.images and self._receipt.mean_image.images and mean != self._receipt.mean_image:
            yield "the mean image of its squares", "another one"
        if expected == found or found.images != expected.images:
            return
        if self._plan.settings.encoding != "jpeg":
            yield (
                f"sums {expected.sums}, squares {expected.squares}",
                (f"sums {found.sums}, squares {found.squares}"),
            )
            return
        allowed = mean_tolerance(self._plan.settings)
        pairs = list(zip(expected.mean() or (), found.mean() or (), strict=True))
        if any(abs(a - b) > most for (a, b), most in zip(pairs, allowed, strict=True)):
            clipped = self._clipping(file)
            for channel, (a, b), near, more in zip(CHANNELS, pairs, allowed, clipped, strict=True):
                if abs(a - b) > near + more:
                    yield f"a mean of {a:.3f} ± {near + more:.3f} in {channel}", f"{b:.3f}"

    def _clipping(self, file: BinaryIO) -> Sequence[float]:
        """Looked at only where the mean is off by more than a photo's ever is."""
        file.seek(0)
        found = [
            clipping_tolerance(self._squares.pixels(parse_example(data).image), self._plan.settings)
            for data in self._records(file)
        ]
        return [float(mean) for mean in np.mean(found, axis=0)]

    def _summary(self) -> list[Difference]:
        expected = self._receipt.images
        wrong = self._wrong[:_RECORDS_NAMED]
        if len(self._wrong) > len(wrong):
            wrong.append(("no more than that", f"{len(self._wrong) - len(wrong)} more"))
        if self.records != expected:
            wrong.insert(0, (f"{expected} records", f"{self.records}"))
        if self._classes is None and not wrong:
            wrong += self._labels_differ()
        return wrong

    def _labels_differ(self) -> Iterator[Difference]:
        """Without the image list, labels can be counted at least."""
        expected: dict[tuple[int, ...], int] = {}
        for name, count in self._receipt.written.items():
            label = self._plan.labels.feature(name)
            expected[label] = expected.get(label, 0) + count
        for label in sorted(expected.keys() | self._by_label.keys()):
            wanted, found = expected.get(label, 0), self._by_label.get(label, 0)
            if wanted != found:
                yield f"{wanted} records of {self._labels.describe(label)}", f"{found}"


def _repeated(records: Iterator[bytes]) -> Iterator[Difference]:
    """Records that come more than once, as far as they can be read."""
    seen: dict[int, int] = {}
    with contextlib.suppress(RecordError):
        for number, data in enumerate(records):
            first = seen.setdefault(crc32c(data), number)
            if first != number:
                yield f"record {number} to be its own", f"record {first} once more"
