"""What this process does for runs, counted while it does it.

The counts travel with the worker's heartbeats, and are what Prometheus is told. They are made when
somebody asks, of what the shards under way have come to; an image costs one call for it.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import psutil

from prep.errors import StoppedShard
from prep.monitoring.messages import CLASSES_COUNTED, TallyMessage
from prep.output.receipt import of_outcome
from prep.planning.plan import RunPlan
from prep.planning.shards import ShardSpec
from prep.settings import ImageSettings
from prep.shards.tally import Tally
from prep.text import one_line

_RUNS_REMEMBERED = 8
_LATEST = 5  # names of refused images that are told


def shard_key(shard: ShardSpec) -> str:
    """How a shard is called in the counts; they travel as text, which a file name need not be."""
    return f"{one_line(shard.split)}/{shard.index}"


class Square(NamedTuple):
    """An image as it was just written, encoded as ``settings`` say."""

    run: str
    split: str
    class_name: str
    image: bytes
    settings: ImageSettings


class Spotlight:
    """Keeps an image that was just written, if somebody has asked for one."""

    def __init__(self) -> None:
        self.wanted = False
        self._square: Square | None = None

    def show(self, square: Square) -> None:
        self._square = square
        self.wanted = False

    def take(self) -> Square | None:
        """The image kept since this was called before, if any; and has another one kept."""
        square, self._square = self._square, None
        self.wanted = True
        return square


class ShardCounter:
    """Watches a shard that is being written.

    Attributes:
        tally: what has become of its images.
        lost: what earlier attempts had come to.
    """

    def __init__(
        self, shard: ShardSpec, run: str, plan: RunPlan, known: _Run, spotlight: Spotlight
    ) -> None:
        self.shard = shard
        self.run = run
        self.tally = Tally()
        self.lost: Counter[str] = Counter()
        self._settings = plan.settings
        self._stop = known.stop
        self._spotlight = spotlight

    def attempt_begun(self, tally: Tally) -> None:
        self.lost, self.tally = _essence(self), tally

    def image_settled(self, class_name: str, image: bytes | None) -> None:
        if self._stop.is_set():
            raise StoppedShard(f"{shard_key(self.shard)}: stopped after {self.tally.images} images")
        if self._spotlight.wanted and image is not None:
            self._spotlight.show(
                Square(self.run, self.shard.split, class_name, image, self._settings)
            )


@dataclass(slots=True)
class _Sums:
    """Tallies added up."""

    read: int = 0
    written: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    refused_in: Counter[str] = field(default_factory=Counter)
    stats: dict[str, list[int]] = field(default_factory=dict)
    classes: npt.NDArray[np.uint32] = field(default_factory=lambda: np.zeros(0, np.uint32))
    latest: list[tuple[str, str, str]] = field(default_factory=list)

    def add(self, counter: ShardCounter, numbers: dict[str, int]) -> None:
        tally, split = counter.tally, counter.shard.split
        self.read += tally.source_bytes
        self.written += tally.file_bytes
        stats = tally.stats
        ours = self.stats.setdefault(one_line(split), [0] * 8)
        for i, value in enumerate((stats.images, stats.pixels, *stats.sums, *stats.squares)):
            ours[i] += value
        refused = of_outcome(tally.findings, "refused")
        self.refused.update(finding.reason for finding in refused)
        self.refused_in[one_line(split)] += len(refused)
        self.latest = [
            *(
                (one_line(f.path), f.reason, one_line(f.detail))
                for f in refused[: -_LATEST - 1 : -1]
            ),
            *self.latest,
        ][:_LATEST]
        if len(self.classes) < min(len(numbers), CLASSES_COUNTED):
            self.classes = np.zeros(min(len(numbers), CLASSES_COUNTED), np.uint32)
        for name, count in dict(tally.written).items():
            if numbers.get(name, CLASSES_COUNTED) < CLASSES_COUNTED:
                self.classes[numbers[name]] += count

    def message(self) -> TallyMessage:
        return {
            "read": self.read,
            "written": self.written,
            "refused": dict(self.refused),
            "refused_in": dict(self.refused_in),
            "stats": {split: list(values) for split, values in self.stats.items()},
            "classes": self.classes.tobytes(),
            "latest": [list(image) for image in self.latest],
        }


class _Run:
    """What this process has done for one run."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.numbers: dict[str, int] = {}
        self.finished = _Sums()


