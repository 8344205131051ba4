"""The progress of a run, as the terminal, notebooks and the dashboard show it, and its rates."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from prep.output.report.verdict import Verdict

ShardState = Literal["waiting", "running", "committed", "failed", "resumed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitCounts:
    """Images of one split.

    Attributes:
        planned: all of them.
        done: written or refused.
        refused: of these, those that were refused.
    """

    planned: int
    done: int
    refused: int = 0

    @property
    def written(self) -> int:
        return self.done - self.refused


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedName:
    """An image that was refused, for people to read."""

    path: str
    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveCounts:
    """The progress of a run. All counts include what earlier runs have committed.

    Attributes:
        verdict: the state of the run, and the reason for it.
        planned: number of images (or whatever is counted) in all.
        images: number of images done, written or refused.
        refused: number of images refused.
        shards: number of shards committed.
        bytes_read, bytes_written: bytes of image files read, and of shards written.
        seconds: time since the run began.
        images_per_second, read_per_second, written_per_second: recent rates, the latter two in
            bytes; None while it is too early to tell.
        seconds_left: time left at that rate; None if there is no rate.
        splits: counts of images by split.
        shard_states: number of shards in each state.
        reasons: number of refused images by reason, the most frequent first.
        latest: the images refused last, the newest first.
        mean, std: per channel (``R``, ``G``, ``B``), 0 to 255, of what is written so far, as in the
            report; None before anything is written.
        without_workers: seconds for which the cluster has had no workers; None while it has some.
    """

    verdict: Verdict = Verdict()
    planned: int = 0
    images: int = 0
    refused: int = 0
    shards: int = 0
    bytes_read: int = 0
    bytes_written: int = 0
    seconds: float = 0.0
    images_per_second: float | None = None
    read_per_second: float | None = None
    written_per_second: float | None = None
    seconds_left: float | None = None
    splits: Mapping[str, SplitCounts] = field(default_factory=dict)
    shard_states: Mapping[ShardState, int] = field(default_factory=dict)
    reasons: Mapping[str, int] = field(default_factory=dict)
    latest: tuple[RefusedName, ...] = ()
    mean: Mapping[str, float] | None = None
    std: Mapping[str, float] | None = None
    without_workers: float | None = None

    @property
    def written(self) -> int:
        """Images that are done, and were not refused."""
        return self.images - self.refused

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> LiveCounts:
        splits = {name: SplitCounts(**counts) for name, counts in value["splits"].items()}
        latest = tuple(RefusedName(**image) for image in value["latest"])
        verdict = Verdict.from_json(value["verdict"])
        return cls(**{**value, "verdict": verdict, "splits": splits, "latest": latest})


_AT_LEAST = 1.0  # seconds before a rate means anything
_AT_MOST = 30.0  # seconds that a rate is taken over


class Pace:
    """Adds recent rates to counts.

    The clock starts with the first image: starting workers says nothing about the speed of work.
    """

    def __init__(self) -> None:
        self._marks: deque[tuple[float, LiveCounts]] = deque()
        self._images_before: int | None = None

    def add_rates(self, counts: LiveCounts, now: float) -> LiveCounts:
        """Return the counts with rates, and the time left at that of the images.

        Args:
            counts: of the run, later than those of the last call.
            now: in seconds, by a clock that only goes forward.
        """
        if self._images_before is None:
            self._images_before = counts.images
        if not self._marks and counts.images == self._images_before:
            return counts
        self._marks.append((now, counts))
        while now - self._marks[0][0] > _AT_MOST and len(self._marks) > 2:
            self._marks.popleft()
        began, first = self._marks[0]
        seconds = now - began
        if seconds < _AT_LEAST or counts.images <= first.images:
            return counts
        rate = (counts.images - first.images) / seconds
        return replace(
            counts,
            images_per_second=rate,
            read_per_second=max(counts.bytes_read - first.bytes_read, 0) / seconds,
            written_per_second=max(counts.bytes_written - first.bytes_written, 0) / seconds,
            seconds_left=max(counts.planned - counts.images, 0) / rate,
        )
