"""The measurements, taken in turns: A B C A B C …"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.contenders import NAMES, Job, Name, Timing, time_job
from bench.limit import Pace, measure_limit
from bench.monitor import Observation, observe

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """The subjects of the measurement.

    Attributes:
        small, large: numbers of images, between which the slope is taken.
        images_per_shard: for the programs that are timed.
        observed_shards: shard sizes at which memory is compared.
        cores: how many processes there are of everything.
    """

    small: int
    large: int
    rounds: int
    images_per_shard: int
    observed_shards: tuple[int, ...]
    cores: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One program with few images and with many."""

    small: Timing
    large: Timing


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """Everything once.

    The limit is measured before and after each program, on as many images as the slope is taken
    over: what the machine has to give drifts, and many a machine gives more for a few seconds than
    it does in the long run.
    """

    limit: tuple[Pace, ...]
    limit_scaled: Pace
    pairs: dict[Name, Pair]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """The images, and how to measure on them."""

    setup: Setup
    originals: Sequence[Path]
    sets: dict[int, Path]
    say: Say

    def run_rounds(self) -> list[Round]:
        rounds = []
        for number in range(1, self.setup.rounds + 1):
            self.say(f"round {number} of {self.setup.rounds}")
            rounds.append(self._round())
        return rounds

    def observe_all(self) -> list[Observation]:
        """Memory and use of the cores: at either number of images, at either shard size."""
        return [self._observe(job) for job in self._observed_jobs()]

    def _round(self) -> Round:
        scaled = self._limit(scaled=True)
        limit = [self._limit(scaled=False)]
        pairs: dict[Name, Pair] = {}
        for name in NAMES:
            pairs[name] = Pair(
                small=self._time(name, self.setup.small), large=self._time(name, self.setup.large)
            )
            limit.append(self._limit(scaled=False))
        return Round(limit=tuple(limit), limit_scaled=scaled, pairs=pairs)

    def _limit(self, *, scaled: bool) -> Pace:
        setup = self.setup
        images = setup.large - setup.small
        pace = measure_limit(self.originals, images, setup.cores, scaled=scaled)
        self.say(f"  limit{' scaled' if scaled else ''}: {1 / pace.wall:,.0f} images/s")
        return pace

    def _time(self, name: Name, images: int) -> Timing:
        timing = time_job(self._job(name, images, self.setup.images_per_shard))
        self.say(f"  {name}, {images:,} images: {timing.wall:.2f} s, others {timing.others:.0%}")
        return timing

    def _observe(self, job: Job) -> Observation:
        self.say(f"watching {job.name}, {job.images:,} images, {job.images_per_shard:,} a shard")
        return observe(job)

    def _observed_jobs(self) -> Iterator[Job]:
        for images_per_shard in self.setup.observed_shards:
            for images in (self.setup.small, self.setup.large):
                yield self._job("prep", images, images_per_shard)
        yield self._job("article", self.setup.large, self.setup.images_per_shard)

    def _job(self, name: Name, images: int, images_per_shard: int) -> Job:
        return Job(
            name=name, source=self.sets[images], images=images, images_per_shard=images_per_shard
        )
