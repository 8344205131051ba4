"""The cost of scheduling alone: ``python -m bench.scheduling``.

Shards that do nothing go through all of what a run's shards go through: the graph, the scheduler
with its watch of the run, the workers, and the reduction. Each task gives back at once what a shard
of 1,000 images from 1,000 classes gives back, and neither reads nor writes a file.

Client, scheduler and workers are processes of their own, begun anew for each number of shards, so
that nobody's time or memory is taken for another's. Times of processor are what the kernel has
counted for a process between the first task's submission and the last total; the peak of memory is
the kernel's mark (``VmHWM``), less what the process held before the run.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import click
import numpy as np
import psutil
from distributed import Client
from distributed.utils import nbytes
from rich.console import Console
from rich.table import Table

from bench.compare.monitor import peak_memory
from prep.execution.dask import DaskExecutor
from prep.execution.executor import TaskEvent
from prep.execution.writing import write_shards
from prep.images.dimensions import Dimensions
from prep.images.stats import ChannelStats
from prep.monitoring.heartbeat import totals_message
from prep.monitoring.link import RunLink, open_link
from prep.monitoring.runwatch import RunInfo
from prep.output.receipt import ShardReceipt, SplitTotals, total_receipts
from prep.output.report.checksums import to_text
from prep.output.report.verdict import Verdict
from prep.planning.shards import ShardSpec, plan_shards
from prep.shards.writer import RunRef

_IMAGES = 1000  # a shard
_CLASSES = 1000
_SPLIT = "train"
_MIB = 1 << 20
_SETTLE = 2.0  # seconds after which what is let go of has been let go of


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """The resources that a process has used.

    Attributes:
        cpu: seconds of processor time.
        peak, after: bytes of resident memory more than before, at most and in the end.
    """

    cpu: float
    peak: int
    after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """The cost of so many shards.

    Attributes:
        wall: seconds.
        graph: bytes that the client has sent as graphs.
        held: futures that the client held at once, at most.
        workers: seconds of processor time, of all of them.
    """

    shards: int
    wall: float
    graph: int
    held: int
    client: Use
    scheduler: Use
    workers: float


@lru_cache(maxsize=1)
def _template() -> ShardReceipt:
    """A receipt as large as those of ImageNet."""
    random = np.random.default_rng(0)
    classes = random.integers(0, _CLASSES, _IMAGES)
    shapes = Counter(
        zip(random.integers(300, 600, _IMAGES), random.integers(300, 600, _IMAGES), strict=True)
    )
    return ShardReceipt(
        split=_SPLIT,
        index=0,
        count=1,
        fingerprint="0" * 64,
        file=f"{_SPLIT}/{_SPLIT}-00000-of-00001.tfrecord",
        bytes=25_000_000,
        sha256="0" * 64,
        written=dict(Counter(f"n{number:08d}" for number in classes.tolist())),
        source_bytes=110_000_000,
        checksums=to_text(random.integers(0, 1 << 63, _IMAGES).tolist()),
        stats=ChannelStats(
            images=_IMAGES,
            pixels=_IMAGES << 16,
            sums=(1 << 33, 1 << 33, 1 << 33),
            squares=(1 << 40, 1 << 40, 1 << 40),
        ),
        findings=(),
        seconds=1.2,
        worker="host:12345",
        dimensions=Dimensions.of(shapes),
    )


def receipt_of(shard: ShardSpec, digest: str) -> ShardReceipt:
    """Return a receipt, of realistic size, for a shard that was not written."""
    return replace(
        _template(), split=shard.split, index=shard.index, count=shard.count, fingerprint=digest
    )


def write_nothing(shard: ShardSpec, run: RunRef) -> SplitTotals:
    """Return what a shard would have come to: the task."""
    return total_receipts([receipt_of(shard, run.digest)])


class _Watcher:
    """Follows a run as a terminal does."""

    def __init__(self, link: RunLink) -> None:
        self._link = link

    def __call__(self, event: TaskEvent[Any]) -> None:
        if event.task is None:
            self._link.look()
        else:
            self._link.task_ended(event.task, "failed" if event.error else "committed")


class _Meter:
    """Looks at a process before and after."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._memory = self._process.memory_info().rss
        self._cpu = self._seconds()

    def _seconds(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)

    def cpu(self) -> float:
        return self._seconds() - self._cpu

    def use(self, cpu: float) -> Use:
        return Use(
            cpu=cpu,
            peak=peak_memory(self._process) - self._memory,
            after=self._process.memory_info().rss - self._memory,
        )


