"""What came of a shard, and how receipts add up to a run.

Merging is associative and commutative but for the order of the findings, which the end sorts.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from prep.depths import Depths
from prep.dimensions import Dimensions
from prep.stats import ChannelStats

# Of a receipt that was written before they were noted.
_NO_DIMENSIONS: Mapping[str, Any] = {"sides": {}, "aspects": {}}
_NO_DEPTHS: Mapping[str, Any] = {"classes": {}}
Outcome = Literal["refused", "repaired", "damaged"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """An image that was not simply written.

    Attributes:
        path: relative to the source.
        outcome: ``refused`` and so not written; ``repaired``: written, nothing of it is lost;
            ``damaged``: written although some of it is lost, as the user asked.
        reason: a word or two, for counting.
        detail: what exactly was found.
        class_name: the folder it lies in.
    """

    path: str
    outcome: Outcome = "refused"
    reason: str
    detail: str = ""
    class_name: str = ""


def of_outcome(findings: Iterable[Finding], outcome: Outcome) -> tuple[Finding, ...]:
    """Those findings that came to this."""
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
            :mod:`prep.checksums`.
        stats: channel sums of the squares written.
        findings: the images that were not written, or not as they were.
        seconds: how long it took.
        worker: host and process that wrote it.
        retries: how often reading or writing had to be tried again.
        began: when it was begun, in seconds since 1970; 0 where that was not noted.
        dimensions: of the images written; of none where they were not noted.
        depths: of those images written that claim 16 bits a sample; of none where not noted.
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
    findings: tuple[Finding, ...]
    seconds: float
    worker: str
    retries: int = 0
    began: float = 0.0
    dimensions: Dimensions = field(default_factory=Dimensions)
    depths: Depths = field(default_factory=Depths)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ShardReceipt:
        """Raises KeyError or TypeError where the value is not a receipt."""
        return cls(
            **{
                **value,
                "written": _interned(value["written"]),
                "stats": ChannelStats.from_json(value["stats"]),
                "findings": tuple(Finding(**f) for f in value["findings"]),
                "dimensions": Dimensions.from_json(value.get("dimensions", _NO_DIMENSIONS)),
                "depths": Depths.from_json(value.get("depths", _NO_DEPTHS)),
            }
        )


def _interned(written: Any) -> Any:
    """The same; class names come again in each receipt of a run."""
    if not isinstance(written, dict):
        return written
    return {sys.intern(name): number for name, number in written.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Receipts of some shards of one split, added up."""

    shards: int = 0
    bytes: int = 0
    source_bytes: int = 0
    written: Mapping[str, int] = field(default_factory=dict)
    stats: ChannelStats = ChannelStats()
    findings: tuple[Finding, ...] = ()
    retries: int = 0
    dimensions: Dimensions = field(default_factory=Dimensions)
    depths: Depths = field(default_factory=Depths)

    def __add__(self, other: Totals) -> Totals:
        return Totals(
            shards=self.shards + other.shards,
            bytes=self.bytes + other.bytes,
            source_bytes=self.source_bytes + other.source_bytes,
            written=Counter(self.written) + Counter(other.written),
            stats=self.stats + other.stats,
            findings=self.findings + other.findings,
            retries=self.retries + other.retries,
            dimensions=self.dimensions + other.dimensions,
            depths=self.depths + other.depths,
        )

    @property
    def images(self) -> int:
        """Number of records."""
        return sum(self.written.values())

    @property
    def refused(self) -> tuple[Finding, ...]:
        """The images that were not written."""
        return of_outcome(self.findings, "refused")


SplitTotals = Mapping[str, Totals]


def total_receipts(receipts: Iterable[ShardReceipt]) -> SplitTotals:
    """Adds receipts up, split by split."""
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
            )
        }
        for receipt in receipts
    )


def merge_totals(parts: Iterable[SplitTotals]) -> SplitTotals:
    """Adds totals up, split by split."""
    merged: dict[str, Totals] = {}
    for part in parts:
        for split, totals in part.items():
            merged[split] = merged.get(split, Totals()) + totals
    return merged
