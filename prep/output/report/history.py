"""Histories: what was measured while a run ran, a history for each time that it was continued."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from prep.output.layout import OutputLayout
from prep.output.report.verdict import Verdict
from prep.parsing import LARGEST, Fields, number, parse_json, refuse

_MOST_PARTS = 20


def read_histories(layout: OutputLayout) -> list[History]:
    """Return the histories of an output, the oldest first; none, if they can't be read."""
    try:
        parts = parse_json(layout.history.read_at_most(LARGEST))
        listed = parts if isinstance(parts, list) else []
        return [History.from_json(part) for part in listed[-_MOST_PARTS:]]
    except (OSError, ValueError):
        return []


def add_history(layout: OutputLayout, history: History) -> None:
    """Add a history to those of an output, and drop the oldest of many.

    Raises:
        OSError: it can't be written.
    """
    parts = [*read_histories(layout), history][-_MOST_PARTS:]
    data = json.dumps([part.to_json() for part in parts]).encode()
    layout.history.publish(data, within=layout.root, durable=False)


#: A core is busy above this, in percent.
BUSY = 95.0
_LATEST = 253_402_300_799  # seconds since 1970, at the end of the year 9999
_MOST = 1e18  # of whatever is counted
_MOST_SAMPLES = 600  # of which a picture shows no more
_SHORTEST = 0.02  # seconds between two samples
_WINDOWS = 60  # over which a rate is averaged, in the whole of a run
_SHORTEST_WINDOW = 2.0  # seconds
_DONE = Verdict("done")  # Unless something else is said; earlier versions did not say.


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One look at a run.

    Attributes:
        seconds: since the run began.
        images, bytes_read, bytes_written: so far; see :class:`prep.monitoring.counts.LiveCounts`.
        workers: processor time of each worker process, in percent of one core.
        hosts: processor time of each host, in percent of all of its cores.
    """

    seconds: float
    images: int
    bytes_read: int
    bytes_written: int
    workers: Mapping[str, float]
    hosts: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Samples at regular times, as columns of the same length.

    Attributes:
        began: when the run began, in seconds since 1970.
        seconds: of each sample, since then.
        images, bytes_read, bytes_written: so far.
        workers, hosts: processor time in percent, by name (``host:process``, ``host``); None while
            it was not there.
        busy: share of the time, 0 to 1, in which each worker and host was at 95 % or above.
        verdict: how the run has ended.
    """

    began: float
    seconds: tuple[float, ...] = ()
    images: tuple[int, ...] = ()
    bytes_read: tuple[int, ...] = ()
    bytes_written: tuple[int, ...] = ()
    workers: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict)
    hosts: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict)
    busy: Mapping[str, float] = field(default_factory=dict)
    verdict: Verdict = _DONE

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: object) -> History:
        """Read what :meth:`to_json` gave; raise ValueError if it is not that."""
        fields = Fields(value, "a history")
        history = cls(
            began=fields.number("began", most=_LATEST),
            **{name: _column(fields.any(name), name) for name in _COLUMNS},
            workers=_table(fields, "workers"),
            hosts=_table(fields, "hosts"),
            busy={
                name: number(share, "busy", most=1) for name, share in fields.object("busy").items()
            },
            verdict=Verdict.from_json(fields.any("verdict", _DONE.to_json())),
        )
        fields.end()
        lengths = {len(getattr(history, name)) for name in _COLUMNS} | {
            len(column) for column in (*history.workers.values(), *history.hosts.values())
        }
        if len(lengths) > 1:
            raise ValueError(f"columns of a history: expected one length, found {sorted(lengths)}")
        return history


_COLUMNS = ("seconds", "images", "bytes_read", "bytes_written")


def _table(fields: Fields, name: str) -> dict[str, tuple[float | None, ...]]:
    return {key: _column(column, name, gaps=True) for key, column in fields.object(name).items()}


def _column(values: object, name: str, *, gaps: bool = False) -> tuple[Any, ...]:
    """Return a list of numbers, or of None if gaps are allowed; raise ValueError otherwise."""
    if not isinstance(values, (list, tuple)) or len(values) > 2 * _MOST_SAMPLES:
        refuse(name, f"a list of at most {2 * _MOST_SAMPLES:,} numbers", values)
    return tuple(None if gaps and v is None else number(v, name, most=_MOST) for v in values)


def rates(seconds: Sequence[float], amounts: Sequence[float]) -> npt.NDArray[np.float64]:
    """Return by how much an amount rises per second, averaged over a window around each sample.

    Args:
        seconds: when each of the ``amounts`` was measured, in ascending order.

    >>> rates([0.0, 2.0, 4.0], [0, 20, 40]).tolist()
    [10.0, 10.0, 10.0]
    """
    if not seconds:
        return np.zeros(0)
    at = np.asarray(seconds)
    half = max((at[-1] - at[0]) / _WINDOWS, _SHORTEST_WINDOW) / 2
    first, last = np.maximum(at - half, at[0]), np.minimum(at + half, at[-1])
    risen = np.interp(last, at, amounts) - np.interp(first, at, amounts)
    found: npt.NDArray[np.float64] = np.maximum(risen / np.maximum(last - first, 1e-9), 0)
    return found


class Recorder:
    """Collects samples, and thins them out if there are too many."""

    def __init__(self, began: float) -> None:
        self._began = began
        #: The samples that are kept, in their order.
        self.samples: list[Measurement] = []
        #: Of how many samples one is kept.
        self.every = 1
        self._offered = 0
        self._looks: dict[str, int] = {}
        self._percents: dict[str, float] = {}
        self._busy: dict[str, int] = {}

    def add(self, sample: Measurement) -> None:
        """Add a sample; samples come at regular intervals."""
        for name, percent in (*sample.workers.items(), *sample.hosts.items()):
            self._looks[name] = self._looks.get(name, 0) + 1
            self._percents[name] = self._percents.get(name, 0.0) + percent
            self._busy[name] = self._busy.get(name, 0) + (percent >= BUSY)
        if self.samples and sample.seconds - self.samples[-1].seconds < _SHORTEST:
            self.samples[-1] = sample
        elif self._offered % self.every == 0:
            self.samples.append(sample)
        self._offered += 1
        if len(self.samples) > _MOST_SAMPLES:
            del self.samples[1::2]
            self.every *= 2

    def busy(self) -> dict[str, float]:
        """Return the share of the time, 0 to 1, in which each worker and host was busy."""
        return {name: round(self._busy[name] / looks, 4) for name, looks in self._looks.items()}

    def mean_percent(self, names: Collection[str]) -> float | None:
        """Return the mean processor time of these workers or hosts; None if none was measured."""
        looks = sum(self._looks.get(name, 0) for name in names)
        percents = sum(self._percents.get(name, 0.0) for name in names)
        return percents / looks if looks else None

    def history(self, verdict: Verdict = _DONE) -> History:
        """Return the history so far."""
        samples = self.samples
        return History(
            began=self._began,
            seconds=tuple(round(sample.seconds, 2) for sample in samples),
            images=tuple(sample.images for sample in samples),
            bytes_read=tuple(sample.bytes_read for sample in samples),
            bytes_written=tuple(sample.bytes_written for sample in samples),
            workers=_columns([sample.workers for sample in samples]),
            hosts=_columns([sample.hosts for sample in samples]),
            busy=self.busy(),
            verdict=verdict,
        )


def _columns(rows: list[Mapping[str, float]]) -> dict[str, tuple[float | None, ...]]:
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: tuple(row.get(name) for row in rows) for name in names}