def measure(shards: int, workers: int) -> Cost:
    """Has ``shards`` of them done on a cluster of its own, with this process as its client."""
    with cluster(workers) as client:
        run = RunRef(output="/nowhere", digest="0" * 64, run=uuid.uuid4().hex)
        specs = plan_shards({_SPLIT: shards * _IMAGES}, _IMAGES)
        pids = client.run(_pid).values()
        # Everything is loaded and connected, and told of the run.
        executor = DaskExecutor(client)
        warm = RunRef(output="", digest="", run="warm")
        write_shards(specs[:workers], warm, executor, write=write_nothing)
        link = open_link(client, _info(run, shards))
        scheduler, own = _Meter(client.run_on_scheduler(_pid)), _Meter(_pid())
        meters = [_Meter(pid) for pid in pids]
        counted = _count(client)
        started = time.perf_counter()
        totals = write_shards(specs, run, executor, _Watcher(link), write=write_nothing)
        wall = time.perf_counter() - started
        cpu = scheduler.cpu(), own.cpu(), sum(meter.cpu() for meter in meters)
        assert totals[_SPLIT].shards == shards
        link.finish(Verdict("done"), totals_message(totals, ()))
        time.sleep(_SETTLE)
        return Cost(
            shards=shards,
            wall=wall,
            graph=counted["graph"],
            held=counted["held"],
            client=own.use(cpu[1]),
            scheduler=scheduler.use(cpu[0]),
            workers=cpu[2],
        )


def _info(run: RunRef, shards: int) -> RunInfo:
    return RunInfo(
        run=run.run,
        output=run.output,
        page="",
        began=time.time(),
        elapsed=0.0,
        splits={_SPLIT: shards * _IMAGES},
        images_per_shard=_IMAGES,
        missing=list(range(shards)),
        classes={f"n{number:08d}": shards for number in range(_CLASSES)},
        before=totals_message({}, ()),
    )


def _pid() -> int:
    return os.getpid()


def _count(client: Client) -> dict[str, int]:
    """Counts what the client sends and holds from now on."""
    counted = {"graph": 0, "held": 0}
    # There is no public place to count at.
    send: Callable[[dict[str, Any]], None] = client._send_to_scheduler

    def counting(message: dict[str, Any]) -> None:
        if message["op"] == "update-graph":
            graph = message["expr_ser"]
            counted["graph"] += sum(map(nbytes, graph.frames))
            counted["held"] = max(counted["held"], len(client.futures))
        send(message)

    client._send_to_scheduler = counting  # type: ignore[method-assign]
    return counted


@contextlib.contextmanager
def cluster(workers: int) -> Iterator[Client]:
    """A scheduler and workers, each a process of its own that listens on this machine only."""
    with contextlib.ExitStack() as stack:
        file = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "scheduler.json"
        local = ["--host", "127.0.0.1", "--scheduler-file", str(file)]
        dashboard = ["--dashboard-address", "127.0.0.1:0"]
        stack.enter_context(_dask("scheduler", "--port", "0", *dashboard, *local))
        for _ in range(workers):
            stack.enter_context(_dask("worker", "--no-nanny", "--nthreads", "1", *local))
        client = stack.enter_context(Client(scheduler_file=str(file), set_as_default=False))
        client.wait_for_workers(workers, timeout=60)
        yield client


@contextlib.contextmanager
def _dask(*arguments: str) -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, "-m", "dask", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def table(costs: Sequence[Cost]) -> Table:
    """Return the cost per shard for each number of shards."""
    found = Table(title="scheduling alone, a shard")
    heads = ("shards", "wall, ms", "scheduler, ms", "client, ms", "workers, ms", "graph, kB")
    memory = ("scheduler, MiB: peak", "after", "a shard, kB", "client, MiB: peak", "after")
    for head in (*heads, *memory, "futures held"):
        found.add_column(head, justify="right")
    for cost in costs:
        seconds = (cost.wall, cost.scheduler.cpu, cost.client.cpu, cost.workers)
        uses = (cost.scheduler, cost.client)
        held = [f"{amount / _MIB:.0f}" for use in uses for amount in (use.peak, use.after)]
        held.insert(2, f"{cost.scheduler.peak / cost.shards / 1000:.2f}")
        found.add_row(
            f"{cost.shards:,}",
            *(f"{each / cost.shards * 1000:.3f}" for each in seconds),
            f"{cost.graph / cost.shards / 1000:.3f}",
            *held,
            f"{cost.held:,}",
        )
    return found


@click.command()
@click.argument("shards", type=click.IntRange(min=1), nargs=-1)
@click.option("--workers", type=click.IntRange(min=1), default=2, show_default=True)
def main(shards: tuple[int, ...], workers: int) -> None:
    """Measure what scheduling costs for each of these numbers of SHARDS."""
    costs = []
    for number in shards or (1_000, 10_000, 100_000):
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            costs.append(pool.submit(measure, number, workers).result())
        Console(width=160).print(table(costs))


if __name__ == "__main__":
    # Not as __main__, under which other processes would not find what they are to call.
    from bench.scheduling import main as found_by_others

    found_by_others()
