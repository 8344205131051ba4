"""What a worker process needs once, and what it tells while it works.

Each process counts what it does. The counters travel to the scheduler with the worker's heartbeats
(``worker.metrics["prep"]``), so that progress shows during a long shard, not only after it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from distributed import Worker, WorkerPlugin

from prep import shards
from prep.errors import StoppedShard
from prep.images import configure_process
from prep.planning import ShardSpec
from prep.receipts import ShardReceipt
from prep.shards import RunRef
from prep.text import one_line
from prep.watchdog import WATCHDOG

METRIC = "prep"
_RUNS_REMEMBERED = 8

# From glibc's malloc.h. Dask's nanny sets MALLOC_TRIM_THRESHOLD_ to 64 KiB, which also stops glibc
# from adapting its mmap threshold: every image buffer is then mapped, zeroed and unmapped again, at
# a third of the speed. Clusters that we start set the environment; this is for those we are given.
_M_TRIM_THRESHOLD, _TRIM_THRESHOLD = -1, 128 << 20  # 128 MiB
_M_MMAP_THRESHOLD, _MMAP_THRESHOLD = -3, 32 << 20  # 32 MiB, the most that glibc takes


@dataclass(slots=True)
class ShardCounter:
    """What has been done for a shard that is being written."""

    name: str
    run: str
    stop: threading.Event
    images: int = 0
    refused: int = 0
    bytes_read: int = 0
    bytes_written: int = 0

    def attempt_begun(self) -> None:
        self.images = 0

    def image_settled(self, *, read: int, written: int, refused: bool) -> None:
        if self.stop.is_set():
            raise StoppedShard(f"{self.name}: stopped after {self.images} images")
        self.images += 1
        self.refused += refused
        self.bytes_read += read
        self.bytes_written += written


class ProcessCounters:
    """What this process does: finished shards added up, and each one under way."""

    def __init__(self) -> None:
        self.process = uuid.uuid4().hex
        self._lock = threading.Lock()
        self._finished: dict[str, list[int]] = {}
        self._active: list[ShardCounter] = []
        self._stops: defaultdict[str, threading.Event] = defaultdict(threading.Event)

    @contextlib.contextmanager
    def shard(self, name: str, run: str) -> Iterator[ShardCounter]:
        with self._lock:
            counter = ShardCounter(name, run, self._stops[run])
            self._active.append(counter)
        try:
            yield counter
        finally:
            with self._lock:
                self._active.remove(counter)
                sums = self._finished.setdefault(run, [0, 0, 0])
                if len(self._finished) > _RUNS_REMEMBERED:
                    del self._finished[next(iter(self._finished))]
                sums[0] += counter.refused
                sums[1] += counter.bytes_read
                sums[2] += counter.bytes_written

    def stop(self, run: str) -> None:
        """Has the shards of a run that are under way, or begin later, end at their next image."""
        with self._lock:
            self._stops[run].set()

    def busy(self, run: str) -> bool:
        """Whether a shard of this run is under way."""
        with self._lock:
            return any(counter.run == run for counter in self._active)

    def snapshot(self) -> dict[str, Any]:
        """For the heartbeat: by run, the sums of all shards, and the images of those under way."""
        with self._lock:
            runs: dict[str, Any] = {
                run: {"refused": refused, "read": read, "written": written, "active": {}}
                for run, (refused, read, written) in self._finished.items()
            }
            for counter in self._active:
                run = runs.setdefault(
                    counter.run, {"refused": 0, "read": 0, "written": 0, "active": {}}
                )
                run["refused"] += counter.refused
                run["read"] += counter.bytes_read
                run["written"] += counter.bytes_written
                run["active"][counter.name] = counter.images
        return {"process": self.process, "runs": runs}


COUNTERS = ProcessCounters()


class WorkerSetup(WorkerPlugin):
    """Prepares each worker, those that join late too."""

    name = "prep"

    def setup(self, worker: Worker) -> None:
        configure_process()
        tune_allocator()
        if worker.nanny:  # It starts the process anew. Without one, this may be anyone's process.
            WATCHDOG.enable()
        worker.metrics[METRIC] = lambda _: COUNTERS.snapshot()


async def stop_shards(run: str, patience: float) -> None:
    """Stops a run's shards in this process, and waits for them to clean up after themselves.

    Args:
        run: the run's id.
        patience: seconds after which to wait no longer.
    """
    COUNTERS.stop(run)
    deadline = time.monotonic() + patience
    while COUNTERS.busy(run) and time.monotonic() < deadline:
        await asyncio.sleep(0.02)


def tune_allocator() -> None:
    """Has glibc keep freed memory of image size, instead of handing it back each time."""
    with contextlib.suppress(OSError, AttributeError, ValueError):
        if "glibc" not in (os.confstr("CS_GNU_LIBC_VERSION") or ""):
            return
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_TRIM_THRESHOLD, _TRIM_THRESHOLD)
        mallopt(_M_MMAP_THRESHOLD, _MMAP_THRESHOLD)


def shard_key(shard: ShardSpec) -> str:
    """How a shard is called in the counters; they travel as text, which a file name need not be."""
    return f"{one_line(shard.split)}/{shard.index}"


def write_shard(shard: ShardSpec, run: RunRef) -> ShardReceipt:
    """The task that Dask runs: writes one shard, counting as it goes."""
    with COUNTERS.shard(shard_key(shard), run.run) as counter:
        return shards.write_shard(shard, run, counter)
