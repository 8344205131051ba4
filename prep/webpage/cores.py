"""How much of the cores was in use, on average."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from prep.text import one_line
from prep.watching.history import History
from prep.webpage.sections import FEWEST

#: More workers than these are shown by the least used, the middle and the most used of them.
_MOST_NAMED = 8
_ALL_AT_WORK = 90.0  # percent


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreUse:
    """Mean use of the cores of a worker or host, in percent; None of too few samples to tell."""

    name: str
    percent: float | None

    @property
    def width(self) -> float:
        """Of a bar on a scale from 0 to 100: threads of a worker may use more than one core."""
        return min(round(self.percent or 0.0, 1), 100.0)


def core_use(histories: Sequence[History]) -> tuple[list[CoreUse], list[CoreUse]]:
    """That of hosts, and of workers."""
    return _means(histories, "hosts"), _means(histories, "workers")


def mean_use(uses: Sequence[CoreUse]) -> float | None:
    """The mean of all, in percent; None where there were too few samples of each to tell."""
    known = [use.percent for use in uses if use.percent is not None]
    return sum(known) / len(known) if known else None


def describe_use(hosts: Sequence[CoreUse], workers: Sequence[CoreUse]) -> str:
    """How much of the cores was in use, in a sentence."""
    of_hosts, of_workers = mean_use(hosts), mean_use(workers)
    said = []
    if of_hosts is not None:
        said.append(f"{of_hosts:.0f}% of all cores were in use")
    if of_workers is not None:
        said.append(f"each worker used {of_workers:.0f}% of a core")
    if not said:
        return "The run was too short to tell whether the cores were busy."
    if used_by_others(hosts, workers):
        verdict = "The cores were busy, but with other programs than this run's workers"
    elif (of_hosts or 0.0) >= _ALL_AT_WORK:
        verdict = "All cores were at work"
    else:
        return f"On average, {' and '.join(said)}."
    return f"{verdict}: on average, {' and '.join(said)}."


def used_by_others(hosts: Sequence[CoreUse], workers: Sequence[CoreUse]) -> bool:
    """Whether the cores were busy while the workers got little of them."""
    of_hosts, of_workers = mean_use(hosts), mean_use(workers)
    if of_hosts is None or of_workers is None:
        return False
    return of_hosts >= _ALL_AT_WORK and of_workers < _ALL_AT_WORK / 2


def _means(histories: Sequence[History], kind: Literal["hosts", "workers"]) -> list[CoreUse]:
    samples: dict[str, list[tuple[float, float]]] = {}
    for history in histories:
        weights = _weights(history.seconds)
        columns: Mapping[str, tuple[float | None, ...]] = getattr(history, kind)
        for name, values in columns.items():
            known = zip(values, weights, strict=True)
            samples.setdefault(name, []).extend((v, w) for v, w in known if v is not None)
    found = [_mean(name, of) for name, of in sorted(samples.items())]
    return found if len(found) <= _MOST_NAMED else _least_middle_most(found, kind)


def _weights(seconds: Sequence[float]) -> Sequence[float]:
    """How long each sample stands for: parts of a run are sampled at intervals of their own."""
    if len(seconds) < 2:
        return [1.0] * len(seconds)
    weights: list[float] = np.maximum(np.gradient(np.asarray(seconds, float)), 1e-9).tolist()
    return weights


def _mean(name: str, samples: Sequence[tuple[float, float]]) -> CoreUse:
    if len(samples) < FEWEST:
        return CoreUse(name=one_line(name), percent=None)
    values, weights = zip(*samples, strict=True)
    return CoreUse(name=one_line(name), percent=float(np.average(values, weights=weights)))


def _least_middle_most(found: Sequence[CoreUse], kind: str) -> list[CoreUse]:
    known = sorted(use.percent for use in found if use.percent is not None)
    chosen = (known[0], known[len(known) // 2], known[-1]) if known else (None,) * 3
    noun = kind.removesuffix("s")
    names = (f"the least used {noun}", f"the middle {noun}", f"the most used {noun}")
    return [CoreUse(name=name, percent=p) for name, p in zip(names, chosen, strict=True)]
