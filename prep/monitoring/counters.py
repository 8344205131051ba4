"""Counters of what this process does for runs, updated image by image.

The counts travel with the worker's heartbeats, and Prometheus gets them, too. They are made when
somebody asks, from the tallies of the shards that are being written; an image costs one call.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import psutil

from prep.errors import StoppedShard
from prep.monitoring.heartbeat import (
    CLASSES_COUNTED,
    LATEST,
    ProcessMessage,
    RunMessage,
    Sums,
    TallyMessage,
    latest_refused,
    stats_values,
)
from prep.output.receipt import of_outcome
from prep.planning.plan import RunPlan
from prep.planning.shards import ShardSpec
from prep.settings.image_settings import ImageSettings
from prep.shards.tally import Tally
from prep.text import one_line

_RUNS_REMEMBERED = 8


def shard_key(shard: ShardSpec) -> str:
    """Return the name of a shard in counts: printable text, which a split's name need not be."""
    return f"{one_line(shard.split)}/{shard.index}"


class Crop(NamedTuple):
    """An image that was just written, encoded as ``settings`` say."""

    run: str
    split: str
    class_name: str
    image: bytes
    settings: ImageSettings


class Spotlight:
    """Keeps an image that was just written, if somebody has asked for one."""

    def __init__(self) -> None:
        self.wanted = False
        self._crop: Crop | None = None

    def show(self, crop: Crop) -> None:
        self._crop = crop
        self.wanted = False

    def take(self) -> Crop | None:
        """Return the image kept since the last call, if any, and have another one kept."""
        crop, self._crop = self._crop, None
        self.wanted = True
        return crop


class ShardCounter:
    """Watches a shard that is being written.

    Attributes:
        tally: what has become of its images in this attempt.
        lost: the totals of earlier attempts.
    """

    def __init__(
        self, shard: ShardSpec, run: str, plan: RunPlan, known: _Run, spotlight: Spotlight
    ) -> None:
        self.shard = shard
        self.run = run
        self.tally = Tally()
        self.lost: Counter[str] = Counter()
        self._settings = plan.settings
        self._title = plan.class_title
        self._known = known
        self._spotlight = spotlight

    def attempt_begun(self, tally: Tally) -> None:
        self.lost, self.tally = self.totals(), tally

    def image_done(self, class_name: str, image: bytes | None) -> None:
        if self._known.stop.is_set():
            raise StoppedShard(f"{shard_key(self.shard)}: stopped after {self.tally.images} images")
        if self._spotlight.wanted and image is not None:
            self._spotlight.show(
                Crop(self.run, self.shard.split, self._title(class_name), image, self._settings)
            )

    def totals(self) -> Counter[str]:
        """Return what was done in all attempts, in numbers that only ever grow."""
        tally = self.tally
        return self.lost + Counter(
            images=tally.accepted,
            refused=tally.refused,
            read=tally.source_bytes,
            written=tally.file_bytes,
        )

    def message(self) -> TallyMessage:
        tally, split = self.tally, one_line(self.shard.split)
        refused = of_outcome(tally.findings, "refused")
        numbers = self._known.numbers
        classes = np.zeros(len(numbers), np.uint32)
        for name, count in dict(tally.written).items():  # The writer's thread adds to it.
            if name in numbers:
                classes[numbers[name]] = count
        return {
            "read": tally.source_bytes,
            "written": tally.file_bytes,
            "refused": dict(Counter(note.reason for note in refused)),
            "refused_in": {split: len(refused)},
            "stats": {split: stats_values(tally.stats)},
            "classes": classes.tobytes(),
            "latest": latest_refused(refused, LATEST),
        }


class _Run:
    """Counts of this process for one run."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.numbers: dict[str, int] = {}  # Of the classes that are counted.
        self.finished = Sums(0)
        self.latest: list[list[str]] = []

    def count(self, plan: RunPlan) -> None:
        """Begin to count the classes of a plan, unless that has been done."""
        if not self.numbers:
            counted = plan.classes[:CLASSES_COUNTED]
            self.numbers = {name: number for number, name in enumerate(counted)}
            self.finished = Sums(len(counted))

    def finish(self, tally: TallyMessage) -> None:
        """Add a finished shard."""
        self.finished.add(tally)
        self.latest = [*tally["latest"], *self.latest][:LATEST]


class ProcessCounters:
    """Counts of this process: the sum of finished shards, and each that is being written."""

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
        """Count what is done for a shard in the block; it is finished unless that raises."""
        with self._lock:
            known = self._known(run)
            known.count(plan)
            counter = ShardCounter(shard, run, plan, known, self.spotlight)
            self._active.append(counter)
        finished = False
        try:
            yield counter
            finished = True
        finally:
            with self._lock:
                self._active.remove(counter)
                self._ever += counter.totals()
                if finished:
                    known.finish(counter.message())

    def _known(self, run: str) -> _Run:
        if run not in self._runs:
            self._runs[run] = _Run()
            active = {counter.run for counter in self._active} | {run}
            idle = [name for name in self._runs if name not in active]
            if len(self._runs) > _RUNS_REMEMBERED and idle:
                del self._runs[idle[0]]
        return self._runs[run]

    def stop(self, run: str) -> None:
        """End the shards of a run, also those that begin later, at their next image."""
        with self._lock:
            self._known(run).stop.set()

    def stop_all(self) -> None:
        """End the shards of all runs at their next image."""
        with self._lock:
            for run in self._runs.values():
                run.stop.set()

    @property
    def at_work(self) -> bool:
        """True if any shard is being written."""
        with self._lock:
            return bool(self._active)

    def busy(self, run: str) -> bool:
        """Return whether a shard of this run is being written."""
        with self._lock:
            return any(counter.run == run for counter in self._active)

    def snapshot(self) -> ProcessMessage:
        """Return the message for the heartbeat."""
        with self._lock:
            runs: dict[str, RunMessage] = {
                name: {"finished": run.finished.message(run.latest), "active": {}}
                for name, run in self._runs.items()
            }
            for counter in self._active:
                runs[counter.run]["active"][shard_key(counter.shard)] = {
                    "images": counter.tally.images,
                    **counter.message(),
                }
        return {
            "process": self.process,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "host_cpu": self._host.percent(),
            "runs": runs,
        }

    def totals(self) -> dict[str, int]:
        """Return the totals of all runs: ``images`` written, ``refused``, bytes, ``active``."""
        with self._lock:
            totals = sum((counter.totals() for counter in self._active), self._ever)
            names = ("images", "refused", "read", "written")
            return {name: totals[name] for name in names} | {"active": len(self._active)}


class _HostClock:
    """The processor time in use on this host, from one look to the next."""

    def __init__(self) -> None:
        self._before = self._read()
        self._percent = 0.0

    def percent(self) -> float:
        """Return the share of all cores in use since the last call, 0 to 100."""
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
