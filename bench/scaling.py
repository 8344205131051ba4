"""The speed-up by the number of workers: ``python -m bench.scaling``.

The same photos are written with one worker and with several, by turns, on clusters that are there
all the time and idle while it is not their turn. What counts is the ratio of the rates within a
round. Each rate is that from the first task to the last total: starting a cluster, planning and
reporting, which more workers make no faster, are not in it.

Where there are as many workers as cores, client and scheduler take their time from these, but have
a core of their own beside one worker. So one worker is measured twice: with all cores, and with
client, scheduler and worker on one.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import statistics
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import click
import psutil
from dask.system import CPU_COUNT
from distributed import Client
from rich.console import Console
from rich.table import Table

import prep
from bench.photos import collect_originals, link_set, photos_option
from bench.settings import DATA, QUALITY, SCRATCH, SIZE
from prep.execution.dask import DaskExecutor
from prep.execution.writing import write_shards
from prep.output.journal import Journal
from prep.output.receipt import SplitTotals
from prep.shards.writer import RunRef

_ONE, _ON_ONE_CORE = "1", "1, all on one core"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """One way of writing all images.

    Attributes:
        images_per_second: of all workers together.
        cpu: seconds of processor time per image, of the workers.
        read, written: bytes per image.
    """

    images_per_second: float
    cpu: float
    read: float
    written: float


def measure(source: Path, output: Path, client: Client, images_per_shard: int) -> Rate:
    """Writes all images of ``source``, once."""
    shutil.rmtree(output, ignore_errors=True)
    config = prep.Config(
        source=str(source),
        output=str(output),
        size=SIZE,
        quality=QUALITY,
        interpolation="linear",
        images_per_shard=images_per_shard,
    )
    plan = prep.plan(config)
    Journal(output).begin(plan)
    run = RunRef(output=str(output), digest=plan.fingerprint.digest, run=os.urandom(8).hex())
    os.sync()  # What was written before is not this one's to wait for.
    processes = [psutil.Process(pid) for pid in client.run(os.getpid).values()]
    before, started = _cpu(processes), time.perf_counter()
    totals = write_shards(plan.shards, run, DaskExecutor(client))
    seconds = time.perf_counter() - started
    return _rate(totals, seconds, _cpu(processes) - before)


@contextlib.contextmanager
def on_one_core(client: Client) -> Iterator[None]:
    """Keeps the workers of a cluster, and this process, on one core."""
    pids = [os.getpid(), *client.run(os.getpid).values()]
    cores = os.sched_getaffinity(0)
    _keep_on(pids, {min(cores)})
    try:
        yield
    finally:
        _keep_on(pids, cores)


def _keep_on(pids: list[int], cores: set[int]) -> None:
    for pid in pids:
        for thread in psutil.Process(pid).threads():
            with contextlib.suppress(ProcessLookupError):  # It has ended meanwhile.
                os.sched_setaffinity(thread.id, cores)


def _rate(totals: SplitTotals, seconds: float, cpu: float) -> Rate:
    images = sum(total.images for total in totals.values())
    return Rate(
        images_per_second=images / seconds,
        cpu=cpu / images,
        read=sum(total.source_bytes for total in totals.values()) / images,
        written=sum(total.bytes for total in totals.values()) / images,
    )


def _cpu(processes: list[psutil.Process]) -> float:
    return float(sum(sum(process.cpu_times()[:2]) for process in processes))


def table(rounds: list[Mapping[str, Rate]]) -> Table:
    """The medians over the rounds."""
    shown = Table(title=f"{len(rounds)} rounds; medians, and the range of the ratios")
    heads = ("workers", "images/s", "CPU, ms an image", "read, kB", "written, kB")
    for head in (*heads, f"of {_ONE}", f"of {_ON_ONE_CORE}"):
        shown.add_column(head, justify="right")
    for workers in rounds[0]:
        rates = [measured[workers] for measured in rounds]
        shown.add_row(
            workers,
            f"{statistics.median(rate.images_per_second for rate in rates):,.0f}",
            f"{statistics.median(rate.cpu for rate in rates) * 1000:.3f}",
            f"{rates[0].read / 1000:.1f}",
            f"{rates[0].written / 1000:.1f}",
            *(_ratio(rounds, workers, base) for base in (_ONE, _ON_ONE_CORE)),
        )
    return shown


def _ratio(rounds: list[Mapping[str, Rate]], workers: str, base: str) -> str:
    ratios = [
        measured[workers].images_per_second / measured[base].images_per_second
        for measured in rounds
    ]
    return f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"


@click.command()
@photos_option
@click.option("--images", type=click.IntRange(min=100), default=8_000, show_default=True)
@click.option("--images-per-shard", type=click.IntRange(min=1), default=100, show_default=True)
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True)
@click.option("--workers", type=click.IntRange(min=2), default=CPU_COUNT, show_default=True)
def main(
    photos: Path | None, images: int, images_per_shard: int, rounds: int, workers: int
) -> None:
    """Measure one worker against several on the same photos."""
    source = link_set(collect_originals(photos, DATA), DATA, images)
    measured: list[Mapping[str, Rate]] = []
    with contextlib.ExitStack() as stack:
        one, several = (stack.enter_context(prep.cluster(workers=n)) for n in (1, workers))
        clients = {_ONE: one, _ON_ONE_CORE: one, str(workers): several}

        def measured_with(name: str) -> Rate:
            confined = name == _ON_ONE_CORE
            with on_one_core(one) if confined else contextlib.nullcontext():
                return measure(source, SCRATCH, clients[name], images_per_shard)

        for name in (_ONE, str(workers)):  # Warms up.
            measured_with(name)
        for number in range(rounds):
            order = list(clients) if number % 2 else list(reversed(clients))
            found = {name: measured_with(name) for name in order}
            measured.append({name: found[name] for name in clients})
    shutil.rmtree(SCRATCH, ignore_errors=True)
    Console().print(table(measured))


if __name__ == "__main__":
    main()