class ProcessCounters:
    """What this process does: finished shards added up, and each one under way."""

    def __init__(self) -> None:
        self.process = uuid.uuid4().hex
        self.spotlight = Spotlight()
        self._lock = threading.Lock()
        self._runs: dict[str, _Run] = {}
        self._active: list[ShardCounter] = []
        self._ever: Counter[str] = Counter()
        self._host = _HostClock()

    @contextlib.contextmanager
    def shard(self, shard: ShardSpec, run: str, plan: RunPlan) -> Iterator[ShardCounter]:
        """Counts what is done for a shard in the block."""
        with self._lock:
            known = self._known(run)
            if not known.numbers:
                known.numbers = {name: number for number, name in enumerate(plan.classes)}
            counter = ShardCounter(shard, run, plan, known, self.spotlight)
            self._active.append(counter)
        try:
            yield counter
        except BaseException:
            with self._lock:
                self._active.remove(counter)
                self._ever += _essence(counter)
            raise
        with self._lock:
            self._active.remove(counter)
            known.finished.add(counter, known.numbers)
            self._ever += _essence(counter)

    def _known(self, run: str) -> _Run:
        if run not in self._runs:
            self._runs[run] = _Run()
            under_way = {counter.run for counter in self._active} | {run}
            idle = [name for name in self._runs if name not in under_way]
            if len(self._runs) > _RUNS_REMEMBERED and idle:
                del self._runs[idle[0]]
        return self._runs[run]

    def stop(self, run: str) -> None:
        """Has the shards of a run that are under way, or begin later, end at their next image."""
        with self._lock:
            self._known(run).stop.set()

    def stop_all(self) -> None:
        """The same for all runs."""
        with self._lock:
            for run in self._runs.values():
                run.stop.set()

    @property
    def at_work(self) -> bool:
        """Whether any shard is under way."""
        with self._lock:
            return bool(self._active)

    def busy(self, run: str) -> bool:
        """Whether a shard of this run is under way."""
        with self._lock:
            return any(counter.run == run for counter in self._active)

    def snapshot(self) -> dict[str, Any]:
        """For the heartbeat; see :class:`prep.monitoring.messages.ProcessMessage`."""
        with self._lock:
            runs: dict[str, Any] = {
                name: {"finished": run.finished.message(), "active": {}}
                for name, run in self._runs.items()
            }
            for counter in self._active:
                sums = _Sums()
                sums.add(counter, self._runs[counter.run].numbers)
                runs[counter.run]["active"][shard_key(counter.shard)] = {
                    "images": counter.tally.images,
                    **sums.message(),
                }
        return {
            "process": self.process,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "host_cpu": self._host.percent(),
            "runs": runs,
        }

    def totals(self) -> dict[str, int]:
        """Of all runs ever: ``images``, ``refused``, bytes ``read`` and ``written``, ``active``."""
        with self._lock:
            totals = self._ever + sum(map(_essence, self._active), Counter[str]())
            names = ("images", "refused", "read", "written")
            return {name: totals[name] for name in names} | {"active": len(self._active)}


def _essence(counter: ShardCounter) -> Counter[str]:
    """What was done for a shard, in all attempts, without the details: it only ever grows."""
    tally = counter.tally
    return counter.lost + Counter(
        images=tally.stats.images,
        refused=tally.refused,
        read=tally.source_bytes,
        written=tally.file_bytes,
    )


class _HostClock:
    """How much processor time is in use on this host, between one look and the next."""

    def __init__(self) -> None:
        self._before = self._read()
        self._percent = 0.0

    def percent(self) -> float:
        """Of all cores together, 0 to 100."""
        busy, total = self._read()
        if total > self._before[1]:
            self._percent = 100 * (busy - self._before[0]) / (total - self._before[1])
            self._before = busy, total
        return round(min(max(self._percent, 0.0), 100.0), 1)

    @staticmethod
    def _read() -> tuple[float, float]:
        times = psutil.cpu_times()
        total = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
        return total - times.idle - getattr(times, "iowait", 0.0), total


COUNTERS = ProcessCounters()
