"""The cost of Dask: ``python -m bench.overhead``.

The same shards are written in turns by bare processes, one for each core, that do nothing but call
``write_shard``; by processes of this machine without a cluster; and on a cluster. The latter two
are watched as ``prep run`` watches them. All figures are those of a further image, between a small
number of images and a large one, so that what begins and ends a run is not in them.

Processor time is told apart by thread: the busiest of a worker writes shards, its others serve. A
core that does neither waits: for a disk, for the next shard, or for other programs. So on a busy
machine, processor time tells more than the rate.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import statistics
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import click
import psutil
from dask.system import CPU_COUNT
from rich.console import Console
from rich.table import Table

import prep
from bench.compare.monitor import processes_below
from bench.photos import collect_originals, link_set, photos_option
from bench.settings import DATA, SCRATCH
from prep.execution.dask import DaskExecutor
from prep.execution.executor import Executor, Workload
from prep.execution.local.crew_executor import local_executor
from prep.execution.writing import write_serially
from prep.monitoring.events import emitting
from prep.operations.running.work import Commits, Run, write_missing
from prep.output.journal import Journal
from prep.planning.plan import RunPlan
from prep.planning.shards import ShardSpec
from prep.settings.choices import Interpolation
from prep.shards.writer import RunRef

_MICRO = 1e6
_MIB = 1 << 20
_BARE = "bare processes"

#: Writes all shards of a plan.
Write = Callable[[RunPlan, Journal], None]
#: Starts processes, so many of them, and ends them.
Way = Callable[[int], AbstractContextManager[Write]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What it took to write some images.

    Attributes:
        images: how many.
        wall: seconds that all cores together had for it.
        writing, serving: seconds of processor time of the threads that write, and of the others.
        client: the same of this process.
        private, resident: bytes of memory of the largest worker at the end.
    """

    images: int
    wall: float
    writing: float
    serving: float
    client: float
    private: int
    resident: int

    def further(self, small: Cost, name: str) -> float:
        """Return microseconds of an attribute for each image beyond those of ``small``."""
        seconds: float = getattr(self, name) - getattr(small, name)
        return _MICRO * seconds / (self.images - small.images)


# Ways


@contextlib.contextmanager
def _bare(workers: int) -> Iterator[Write]:
    with multiprocessing.get_context("spawn").Pool(workers) as pool:

        def write(plan: RunPlan, journal: Journal) -> None:
            shares = [(plan.shards[i::workers], _reference(plan, journal)) for i in range(workers)]
            pool.map(_write_share, shares, chunksize=1)

        yield write


def _write_share(share: tuple[Sequence[ShardSpec], RunRef]) -> None:
    write_serially(*share)


def _reference(plan: RunPlan, journal: Journal) -> RunRef:
    digest = plan.fingerprint.digest
    return RunRef(output=journal.output, digest=digest, run=uuid.uuid4().hex)


@contextlib.contextmanager
def _crew(workers: int) -> Iterator[Write]:
    with local_executor(Workload(images=workers, parts=workers), workers) as executor:
        yield _watched(executor)


@contextlib.contextmanager
def _cluster(workers: int) -> Iterator[Write]:
    with prep.cluster(workers=workers) as client:
        yield _watched(DaskExecutor(client))


def _watched(executor: Executor) -> Write:
    def write(plan: RunPlan, journal: Journal) -> None:
        with emitting([]) as events:
            run = Run(
                plan=plan,
                journal=journal,
                before={},
                missing=plan.shards,
                events=events,
                commits=Commits(events, journal, ()),
                began=time.perf_counter(),
            )
            write_missing(run, executor)

    return write


_WAYS: Mapping[str, Way] = {_BARE: _bare, "without a cluster": _crew, "on a cluster": _cluster}


# Measuring


def measure(way: Way, workers: int, sources: Sequence[Path], config: prep.Config) -> list[Cost]:
    """Write the images of each source once, with the same processes."""
    with way(workers) as write:
        _write(write, workers, sources[0], config)  # Loads what is loaded once.
        return [_write(write, workers, source, config) for source in sources]


