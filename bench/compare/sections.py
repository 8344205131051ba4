"""What is measured together, in turns: A B C A B C …"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from bench.compare.contenders import Contender, Job, Timing, time_job
from bench.compare.figures import Cost, Entry, Row, median_of, range_of
from bench.compare.loops import Loop
from bench.compare.monitor import Observation, observe
from bench.limit import Pace, measure_limit, measure_pace


@dataclass(frozen=True, slots=True, kw_only=True)
class Photos:
    """The images.

    Attributes:
        originals: different photos; the bare loops hold them in memory.
        linked: returns the folder with a number of images.
        cores: how many processes there are of a bare loop.
        say: tells people what has been measured.
        latest: the bare loop that was run last, if nothing else was since.
    """

    originals: Sequence[Path]
    linked: Callable[[int], Path]
    cores: int
    say: Callable[[str], None]
    latest: dict[Loop | None, Pace] = field(default_factory=dict)

    def time(self, contender: Contender, images: int, images_per_shard: int) -> Timing:
        """Run a program once."""
        self.latest.clear()
        timing = time_job(self.job(contender, images, images_per_shard))
        self.say(
            f"  {contender.name}, {images:,} images: {timing.wall:.2f} s, "
            f"others {timing.others:.0%}"
        )
        return timing

    def job(self, contender: Contender, images: int, images_per_shard: int) -> Job:
        """Return one run of a program."""
        return Job(
            contender=contender,
            source=self.linked(images),
            images=images,
            images_per_shard=images_per_shard,
        )

    def pace(self, loop: Loop | None, images: int) -> Pace:
        """Run a bare loop, or the limit."""
        if loop is None:
            pace = measure_limit(self.originals, images, self.cores, scaled=False)
        else:
            pace = measure_pace(self.originals, images, self.cores, loop)
        self.say(f"  {loop or 'limit'}: {1 / pace.wall:,.0f} images/s")
        self.latest[loop] = pace
        return pace


class Section(ABC):
    """Programs that are compared with one another.

    Attributes:
        title: of its table.
        rounds: how often each is measured, at most.
    """

    title: str
    rounds: int

    @property
    @abstractmethod
    def columns(self) -> tuple[str, ...]:
        """The names of a table's columns."""

    @abstractmethod
    def tasks(self, photos: Photos) -> Iterator[Callable[[], Entry]]:
        """Return what measures everything once, a program at a time."""

    @abstractmethod
    def rows(self, rounds: Sequence[Mapping[str, Entry]]) -> list[Row]:
        """Return a table, from what was measured in each round that was a success."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates(Section):
    """The cost of each further image, by the slope between two numbers of images.

    A bare loop runs before and after each program, on as many images as the slope is taken over:
    what the machine has to give drifts, and many a machine gives more for a few seconds than it
    does in the long run.

    Attributes:
        contenders: programs, each with the bare loop that it is held against; None is the limit.
        small, large: numbers of images.
        reference: the program whose rate the others are also given as a multiple of.
    """

    title: str
    rounds: int
    contenders: Sequence[tuple[Contender, Loop | None]]
    small: int
    large: int
    images_per_shard: int
    reference: str

    @property
    def columns(self) -> tuple[str, ...]:
        """See :meth:`Section.columns`."""
        return (
            "",
            "images/s",
            "of the bare loop",
            "by processor time",
            f"of {self.reference}",
            "fixed, s",
            "others",
        )

    def tasks(self, photos: Photos) -> Iterator[Callable[[], Entry]]:
        """See :meth:`Section.tasks`."""
        return (partial(self._measure, photos, *pair) for pair in self.contenders)

    def _measure(self, photos: Photos, contender: Contender, loop: Loop | None) -> Entry:
        images = self.large - self.small
        before = photos.latest.pop(loop, None) or photos.pace(loop, images)
        small = photos.time(contender, self.small, self.images_per_shard)
        large = photos.time(contender, self.large, self.images_per_shard)
        cost = Cost.of_slope(small, large, self.small, self.large)
        bare = before, photos.pace(loop, images)
        return Entry(name=contender.name, cost=cost, bare=bare)

    def rows(self, rounds: Sequence[Mapping[str, Entry]]) -> list[Row]:
        """See :meth:`Section.rows`."""
        return [self._row(name, rounds) for name in names_in(rounds)]

    def _row(self, name: str, rounds: Sequence[Mapping[str, Entry]]) -> Row:
        complete = [found for found in rounds if name in found]
        entries = [found[name] for found in complete]
        relative = [
            found[self.reference].cost.wall / found[name].cost.wall
            for found in complete
            if self.reference in found
        ]
        return (
            name,
            f"{median_of(1 / entry.cost.wall for entry in entries):,.0f}",
            range_of(entry.share for entry in entries),
            range_of(entry.share_of_cpu for entry in entries),
            range_of(relative) if relative else "",
            f"{median_of(entry.cost.fixed for entry in entries):.1f}",
            f"{max(entry.cost.others for entry in entries):.0%}",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Durations(Section):
    """Seconds from start to end, with a few images or none."""

    title: str
    rounds: int
    contenders: Sequence[tuple[Contender, int]]

    @property
    def columns(self) -> tuple[str, ...]:
        """See :meth:`Section.columns`."""
        return ("", "seconds", "of processor time", "others")

    def tasks(self, photos: Photos) -> Iterator[Callable[[], Entry]]:
        """See :meth:`Section.tasks`."""
        return (partial(self._measure, photos, *pair) for pair in self.contenders)

    def _measure(self, photos: Photos, contender: Contender, images: int) -> Entry:
        timing = photos.time(contender, images, max(images, 1))
        number = "1 image" if images == 1 else f"{images:,} images"
        name = f"{contender.name}, {number}" if images else contender.name
        return Entry(name=name, cost=Cost.of_run(timing))

    def rows(self, rounds: Sequence[Mapping[str, Entry]]) -> list[Row]:
        """See :meth:`Section.rows`."""
        return [self._row(name, rounds) for name in names_in(rounds)]

    def _row(self, name: str, rounds: Sequence[Mapping[str, Entry]]) -> Row:
        costs = [found[name].cost for found in rounds if name in found]
        return (
            name,
            range_of((cost.wall for cost in costs), digits=2),
            f"{median_of(cost.cpu for cost in costs):.2f}",
            f"{max(cost.others for cost in costs):.0%}",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory(Section):
    """Memory and use of the cores, looked at while programs run, which are not timed.

    Attributes:
        jobs: programs, each with a number of images, and of images per shard.
    """

    title: str
    jobs: Sequence[tuple[Contender, int, int]]
    rounds: int = 1

    @property
    def columns(self) -> tuple[str, ...]:
        """See :meth:`Section.columns`."""
        return ("", "largest worker, MiB", "of it private", "client", "cores busy")

    def tasks(self, photos: Photos) -> Iterator[Callable[[], Entry]]:
        """See :meth:`Section.tasks`."""
        return (partial(self._measure, photos, *job) for job in self.jobs)

    def _measure(self, photos: Photos, contender: Contender, images: int, per_shard: int) -> Entry:
        name = f"{contender.name}, {images:,} images, {per_shard:,} a shard"
        photos.say(f"  watching {name}")
        return Entry(name=name, seen=observe(photos.job(contender, images, per_shard)))

    def rows(self, rounds: Sequence[Mapping[str, Entry]]) -> list[Row]:
        """See :meth:`Section.rows`."""
        return [_memory_row(name, entry.seen) for name, entry in rounds[-1].items() if entry.seen]


def names_in(rounds: Sequence[Mapping[str, Entry]]) -> list[str]:
    """Return the programs that any round found something of, in their order."""
    return list(dict.fromkeys(name for found in rounds for name in found))


def _memory_row(name: str, seen: Observation) -> Row:
    workers = max(seen.workers, key=lambda worker: worker.resident, default=seen.client)
    sizes = (workers.resident, workers.private, seen.client.resident)
    busy = f"{seen.cores.mean:.0%}" if seen.cores else "too short"
    return (name, *(f"{size / 2**20:.0f}" for size in sizes), busy)
