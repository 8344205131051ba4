"""What is measured together, in turns: A B C A B C …"""

from __future__ import annotations

import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from bench.compare.contenders import ROOT, Contender, Job, Timing, time_job
from bench.compare.figures import Cost, Entry, median_of, range_of
from bench.compare.loops import Loop
from bench.compare.monitor import observe
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

    @abstractmethod
    def tasks(self, photos: Photos) -> Iterator[Callable[[], Entry]]:
        """Return what measures everything once, a program at a time."""

    @abstractmethod
    def table(self, rounds: Sequence[Mapping[str, Entry]]) -> str:
        """Return a table in Markdown of what succeeded in each round, by name."""


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

    def table(self, rounds: Sequence[Mapping[str, Entry]]) -> str:
        """See :meth:`Section.table`."""
        shares = "of the bare loop", "by processor time", f"of {self.reference}"
        columns = ("", "images/s", *shares, "fixed, s", "others")
        return markdown(columns, [self._row(name, rounds) for name in names_in(rounds)])

    def _row(self, name: str, rounds: Sequence[Mapping[str, Entry]]) -> tuple[str, ...]:
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

    def tasks(self, photos: Photos) -> Iterator[Callable[[], Entry]]:
        """See :meth:`Section.tasks`."""
        return (partial(self._measure, photos, *pair) for pair in self.contenders)

    def _measure(self, photos: Photos, contender: Contender, images: int) -> Entry:
        timing = photos.time(contender, images, max(images, 1))
        number = "1 image" if images == 1 else f"{images:,} images"
        name = f"{contender.name}, {number}" if images else contender.name
        return Entry(name=name, cost=Cost.of_run(timing))

    def table(self, rounds: Sequence[Mapping[str, Entry]]) -> str:
        """See :meth:`Section.table`."""
        columns = ("", "seconds", "of processor time", "others")
        return markdown(columns, [self._row(name, rounds) for name in names_in(rounds)])

    def _row(self, name: str, rounds: Sequence[Mapping[str, Entry]]) -> tuple[str, ...]:
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

    def tasks(self, photos: Photos) -> Iterator[Callable[[], Entry]]:
        """See :meth:`Section.tasks`."""
        return (partial(self._measure, photos, *job) for job in self.jobs)

    def _measure(self, photos: Photos, contender: Contender, images: int, per_shard: int) -> Entry:
        name = f"{contender.name}, {images:,} images, {per_shard:,} a shard"
        photos.say(f"  watching {name}")
        return Entry(name=name, seen=observe(photos.job(contender, images, per_shard)))

    def table(self, rounds: Sequence[Mapping[str, Entry]]) -> str:
        """See :meth:`Section.table`."""
        columns = ("", "largest worker, MiB", "of it private", "client", "cores busy")
        return markdown(columns, [_memory_row(entry) for entry in rounds[-1].values()])


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs(Section):
    """What other benchmarks print.

    Attributes:
        benchmarks: modules, each with its arguments.
    """

    title: str
    benchmarks: Sequence[tuple[str, ...]]
    rounds: int = 1

    def tasks(self, photos: Photos) -> Iterator[Callable[[], Entry]]:
        """See :meth:`Section.tasks`."""
        return (partial(self._measure, photos, *words) for words in self.benchmarks)

    def _measure(self, photos: Photos, *words: str) -> Entry:
        name = " ".join(("python -m", *words))
        photos.say(f"  {name}")
        done = subprocess.run(
            [sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True
        )
        if done.returncode != 0:
            raise RuntimeError(f"{name} ended with {done.returncode}:\n{done.stderr[-2000:]}")
        return Entry(name=name, printed=done.stdout)

    def table(self, rounds: Sequence[Mapping[str, Entry]]) -> str:
        """See :meth:`Section.table`."""
        return "\n\n".join(
            f"`{name}`:\n\n```\n{entry.printed.strip()}\n```" for name, entry in rounds[-1].items()
        )


def names_in(rounds: Sequence[Mapping[str, Entry]]) -> list[str]:
    """Return the programs that any round found something of, in their order."""
    return list(dict.fromkeys(name for found in rounds for name in found))


def _memory_row(entry: Entry) -> tuple[str, ...]:
    seen = entry.seen
    assert seen is not None
    worker = max(seen.workers, key=lambda worker: worker.resident, default=seen.client)
    sizes = (worker.resident, worker.private, seen.client.resident)
    busy = f"{seen.cores.mean:.0%}" if seen.cores else "too short"
    return (entry.name, *(f"{size / 2**20:.0f}" for size in sizes), busy)


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown.

    >>> print(markdown(("", "s"), [("a", "1.5"), ("bcd", "10")]))
    |     |   s |
    |-----|----:|
    | a   | 1.5 |
    | bcd |  10 |
    """
    lines = [tuple(columns), *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]

    def line_of(cells: Sequence[str]) -> str:
        first, *rest = (
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return "| " + " | ".join((first, *rest)) + " |"

    rule = "|" + "|".join("-" * (width + 1) + (":" if i else "-") for i, width in enumerate(widths))
    return "\n".join((line_of(lines[0]), rule + "|", *map(line_of, lines[1:])))
