"""The contents of a worker's heartbeat, as plain values that any scheduler can read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TypedDict

import numpy as np
import numpy.typing as npt

from prep.images.stats import ChannelStats
from prep.output.receipt import ImageNote, SplitTotals, Totals
from prep.text import one_line

#: The key of a ``ProcessMessage`` among a worker's metrics.
METRIC = "prep"
#: The topic of Dask's events under which workers say why they have left.
MISFITS = "prep-misfits"
#: The name of the call that asks a worker for a ``CropMessage``.
CROP_CALL = "prep_crop"
#: Number of classes that are counted one by one: the first, by name.
CLASSES_COUNTED = 1000
#: Number of refused images that a worker names.
LATEST = 5

_TASK_PREFIX = "write_shard_task-"


def task_name(run: str, first: int) -> str:
    """Return the name of a run's tasks, of which the first has this number."""
    return f"{_TASK_PREFIX}{run}-{first}"


def task_of(key: object) -> tuple[str, int] | None:
    """Return run and number of the task with this key; None if it does not write a shard.

    >>> task_of((task_name("5e1f", 512), 3)), task_of("sum-5e1f")
    (('5e1f', 515), None)
    """
    if type(key) is not tuple or not str(key[0]).startswith(_TASK_PREFIX):
        return None
    run, _, first = key[0].removeprefix(_TASK_PREFIX).rpartition("-")
    return run, int(first) + key[1]


class TallyMessage(TypedDict):
    """Counts and sums of some images.

    Attributes:
        read, written: bytes of the image files, and of the shards.
        refused: number of refused images by reason.
        refused_in: the same by split.
        stats: by split: images, pixels, sums of R, G and B, and sums of their squares.
        classes: images written of each class, uint32, in the order of the plan; at most
            ``CLASSES_COUNTED``.
        latest: path, reason and detail of the images refused last, the newest first.
    """

    read: int
    written: int
    refused: dict[str, int]
    refused_in: dict[str, int]
    stats: dict[str, list[int]]
    classes: bytes
    latest: list[list[str]]


class ShardMessage(TallyMessage):
    """A shard that is being written, with the number of images that are done."""

    images: int


class RunMessage(TypedDict):
    """Counts of a process for a run: all ``finished`` shards, and those ``active`` by name."""

    finished: TallyMessage
    active: dict[str, ShardMessage]


class ProcessMessage(TypedDict):
    """Counts of a worker process.

    Attributes:
        process: unique to the process.
        host, pid: where it runs.
        host_cpu: processor time in use on its host, in percent of all cores.
        runs: by id.
    """

    process: str
    host: str
    pid: int
    host_cpu: float
    runs: dict[str, RunMessage]


class CropMessage(TypedDict):
    """An image that was just written, as a small JPEG."""

    run: str
    split: str
    class_name: str
    jpeg: bytes


def latest_refused(notes: Sequence[ImageNote], most: int) -> list[list[str]]:
    """Return path, reason and detail of the last refused images, the newest first."""
    return [[one_line(n.path), n.reason, one_line(n.detail)] for n in notes[: -most - 1 : -1]]


def stats_values(stats: ChannelStats) -> list[int]:
    """Return channel sums in the form of ``TallyMessage.stats``."""
    return [stats.images, stats.pixels, *stats.sums, *stats.squares]


def totals_message(totals: SplitTotals, classes: Iterable[str]) -> TallyMessage:
    """Return the totals of receipts as a message.

    Args:
        totals: by split.
        classes: the classes to count, in the order of the plan.
    """
    everything = sum(totals.values(), Totals())
    return {
        "read": everything.source_bytes,
        "written": everything.bytes,
        "refused": dict(Counter(note.reason for note in everything.refused)),
        "refused_in": {one_line(split): len(t.refused) for split, t in totals.items()},
        "stats": {one_line(split): stats_values(t.stats) for split, t in totals.items()},
        "classes": np.array([everything.written.get(c, 0) for c in classes], np.uint32).tobytes(),
        "latest": latest_refused(everything.refused, 8),
    }


class Sums:
    """Tallies added up. A tally can be subtracted again.

    Attributes:
        classes: images written of each class; int64.
    """

    def __init__(self, classes: int) -> None:
        self.read = 0
        self.written = 0
        self.refused: Counter[str] = Counter()
        self.refused_in: Counter[str] = Counter()
        self.stats: dict[str, list[int]] = {}
        self.classes: npt.NDArray[np.int64] = np.zeros(classes, np.int64)

    def add(self, tally: TallyMessage, sign: int = 1) -> None:
        """Add a tally, or subtract it if ``sign`` is -1."""
        self.read += sign * tally["read"]
        self.written += sign * tally["written"]
        for reason, count in tally["refused"].items():
            self.refused[reason] += sign * count
        for split, count in tally["refused_in"].items():
            self.refused_in[split] += sign * count
        for split, values in tally["stats"].items():
            ours = self.stats.setdefault(split, [0] * 8)
            for i, value in enumerate(values):
                ours[i] += sign * value
        counts = np.frombuffer(tally["classes"], np.uint32)[: len(self.classes)]
        self.classes[: len(counts)] += sign * counts.astype(np.int64)

    def message(self, latest: list[list[str]]) -> TallyMessage:
        """Return the sums as a message."""
        return {
            "read": self.read,
            "written": self.written,
            "refused": dict(self.refused),
            "refused_in": dict(self.refused_in),
            "stats": {split: list(values) for split, values in self.stats.items()},
            "classes": self.classes.astype(np.uint32).tobytes(),
            "latest": latest,
        }
