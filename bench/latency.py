"""The cost of a slow source: ``python -m bench.latency``.

The same images are written on the same cluster, by turns from memory, with some time added to every
read, and from a disk whose pages are not in memory; each with reading ahead and without. The time
is slept away in the worker, by each read for itself, as it would pass with a server that answers
any number of requests at once. What counts are ratios within a round.

The first run of each kind, in which workers learn how far to read ahead, is told apart. The pages
of cold files are let go of by this system; what lies below it may still have them in memory.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import statistics
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from distributed import Client

import prep
from bench.photos import collect_originals, link_set, photos_option
from bench.settings import DATA, SCRATCH
from prep.execution.dask import DaskExecutor
from prep.execution.writing import write_shards
from prep.output.journal import Journal
from prep.shards.writer import RunRef


@dataclass(frozen=True, slots=True)
class Way:
    """One way of reading the source.

    Attributes:
        delay: milliseconds that are added to every read.
        cold: whether the files are on disk only.
        ahead: whether files may be read ahead.
    """

    delay: float = 0.0
    cold: bool = False
    ahead: bool = True

    def __str__(self) -> str:
        source = "cold disk" if self.cold else f"{self.delay:g} ms" if self.delay else "memory"
        return f"{source}, {'reading ahead' if self.ahead else 'each in its turn'}"


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of one run.

    Attributes:
        rate: images a second, of all workers together.
        core: milliseconds of processor time for an image, in workers.
    """

    rate: float
    core: float

    @property
    def cores(self) -> float:
        """The number of cores at work; one that waits for a read is not."""
        return self.rate * self.core / 1000


def measure(way: Way, source: Path, images_per_shard: int, client: Client) -> Cost:
    """Write all images of ``source``."""
    shutil.rmtree(SCRATCH, ignore_errors=True)
    plan = prep.plan(
        prep.Config(
            source=str(source),
            output=str(SCRATCH),
            interpolation="linear",
            images_per_shard=images_per_shard,
        )
    )
    Journal(SCRATCH).begin(plan)
    (evict if way.cold else warm)(source)
    client.run(_set, str(way), way.delay / 1000, ahead=way.ahead)
    run = RunRef(output=str(SCRATCH), digest=plan.fingerprint.digest, run=os.urandom(8).hex())
    busy, started = _busy(client), time.perf_counter()
    write_shards(plan.shards, run, DaskExecutor(client))
    seconds = time.perf_counter() - started
    return Cost(plan.images / seconds, 1000 * (_busy(client) - busy) / plan.images)


def _busy(client: Client) -> float:
    """Return the seconds of processor time that workers have taken so far."""
    return float(sum(client.run(time.process_time).values()))


def warm(source: Path) -> None:
    """Read all files, so that the system keeps them in memory."""
    for path in source.glob("*/*/*"):
        path.read_bytes()


def evict(source: Path) -> None:
    """Drop the files from the system's cache; needs no rights."""
    os.sync()  # What is not on disk yet can't be forgotten.
    for path in source.glob("*/*/*"):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def _set(way: str, seconds: float, *, ahead: bool) -> None:
    """In a worker: every read takes so much longer, and files are read ahead if they may be."""
    from prep.sources import file_source as source
    from prep.sources import prefetch
    from prep.storage.locate import read_file
    from prep.storage.location import Stamp

    def read_late(path: str | bytes, expected: Stamp | None = None) -> bytes:
        time.sleep(seconds)
        return read_file(path, expected)

    vars(source)["read_file"] = read_late if seconds else read_file
    # Each way learns for itself, and keeps what it has learnt.
    learnt = vars(source).setdefault("_learnt", {})
    prefetch._DEPTHS = learnt.setdefault(way, {})
    prefetch._TOLERATED = 0.02 if ahead else math.inf


def _tell(ways: Sequence[Way], costs: dict[Way, list[Cost]], first: dict[Way, Cost]) -> None:
    base = costs[ways[0]]
    for way in ways:
        rates = [cost.rate / local.rate for cost, local in zip(costs[way], base, strict=True)]
        cores = [cost.core / local.core for cost, local in zip(costs[way], base, strict=True)]
        click.echo(
            f"{way!s:32}{statistics.median(cost.rate for cost in costs[way]):6.0f}/s, "
            f"{statistics.median(rates):.3f} ({min(rates):.3f} to {max(rates):.3f}) of the first; "
            f"processor time {statistics.median(cores):.3f} of it; "
            f"{statistics.median(cost.cores for cost in costs[way]):.2f} cores at work; "
            f"while it learns {first[way].rate:.0f}/s"
        )


@click.command()
@photos_option
@click.option("--images", type=click.IntRange(min=100), default=4000, show_default=True)
@click.option("--images-per-shard", type=click.IntRange(min=1), default=1000, show_default=True)
@click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--workers", type=click.IntRange(min=1), default=2, show_default=True)
@click.option("--delays", default="5,30,100", show_default=True, help="Milliseconds.")
@click.option("--cold/--no-cold", default=True, show_default=True)
def main(
    photos: Path | None,
    images: int,
    images_per_shard: int,
    rounds: int,
    workers: int,
    delays: str,
    cold: bool,
) -> None:
    """Measure what a slow source costs, with and without reading ahead."""
    source = link_set(collect_originals(photos, DATA), DATA, images, copied=True)
    ways = [Way(ahead=False), Way(), *(Way(delay=float(ms)) for ms in delays.split(","))]
    ways += [Way(delay=30.0, ahead=False)]
    ways += [Way(cold=True, ahead=ahead) for ahead in (False, True)] if cold else []
    costs: dict[Way, list[Cost]] = defaultdict(list)
    with prep.cluster(workers=workers) as client:
        measure(ways[0], source, images_per_shard, client)  # Loads what is loaded once.
        first = {way: measure(way, source, images_per_shard, client) for way in ways}
        for number in range(rounds):
            for way in ways if number % 2 else reversed(ways):
                costs[way].append(measure(way, source, images_per_shard, client))
            click.echo(json.dumps({str(way): round(costs[way][-1].rate, 1) for way in ways}))
    shutil.rmtree(SCRATCH, ignore_errors=True)
    click.echo(f"{images:,} images in shards of {images_per_shard:,}, {workers} workers:")
    _tell(ways, costs, first)


if __name__ == "__main__":
    main()
