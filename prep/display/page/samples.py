"""Images from the shards: a sample of all, and particular ones.

Images are in random order already, so the beginning of a few shards is a fair sample. The amount
read is bounded, because an output may be of any size.
"""

from __future__ import annotations

import contextlib
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from prep.display.page.facts import Facts
from prep.errors import RecordError
from prep.images.decoders.values import Pixels
from prep.images.encoding.encode import Thumbnailer
from prep.images.encoding.readback import ResultReader
from prep.output.journal import Journal
from prep.output.receipt import ShardReceipt
from prep.planning.plan import RunPlan
from prep.shards.formats.base import record_format
from prep.sources.base import ImageEntry

#: Pixels on each side of a thumbnail. Where there are many, they are smaller.
THUMBNAIL = 128
_SMALL_THUMBNAIL = 104
_FEW_THUMBNAILS = 120
#: Classes that are shown; of more, the first.
MOST_CLASSES = 1000
_MOST_THUMBNAILS = 160  # or one of each class
_MOST_PER_CLASS = 8
_MOST_SHARDS = 48  # that are opened for all classes alike
_MOST_FURTHER_SHARDS = 32  # for classes of which there was nothing in those
_COUNTED_IMAGES = 384
_COUNTED_PIXELS = 64 << 20
# 512 MiB in all, of shards that are compressed: there, nothing is passed over.
_INFLATED = 512 << 20
_GOLDEN = 0.6180339887498949

Counts = npt.NDArray[np.int64]


class Thumbnail(NamedTuple):
    """A JPEG, and the image that it is of."""

    jpeg: bytes
    entry: ImageEntry
    split: str


@dataclass(slots=True)
class ImageSample:
    """Images found in the shards.

    Attributes:
        thumbnails: of each class.
        histogram: int64 (3, 256), how often each value is there, by channel.
        images: that the histogram was made of.
        unreadable: shards of which some could not be read.
    """

    thumbnails: dict[str, list[Thumbnail]] = field(default_factory=lambda: defaultdict(list))
    histogram: Counts = field(default_factory=lambda: np.zeros((3, 256), np.int64))
    images: int = 0
    unreadable: int = 0


def take_sample(journal: Journal, facts: Facts) -> ImageSample:
    """Read thumbnails of each class, and channel histograms of the training splits."""
    return _Sampler(journal, facts).sample()


def shown_classes(facts: Facts) -> list[str]:
    """Return the classes with images in the shards, by name."""
    written = {name for receipt in facts.receipts for name in receipt.written}
    return sorted(written.intersection(facts.plan.classes))


