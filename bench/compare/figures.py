"""Measurements → costs and ratios: within each round, and then the median over the rounds."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass

from bench.compare.contenders import Timing
from bench.compare.monitor import Observation
from bench.limit import Pace


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """The cost of an image once all cores are at work, and the fixed cost of a run.

    A line through two numbers of images: ``seconds = fixed + wall · images``.

    Attributes:
        wall: seconds per image, of all cores together.
        cpu: seconds of processor time per image.
        fixed: seconds.
        others: share of the cores (0 to 1) that others took during the longer run.
    """

    wall: float
    cpu: float
    fixed: float
    others: float

    @classmethod
    def of_slope(cls, small: Timing, large: Timing, few: int, many: int) -> Cost:
        """Return the cost from runs with few images and with many."""
        images = many - few
        wall = (large.wall - small.wall) / images
        return cls(
            wall=wall,
            cpu=(large.cpu - small.cpu) / images,
            fixed=small.wall - wall * few,
            others=large.others,
        )

    @classmethod
    def of_run(cls, timing: Timing) -> Cost:
        """Return the cost of a run as a whole, as if it were one image."""
        return cls(wall=timing.wall, cpu=timing.cpu, fixed=0.0, others=timing.others)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What one round found of one program.

    Attributes:
        bare: the paces of the bare loop, before and after.
        seen: its memory, if that was looked at.
        printed: what it said, if that is what counts.
    """

    name: str
    cost: Cost = Cost(wall=0.0, cpu=0.0, fixed=0.0, others=0.0)
    bare: tuple[Pace, ...] = ()
    seen: Observation | None = None
    printed: str = ""

    @property
    def share(self) -> float:
        """The rate as a share of the bare loop's."""
        return statistics.fmean(pace.wall for pace in self.bare) / self.cost.wall

    @property
    def share_of_cpu(self) -> float:
        """The same by processor time, which hardly feels what else runs, and leaves out waiting."""
        return statistics.fmean(pace.cpu for pace in self.bare) / self.cost.cpu


def median_of(values: Iterable[float]) -> float:
    """Return the median over rounds."""
    return statistics.median(values)


def range_of(values: Iterable[float], digits: int = 3) -> str:
    """Return the median over rounds, and the lowest and highest.

    >>> range_of([0.81, 0.79, 0.9], digits=2)
    '0.81 (0.79 to 0.90)'
    >>> range_of([0.8])
    '0.800'
    """
    found = sorted(values)
    median = f"{statistics.median(found):.{digits}f}"
    if len(found) == 1:
        return median
    return f"{median} ({found[0]:.{digits}f} to {found[-1]:.{digits}f})"
