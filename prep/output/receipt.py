"""Receipts: the proof that a shard is committed, and how receipts add up to a run.

Adding up is associative and commutative, but for the order of the notes, which the report sorts.
"""

from __future__ import annotations

import os
import string
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import chain
from typing import Any, Literal, cast, get_args

from prep.images.depths import Depths
from prep.images.dimensions import Dimensions, add_counts
from prep.images.likeness.hashing import DIGITS as LIKENESS_DIGITS
from prep.images.mean_image import MeanImage
from prep.images.stats import ChannelStats
from prep.images.traits import Traits
from prep.output.index.measures import DIGITS as MEASURE_DIGITS
from prep.parsing import LARGEST_WHOLE, Fields, refuse
from prep.planning.shards import ShardSpec
from prep.settings.output_names import FORMATS, MOST_SHARDS, require_split_name, shard_name
from prep.sources.base import ImageEntry
from prep.storage.urls import stays_within

# The values of a receipt that was written before these were noted.
_NO_DIMENSIONS: Mapping[str, Any] = {"sides": {}, "aspects": {}}
_NO_DEPTHS: Mapping[str, Any] = {"classes": {}}
_NO_TRAITS: Mapping[str, Any] = Traits().to_json()
_NO_MEAN_IMAGE: Mapping[str, Any] = asdict(MeanImage())
_DIGITS = string.hexdigits
_LATEST = 253_402_300_799  # seconds since 1970, at the end of the year 9999
_LONGEST = 1e9  # seconds
Outcome = Literal["refused", "repaired", "damaged"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageNote:
    """A note about an image that was not simply written.

    Attributes:
        path: relative to the source.
        outcome: ``refused``: not written; ``repaired``: written, and nothing of it is lost;
            ``damaged``: written although part of it is lost, as the user asked.
        reason: a word or two, for counting.
        detail: what exactly was found.
        class_name: its class.
    """

    path: str
    outcome: Outcome = "refused"
    reason: str
    detail: str = ""
    class_name: str = ""

    @classmethod
    def from_json(cls, value: object) -> ImageNote:
        """Read what ``dataclasses.asdict`` gave; raise ValueError if it is not that."""
        fields = Fields(value, "an image that was found")
        path = fields.text("path")
        if not stays_within(path):
            refuse("path", "one that stays within the source", path)
        finding = cls(
            path=path,
            outcome=_outcome(fields.any("outcome")),
            reason=fields.text("reason"),
            detail=fields.text("detail"),
            class_name=fields.text("class_name"),
        )
        fields.end()
        return finding


def _outcome(value: object) -> Outcome:
    for outcome in get_args(Outcome):
        if value == outcome:
            return cast(Outcome, outcome)
    return refuse("outcome", " or ".join(get_args(Outcome)), value)


def of_outcome(findings: Iterable[ImageNote], outcome: Outcome) -> tuple[ImageNote, ...]:
    """Return the notes with this outcome."""
    return tuple(finding for finding in findings if finding.outcome == outcome)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardReceipt:
    """Proof that a shard is committed, and what is in it.

    Attributes:
        split, index, count: which shard, of how many.
        fingerprint: digest of the plan that it belongs to.
        file: its path relative to the output.
        bytes, sha256: size and digest of the file.
        written: number of records, by class.
        source_bytes: bytes of all image files that were read for it.
        checksums: of each image file as it was read, in the order of the manifest; see
            :mod:`prep.output.report.checksums`.
        stats: channel sums of the images written, before encoding.
        findings: notes about the images that were not written, or not as they were.
        seconds: how long it took.
        worker: host and process that wrote it.
        retries: how often reading or writing had to be tried again.
        began: when it was begun, in seconds since 1970; 0 if that was not noted.
        dimensions: of the images written. Like all that follow, of no images if not noted.
        depths: of those images written that claim 16 bits per sample.
        traits: kinds and extremes of the images written.
        mean_image: of the images written.
        likenesses: hashes of the images as hexadecimal digits, in the order of the manifest, by
            which those that look alike are found; empty if that was not asked for.
        measures: of the records, in order, as hexadecimal digits; see
            :mod:`prep.output.index.measures`. Empty if not noted.
    """

    split: str
    index: int
    count: int
    fingerprint: str
    file: str
    bytes: int
    sha256: str
    written: Mapping[str, int]
    source_bytes: int
    checksums: str
    stats: ChannelStats
    findings: tuple[ImageNote, ...]
    seconds: float
    worker: str
    retries: int = 0
    began: float = 0.0
    dimensions: Dimensions = field(default_factory=Dimensions)
    depths: Depths = field(default_factory=Depths)
    traits: Traits = field(default_factory=Traits)
    mean_image: MeanImage = field(default_factory=MeanImage)
    likenesses: str = ""
    measures: str = ""

    def to_json(self) -> dict[str, Any]:
        values = asdict(replace(self, traits=Traits()))
        values |= {"traits": self.traits.to_json(), "stats": self.stats.to_json()}
        for name in ("likenesses", "measures"):  # As in receipts of earlier versions.
            if not values[name]:
                del values[name]
        return values

    @classmethod
    def from_json(cls, value: object) -> ShardReceipt:
        """Read what :meth:`to_json` gave, and refuse what no shard could have.

        Raises:
            ValueError: it is not a receipt, or not a possible one; the message says why.
        """
        fields = Fields(value, "a receipt")
        split, index = require_split_name(fields.text("split")), fields.whole("index")
        written = _interned(fields.counts("written", least=1))
        findings = tuple(map(ImageNote.from_json, fields.list("findings")))
        rows = sum(written.values()) + len(of_outcome(findings, "refused"))
        receipt = cls(
            split=split,
            index=index,
            count=fields.whole("count", least=1, most=MOST_SHARDS),
            fingerprint=_hexadecimal(fields.text("fingerprint"), "fingerprint"),
            file=fields.text("file"),
            bytes=fields.whole("bytes"),
            sha256=_hexadecimal(fields.text("sha256"), "sha256"),
            written=written,
            source_bytes=fields.whole("source_bytes"),
            checksums=_hexadecimal(fields.text("checksums", most=LARGEST_WHOLE), "checksums"),
            stats=ChannelStats.from_json(fields.any("stats")),
            findings=findings,
            seconds=fields.number("seconds", most=_LONGEST),
            worker=fields.text("worker"),
            retries=fields.whole("retries", default=0),
            began=fields.number("began", most=_LATEST, default=0.0),
            # Not in a receipt that was written before they were noted.
            dimensions=Dimensions.from_json(fields.any("dimensions", _NO_DIMENSIONS)),
            depths=Depths.from_json(fields.any("depths", _NO_DEPTHS)),
            traits=Traits.from_json(fields.any("traits", _NO_TRAITS), split, index, rows),
            mean_image=MeanImage.from_json(fields.any("mean_image", _NO_MEAN_IMAGE)),
            likenesses=_digits(fields, "likenesses", LIKENESS_DIGITS, rows),
            measures=_digits(fields, "measures", MEASURE_DIGITS, sum(written.values())),
        )
        fields.end()
        if receipt.file not in (names := _shard_files(split, index, receipt.count)):
            refuse("file", " or ".join(map(repr, names)), receipt.file)
        return receipt

    @property
    def images(self) -> int:
        """Number of records."""
        return sum(self.written.values())

    def moved_to(self, shard: ShardSpec, digest: str, prefix: str = "") -> ShardReceipt:
        """Return the receipt of the same records as another shard, of another plan.

        Args:
            shard: the shard, of as many images.
            digest: fingerprint of its plan.
            prefix: what the names of its images begin with there.
        """
        return replace(
            self,
            split=shard.split,
            index=shard.index,
            count=shard.count,
            fingerprint=digest,
            file=os.path.join(shard.split, shard.name),
            findings=tuple(replace(note, path=prefix + note.path) for note in self.findings),
            traits=self.traits.moved_to(shard.split, shard.index),
        )

    def written_among(self, entries: Iterable[ImageEntry]) -> list[ImageEntry]:
        """Return the image of each record, in order, given all images of the shard."""
        refused = {note.path for note in of_outcome(self.findings, "refused")}
        return [entry for entry in entries if entry.name not in refused]


def _shard_files(split: str, index: int, count: int) -> list[str]:
    """Return what a shard's file can be called, relative to the output, by format."""
    return [os.path.join(split, shard_name(split, index, count, format)) for format in FORMATS]


def _hexadecimal(text: str, name: str) -> str:
    if text.strip(_DIGITS):
        refuse(name, "hexadecimal digits", text)
    return text


def _digits(fields: Fields, name: str, each: int, number: int) -> str:
    """Take so many digits for each of so many images, or none at all."""
    found = _hexadecimal(fields.text(name, LARGEST_WHOLE, default=""), name)
    if len(found) not in (0, each * number):
        refuse(name, f"{each} digits for each of {number} images, or none", len(found))
    return found


def _interned(written: Mapping[str, int]) -> dict[str, int]:
    """Intern the class names, which every receipt of a run repeats."""
    return {sys.intern(name): number for name, number in written.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """The sum of the receipts of some shards of one split."""

    shards: int = 0
    bytes: int = 0
    source_bytes: int = 0
    written: Mapping[str, int] = field(default_factory=dict)
    stats: ChannelStats = ChannelStats()
    findings: tuple[ImageNote, ...] = ()
    retries: int = 0
    dimensions: Dimensions = field(default_factory=Dimensions)
    depths: Depths = field(default_factory=Depths)
    traits: Traits = field(default_factory=Traits)
    mean_image: MeanImage = field(default_factory=MeanImage)

    def __add__(self, other: Totals) -> Totals:
        return Totals.sum([self, other])

    @classmethod
    def sum(cls, parts: Sequence[Totals]) -> Totals:
        """Add up many totals in linear time."""
        return cls(
            shards=sum(part.shards for part in parts),
            bytes=sum(part.bytes for part in parts),
            source_bytes=sum(part.source_bytes for part in parts),
            written=add_counts(part.written for part in parts),
            stats=sum((part.stats for part in parts), ChannelStats()),
            findings=tuple(chain.from_iterable(part.findings for part in parts)),
            retries=sum(part.retries for part in parts),
            dimensions=Dimensions.sum(part.dimensions for part in parts),
            depths=sum((part.depths for part in parts), Depths()),
            traits=Traits.sum(part.traits for part in parts),
            mean_image=MeanImage.sum(part.mean_image for part in parts),
        )

    @property
    def images(self) -> int:
        """Number of records."""
        return sum(self.written.values())

    @property
    def refused(self) -> tuple[ImageNote, ...]:
        """Notes about the images that were not written."""
        return of_outcome(self.findings, "refused")


SplitTotals = Mapping[str, Totals]


def total_receipts(receipts: Iterable[ShardReceipt]) -> SplitTotals:
    """Add receipts up, split by split."""
    return merge_totals(
        {
            receipt.split: Totals(
                shards=1,
                bytes=receipt.bytes,
                source_bytes=receipt.source_bytes,
                written=receipt.written,
                stats=receipt.stats,
                findings=receipt.findings,
                retries=receipt.retries,
                dimensions=receipt.dimensions,
                depths=receipt.depths,
                traits=receipt.traits,
                mean_image=receipt.mean_image,
            )
        }
        for receipt in receipts
    )


def merge_totals(parts: Iterable[SplitTotals]) -> SplitTotals:
    """Add totals up, split by split."""
    found: dict[str, list[Totals]] = {}
    for part in parts:
        for split, totals in part.items():
            found.setdefault(split, []).append(totals)
    return {split: Totals.sum(totals) for split, totals in found.items()}
