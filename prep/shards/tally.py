"""Count what becomes of the images of a shard, image by image."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from prep.errors import RefusedImage
from prep.images.depths import Deep
from prep.images.fitting.framing import Framing
from prep.images.likeness.hashing import UNKNOWN
from prep.images.mean_image import Grids, MeanImage
from prep.images.processor import Processed
from prep.images.stats import ChannelStats
from prep.images.traits import Noted, Traits
from prep.output.index.measures import Measure
from prep.output.receipt import ImageNote, Outcome
from prep.output.report.checksums import checksum
from prep.sources.base import ImageEntry

_LONGEST_DETAIL = 200


class Read(NamedTuple):
    """The file of an image as it was read.

    Attributes:
        size: in bytes.
        checksum: of its contents; see :mod:`prep.output.report.checksums`.
    """

    size: int
    checksum: int

    @classmethod
    def of(cls, data: bytes) -> Read:
        """Take the checksum of a file that was just read, while the processor's cache has it."""
        return cls(len(data), checksum(data))


NOTHING_READ = Read.of(b"")


@dataclass(slots=True)
class Tally:
    """The counts and sums that become a shard's receipt.

    An image is counted when it is done, and its record when that is written, which may be some
    images later.

    Attributes:
        written: records by class.
        stats: channel sums of the images as they were written, before encoding.
        findings: the images that were refused, repaired or kept damaged.
        deep: images written that claim 16 bits a sample, by class.
        accepted: number of images that become records, or are some already.
        refused: number of images that were refused.
        source_bytes: of all image files that were read.
        file_bytes: size of the shard's file so far.
        checksums: of all image files, in their order.
        likenesses: hashes of all results, in their order; ``UNKNOWN`` for refused images.
        measures: of the records, in their order.
    """

    written: Counter[str] = field(default_factory=Counter)
    stats: ChannelStats = ChannelStats()
    findings: list[ImageNote] = field(default_factory=list)
    deep: dict[str, Deep] = field(default_factory=dict)
    accepted: int = 0
    refused: int = 0
    source_bytes: int = 0
    file_bytes: int = 0
    checksums: list[int] = field(default_factory=list)
    likenesses: list[int] = field(default_factory=list)
    measures: list[Measure] = field(default_factory=list)
    _noted: list[Noted] = field(default_factory=list)
    _grids: Grids = field(default_factory=Grids)

    @property
    def images(self) -> int:
        """Number of images that are done: those that become records, and those refused."""
        return self.accepted + self.refused

    @property
    def shapes(self) -> Counter[tuple[int, int]]:
        """Number of images written, by (width, height) of the source in pixels."""
        return Counter((measure.width, measure.height) for measure in self.measures)

    @property
    def mean_image(self) -> MeanImage:
        """The mean of the images as they were written."""
        return self._grids.mean()

    def traits(self, split: str, shard: int, framing: Framing) -> Traits:
        """Return the traits of what was written; see :meth:`prep.images.traits.Traits.of`."""
        return Traits.of(self._noted, self._grids.chroma(), split, shard, framing)

    def accept(self, entry: ImageEntry, read: Read, processed: Processed) -> None:
        """Count an image that becomes a record."""
        self.accepted += 1
        if processed.note is not None:
            note = processed.note
            self._find(entry, note.outcome, note.reason, note.detail)
        self._count(read, processed.likeness)

    def refuse(self, entry: ImageEntry, read: Read, error: RefusedImage) -> None:
        """Count an image that becomes none; ``read`` is as much as could be read of it."""
        self.refused += 1
        self._find(entry, "refused", error.reason, error.detail)
        self._count(read, UNKNOWN)

    def add_record(self, row: int, class_name: str, processed: Processed, length: int) -> None:
        """Count a record that was written; records come in the order of their images.

        Args:
            row: index of its image among those of the shard, refused ones included.
            class_name: its class.
            processed: the result.
            length: of the record in bytes; see :class:`prep.output.index.measures.Measure`.
        """
        self.written[class_name] += 1
        self.measures.append(Measure(length, processed.width, processed.height))
        self.stats += processed.stats
        if processed.grid is not None:
            r, g, b = processed.stats.sums
            luma = (299 * r + 587 * g + 114 * b) // (10 * processed.stats.pixels)
            self._noted.append(Noted(row, processed.width, processed.height, luma, *processed.kind))
            self._grids.add(processed.grid)
        if processed.bits:
            before = self.deep.get(class_name, Deep(0, 0))
            self.deep[class_name] = before + Deep(1, processed.bits)

    def _find(self, entry: ImageEntry, outcome: Outcome, reason: str, detail: str) -> None:
        self.findings.append(
            ImageNote(
                path=entry.name,
                outcome=outcome,
                reason=reason,
                detail=detail[:_LONGEST_DETAIL],
                class_name=entry.class_name,
            )
        )

    def _count(self, read: Read, likeness: int) -> None:
        self.source_bytes += read.size
        self.checksums.append(read.checksum)
        self.likenesses.append(likeness)