def _write(write: Write, workers: int, source: Path, config: prep.Config) -> Cost:
    shutil.rmtree(SCRATCH, ignore_errors=True)
    plan = prep.plan(config.model_copy(update={"source": str(source)}))
    journal = Journal(plan.config.output)
    journal.begin(plan)
    os.sync()  # What was written before is not this one's to wait for.
    processes = processes_below(psutil.Process())
    before, own, began = _by_thread(processes), time.process_time(), time.perf_counter()
    write(plan, journal)
    wall, own = time.perf_counter() - began, time.process_time() - own
    spent = [
        sorted(seconds - earlier.get(thread, 0.0) for thread, seconds in now.items())
        for earlier, now in zip(before, _by_thread(processes), strict=True)
    ]
    memory = [process.memory_full_info() for process in processes]
    return Cost(
        images=plan.images,
        wall=wall * workers,
        writing=sum(threads[-1] for threads in spent),
        serving=sum(sum(threads[:-1]) for threads in spent),
        client=own,
        private=max(each.uss for each in memory),
        resident=max(each.rss for each in memory),
    )


def _by_thread(processes: Sequence[psutil.Process]) -> list[dict[int, float]]:
    """Return the seconds of processor time of each thread of each process."""
    return [
        {thread.id: thread.user_time + thread.system_time for thread in process.threads()}
        for process in processes
    ]


# Telling


def table(rounds: Sequence[Mapping[str, Sequence[Cost]]]) -> Table:
    """Return the medians over the rounds."""
    shown = Table(title="µs for each further image, all cores together; medians")
    heads = ("", "in all", "writing", "serving", "client", "waiting", f"of {_BARE}")
    memory = ("worker, MiB: private", "and with more images", "resident")
    for head in (*heads, *memory):
        shown.add_column(head, justify="right" if head else "left")
    for name in rounds[0]:
        pairs = [costs[name] for costs in rounds]
        parts = ("wall", "writing", "serving", "client")
        wall, *busy = (
            statistics.median(large.further(small, part) for small, large in pairs)
            for part in parts
        )
        ratios = [
            costs[name][1].further(costs[name][0], "wall")
            / costs[_BARE][1].further(costs[_BARE][0], "wall")
            for costs in rounds
        ]
        sizes = [
            max(size for size in column) / _MIB
            for column in zip(
                *((s.private, large.private, large.resident) for s, large in pairs), strict=True
            )
        ]
        shown.add_row(
            name,
            *(f"{value:,.0f}" for value in (wall, *busy, wall - sum(busy))),
            f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})",
            *(f"{size:.0f}" for size in sizes),
        )
    return shown


@click.command()
@photos_option
@click.option("--small", type=click.IntRange(min=100), default=2_000, show_default=True)
@click.option("--large", type=click.IntRange(min=200), default=10_000, show_default=True)
@click.option("--images-per-shard", type=click.IntRange(min=1), default=500, show_default=True)
@click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--workers", type=click.IntRange(min=1), default=CPU_COUNT, show_default=True)
@click.option(
    "--interpolation",
    type=click.Choice(get_args(Interpolation)),
    default="linear",
    show_default=True,
)
@click.option("--way", "ways", type=click.Choice(list(_WAYS)), multiple=True, help="Only these.")
def main(
    photos: Path | None,
    small: int,
    large: int,
    images_per_shard: int,
    rounds: int,
    workers: int,
    interpolation: Interpolation,
    ways: tuple[str, ...],
) -> None:
    """Measure what is added to the work of bare processes."""
    originals = collect_originals(photos, DATA)
    sources = [link_set(originals, DATA, images) for images in (small, large)]
    config = prep.Config(
        source=str(sources[0]),
        output=str(SCRATCH),
        images_per_shard=images_per_shard,
        interpolation=interpolation,
    )
    chosen = {name: way for name, way in _WAYS.items() if name in (*ways, _BARE) or not ways}
    measured: list[Mapping[str, Sequence[Cost]]] = []
    for number in range(rounds):
        order = list(chosen) if number % 2 else list(reversed(chosen))
        costs = {name: measure(chosen[name], workers, sources, config) for name in order}
        measured.append({name: costs[name] for name in chosen})
        Console(width=160).print(table(measured))
    shutil.rmtree(SCRATCH, ignore_errors=True)


if __name__ == "__main__":
    main()
