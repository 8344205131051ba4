"""Mean use of the cores during a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

from prep.output.report.history import History

#: Workers or hosts up to this number are named; of more, the least, middle and most used.
_MOST_NAMED = 8
_ALL_AT_WORK = 90.0  # percent
_FEWEST = 5  # samples, or a mean tells nothing


class Use(NamedTuple):
    """Mean use of the cores of a worker or host, in percent; None if there are too few samples."""

    name: str
    percent: float | None

    @property
    def width(self) -> float:
        """The width of a bar, 0 to 100; a worker's threads may use more than one core."""
        return min(round(self.percent or 0.0, 1), 100.0)


class CoreUse(NamedTuple):
    """Mean use of the cores by host, in percent of all its cores, and by worker, of one core."""

    hosts: Sequence[Use]
    workers: Sequence[Use]

    @property
    def known(self) -> bool:
        """True if there are enough samples of any host or worker."""
        return any(use.percent is not None for use in (*self.hosts, *self.workers))

    @property
    def of_hosts(self) -> float | None:
        """The mean over all hosts."""
        return _mean(self.hosts)

    @property
    def by_others(self) -> bool:
        """True if the cores were busy while the workers got little of them."""
        hosts, workers = _mean(self.hosts), _mean(self.workers)
        if hosts is None or workers is None:
            return False
        return hosts >= _ALL_AT_WORK and workers < _ALL_AT_WORK / 2

    def __str__(self) -> str:
        hosts, workers = _mean(self.hosts), _mean(self.workers)
        said = []
        if hosts is not None:
            said.append(f"{hosts:.0f}% of all cores were in use")
        if workers is not None:
            said.append(f"each worker used {workers:.0f}% of a core")
        if not said:
            return "The run was too short to tell whether the cores were busy."
        if self.by_others:
            verdict = "The cores were busy, but with other programs than this run's workers"
        elif (hosts or 0.0) >= _ALL_AT_WORK:
            verdict = "All cores were at work"
        else:
            return f"On average, {' and '.join(said)}."
        return f"{verdict}: on average, {' and '.join(said)}."


def measure_use(histories: Sequence[History]) -> CoreUse:
    """Return the mean use of the cores over all parts of a run."""
    return CoreUse(_means(histories, "hosts"), _means(histories, "workers"))


def _mean(uses: Sequence[Use]) -> float | None:
    known = [use.percent for use in uses if use.percent is not None]
    return sum(known) / len(known) if known else None


def _means(histories: Sequence[History], kind: Literal["hosts", "workers"]) -> list[Use]:
    samples: dict[str, list[tuple[float, float]]] = {}
    for history in histories:
        weights = _weights(history.seconds)
        columns: Mapping[str, tuple[float | None, ...]] = getattr(history, kind)
        for name, values in columns.items():
            known = zip(values, weights, strict=True)
            samples.setdefault(name, []).extend((v, w) for v, w in known if v is not None)
    found = [Use(name, _weighted(of)) for name, of in sorted(samples.items())]
    return found if len(found) <= _MOST_NAMED else _least_middle_most(found, kind)


def _weights(seconds: Sequence[float]) -> Sequence[float]:
    """Return how long each sample stands for, because parts of a run differ in their intervals."""
    if len(seconds) < 2:
        return [1.0] * len(seconds)
    weights: list[float] = np.maximum(np.gradient(np.asarray(seconds, float)), 1e-9).tolist()
    return weights


def _weighted(samples: Sequence[tuple[float, float]]) -> float | None:
    if len(samples) < _FEWEST:
        return None
    values, weights = zip(*samples, strict=True)
    return float(np.average(values, weights=weights))


def _least_middle_most(found: Sequence[Use], kind: str) -> list[Use]:
    known = sorted(use.percent for use in found if use.percent is not None)
    chosen = (known[0], known[len(known) // 2], known[-1]) if known else (None,) * 3
    noun = kind.removesuffix("s")
    names = (f"the least used {noun}", f"the middle {noun}", f"the most used {noun}")
    return [Use(name, percent) for name, percent in zip(names, chosen, strict=True)]
