"""Measurements → costs and ratios: within each round, and then the median over the rounds."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench.contenders import NAMES
from bench.limit import Pace
from bench.rounds import Pair, Round, Setup

_LIMITS = ("limit", "limit_scaled")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """The cost of an image once all cores are at work, and the fixed cost of a run.

    A line through the two sizes: ``seconds = fixed + wall · images``.

    Attributes:
        wall: seconds per image, of all cores together.
        cpu: seconds of processor time per image.
        fixed: seconds.
        others: share of the cores (0 to 1) that others took during the longer run.
    """

    wall: float
    cpu: float
    fixed: float = 0.0
    others: float = 0.0


@dataclass(frozen=True, slots=True)
class Figure:
    """A number from each round; their median is what counts."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)


def costs(measured: Round, setup: Setup) -> dict[str, Cost]:
    """Return the costs of one round: of the two limits, and of the programs."""
    limits = {
        "limit": _cost_of_limit(measured.limit),
        "limit_scaled": _cost_of_limit([measured.limit_scaled]),
    }
    programs = {str(name): _cost(pair, setup) for name, pair in measured.pairs.items()}
    return limits | programs


def ratios(cost: Mapping[str, Cost], cores: int) -> dict[str, float]:
    """The ratios of one round, by what they say.

    Those by processor time hardly feel what else runs on the machine. They leave out waiting, for
    the disk or for one another, which the others count.
    """
    found = {}
    for name in NAMES:
        for limit in _LIMITS:
            found[f"{name} / {limit}"] = cost[limit].wall / cost[name].wall
            found[f"{name} / {limit}, by processor time"] = cost[limit].cpu / cost[name].cpu
    found["prep / article"] = cost["article"].wall / cost["prep"].wall
    found["prep / article, by processor time"] = cost["article"].cpu / cost["prep"].cpu
    area, linear = cost["prep_area"], cost["prep"]
    found["area - linear, ms per image and core"] = (area.wall - linear.wall) * cores * 1000
    found["area - linear, ms of processor time"] = (area.cpu - linear.cpu) * 1000
    return found


def over_rounds(rounds: Sequence[Mapping[str, float]]) -> dict[str, Figure]:
    """Puts the same number of each round together."""
    return {name: Figure(tuple(found[name] for found in rounds)) for name in rounds[0]}


def median_cost(rounds: Iterable[Cost]) -> Cost:
    """The median of each part of a cost."""
    found = list(rounds)
    return Cost(
        wall=statistics.median(cost.wall for cost in found),
        cpu=statistics.median(cost.cpu for cost in found),
        fixed=statistics.median(cost.fixed for cost in found),
        others=statistics.median(cost.others for cost in found),
    )


def _cost_of_limit(paces: Sequence[Pace]) -> Cost:
    return Cost(
        wall=statistics.fmean(pace.wall for pace in paces),
        cpu=statistics.fmean(pace.cpu for pace in paces),
    )


def _cost(pair: Pair, setup: Setup) -> Cost:
    images = setup.large - setup.small
    wall = (pair.large.wall - pair.small.wall) / images
    return Cost(
        wall=wall,
        cpu=(pair.large.cpu - pair.small.cpu) / images,
        fixed=pair.small.wall - wall * setup.small,
        others=pair.large.others,
    )