def thumbnails_per_class(classes: int) -> int:
    """Return how many thumbnails of each class there is room for.

    >>> [thumbnails_per_class(n) for n in (1, 50, 999, 5000)]
    [8, 3, 1, 1]
    """
    return max(1, min(_MOST_PER_CLASS, _MOST_THUMBNAILS // max(classes, 1)))


def read_pixels(
    journal: Journal, plan: RunPlan, receipt: ShardReceipt, numbers: Collection[int]
) -> Iterator[tuple[int, Pixels]]:
    """Yield the number and the pixels of some of a shard's records."""
    format, results = record_format(plan.config.format), ResultReader(plan.settings)
    with (journal.layout.root / receipt.file).open_regular() as file:
        for number, record in format.chosen(file, numbers, plan.largest_record):
            yield number, results.pixels(record.image)


def spread(count: int) -> list[int]:
    """Return ``range(count)`` in an order of which any beginning is spread evenly over it.

    >>> spread(8)
    [0, 5, 2, 7, 4, 1, 6, 3]
    """
    return sorted(range(count), key=lambda number: number * _GOLDEN % 1)


class _Sampler:
    def __init__(self, journal: Journal, facts: Facts) -> None:
        self._journal = journal
        self._facts = facts
        self._sample = ImageSample()
        self._shards = {(shard.split, shard.index): shard for shard in facts.plan.shards}
        classes = shown_classes(facts)[:MOST_CLASSES]
        each = thumbnails_per_class(len(classes))
        few = each * len(classes) <= _FEW_THUMBNAILS
        self._thumbnail = Thumbnailer(THUMBNAIL if few else _SMALL_THUMBNAIL)
        self._wanted = Counter(dict.fromkeys(classes, each))

    def sample(self) -> ImageSample:
        receipts = self._facts.receipts
        chosen = [receipts[number] for number in spread(len(receipts))[:_MOST_SHARDS]]
        counted = {id(receipt) for receipt in chosen if self._is_reference(receipt)}
        each = -(-self._counted_images() // max(len(counted), 1))
        for receipt in chosen:
            self._read(receipt, each if id(receipt) in counted else 0)
        for receipt in self._with_the_rest(chosen):
            self._read(receipt, 0)
        return self._sample

    def _is_reference(self, receipt: ShardReceipt) -> bool:
        return receipt.split in self._facts.references

    def _counted_images(self) -> int:
        settings = self._facts.plan.settings
        return min(_COUNTED_IMAGES, max(1, _COUNTED_PIXELS // (settings.height * settings.width)))

    def _with_the_rest(self, read: Sequence[ShardReceipt]) -> Iterator[ShardReceipt]:
        """Yield shards with the first image of each class of which none was found yet."""
        classes, plan = self._facts.plan.classes, self._facts.plan
        done = {(receipt.split, receipt.index) for receipt in read}
        receipts = ((r.split, r.index, r) for r in self._facts.receipts)
        places = {(split, i): r for split, i, r in receipts if (split, i) not in done}
        shards = plan.shards
        stops = np.array([shard.stop for shard in shards])
        left = _MOST_FURTHER_SHARDS
        for name in list(self._wanted):
            rows = self._facts.class_rows == classes.index(name) if left else np.zeros(0, bool)
            if self._sample.thumbnails.get(name) or not rows.any():
                continue
            shard = shards[int(np.searchsorted(stops, int(rows.argmax()), side="right"))]
            receipt = places.pop((shard.split, shard.index), None)
            if receipt is not None:
                left -= 1
                yield receipt

    def _read(self, receipt: ShardReceipt, counted: int) -> None:
        """Read thumbnails from a shard, and the first ``counted`` records for the histogram."""
        shard = self._shards[receipt.split, receipt.index]
        entries = receipt.written_among(self._journal.entries(self._facts.plan, shard))
        entries = entries[: self._within_reach(receipt)]
        shown = self._choose(entries)
        numbers = shown | set(range(min(counted, len(entries))))
        try:
            for number, pixels in read_pixels(self._journal, self._facts.plan, receipt, numbers):
                if number < counted:
                    self._count(pixels)
                if number in shown:
                    self._show(pixels, entries[number], receipt.split)
        except (OSError, RecordError):
            self._sample.unreadable += 1

    def _count(self, pixels: Pixels) -> None:
        self._sample.images += 1
        for channel in range(3):
            values = pixels[..., channel].ravel()
            self._sample.histogram[channel] += np.bincount(values, minlength=256)

    def _show(self, pixels: Pixels, entry: ImageEntry, split: str) -> None:
        thumbnail = Thumbnail(self._thumbnail(pixels), entry, split)
        self._sample.thumbnails[entry.class_name].append(thumbnail)
        self._wanted[entry.class_name] -= 1

    def _choose(self, entries: Sequence[ImageEntry]) -> set[int]:
        """Return the numbers of the records to make thumbnails of."""
        wanted = Counter(self._wanted)
        chosen = set()
        for number, entry in enumerate(entries):
            if wanted[entry.class_name] > 0:
                wanted[entry.class_name] -= 1
                chosen.add(number)
        return chosen

    def _within_reach(self, receipt: ShardReceipt) -> int | None:
        """Return how many records to read at most; None for all."""
        plan = self._facts.plan
        if plan.compression is None:
            return None
        samples = plan.settings.height * plan.settings.width * plan.settings.channels
        sizes = {"raw": samples, "float32": 4 * samples}
        of_jpeg = receipt.bytes // max(sum(receipt.written.values()), 1) + 1
        return _INFLATED // _MOST_SHARDS // sizes.get(plan.settings.encoding, of_jpeg)


def thumbnails_of(journal: Journal, facts: Facts, rows: Iterable[int]) -> dict[int, bytes]:
    """Return thumbnails of rows of the manifest, as far as they are in a shard.

    This may open a shard for each row, so ask only for what is shown.
    """
    plan, thumbnail = facts.plan, Thumbnailer(THUMBNAIL)
    shards = plan.shards
    starts = [shard.start for shard in shards]
    receipts = {(receipt.split, receipt.index): receipt for receipt in facts.receipts}
    wanted: defaultdict[int, set[bytes]] = defaultdict(set)
    row_of: dict[bytes, int] = {}
    for row in rows:
        path = facts.manifest["path"][row].as_py()
        wanted[bisect_right(starts, row) - 1].add(path)
        row_of[path] = row
    found = {}
    for number, paths in wanted.items():
        shard = shards[number]
        receipt = receipts.get((shard.split, shard.index))
        if receipt is None:
            continue
        with contextlib.suppress(OSError, RecordError, ValueError, pa.ArrowException):
            entries = receipt.written_among(journal.entries(plan, shard))
            numbers = {n: e.raw_name for n, e in enumerate(entries) if e.raw_name in paths}
            for n, pixels in read_pixels(journal, plan, receipt, numbers):
                found[row_of[numbers[n]]] = thumbnail(pixels)
    return found
