"""Predictions for many machines from measurements on one: ``python -m bench.model``.

The figures that it begins with are those of SCALING.md, and can be given anew as flags. What comes
out is arithmetic, not measurement: it takes it that work which shares nothing adds up, and says
which of the parts that are shared (scheduler, network, manifest) is full first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import click
from rich.console import Console
from rich.table import Table

# What SCALING.md says, and how each was measured.
RATE = 600.0  # images/s
SCHEDULER, CLIENT = 2.0, 1.1  # ms
READ, WRITTEN = 110.1, 22.8  # kB
LISTED = 310.0  # bytes

_SETS = {"1.28 million": 1_281_167, "400 million": 400_000_000, "5 billion": 5_000_000_000}
_WORKERS = (10, 100, 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Measurements and assumptions.

    Attributes:
        rate: images per second of a worker, which is a process on a core.
        scheduler: seconds of the scheduler's core for a shard.
        client: seconds of the client's core for a shard.
        read, written: bytes for an image.
        listed: bytes of the client's memory for an image of the list.
        images_per_shard: as configured.
    """

    rate: float
    scheduler: float
    client: float
    read: float
    written: float
    listed: float
    images_per_shard: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """One set of images on so many workers, in one run.

    Attributes:
        seconds: of work with all workers busy; starting, listing and reporting come on top.
        shards: how many there are.
        scheduler, client: what share of a core they take; above 1 it is they who set the pace.
        read, written: bytes a second, of all workers together.
        listed: bytes of the client's memory for the manifest.
    """

    seconds: float
    shards: int
    scheduler: float
    client: float
    read: float
    written: float
    listed: float


def expect(images: int, workers: int, figures: Figures) -> Expectation:
    """Predict a run of so many images and workers."""
    shards = -(-images // figures.images_per_shard)
    # The last round of shards does not fill all workers.
    rounds = -(-shards // workers)
    of_workers = rounds * figures.images_per_shard / figures.rate
    of_scheduler, of_client = shards * figures.scheduler, shards * figures.client
    seconds = max(of_workers, of_scheduler, of_client)
    return Expectation(
        seconds=seconds,
        shards=shards,
        scheduler=of_scheduler / of_workers,
        client=of_client / of_workers,
        read=images * figures.read / seconds,
        written=images * figures.written / seconds,
        listed=images * figures.listed,
    )


def most_workers(figures: Figures) -> float:
    """Return the number of workers that one scheduler can keep supplied with shards."""
    return figures.images_per_shard / figures.rate / max(figures.scheduler, figures.client)


def duration(seconds: float) -> str:
    """For people.

    >>> [duration(s) for s in (5, 300, 9000, 400_000)]
    ['5 s', '5.0 min', '2.5 h', '4.6 days']
    """
    for unit, length in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length or (unit == "min" and seconds >= length):
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"


def table(figures: Figures) -> Table:
    """All sets of images on all numbers of workers."""
    heads = ("images", "workers", "time", "shards", "scheduler", "client")
    shown = Table(title=f"shards of {figures.images_per_shard:,} images")
    for head in (*heads, "read, MB/s", "written, MB/s", "manifest, GB"):
        shown.add_column(head, justify="right")
    for row in rows(figures):
        shown.add_row(*row)
    return shown


def rows(figures: Figures) -> Iterator[Sequence[str]]:
    """Yield the predictions as text, row by row."""
    for name, images in _SETS.items():
        for workers in _WORKERS:
            found = expect(images, workers, figures)
            yield (
                name,
                f"{workers:,}",
                duration(found.seconds),
                f"{found.shards:,}",
                f"{found.scheduler:.0%} of a core",
                f"{found.client:.0%}",
                f"{found.read / 1e6:,.0f}",
                f"{found.written / 1e6:,.0f}",
                f"{found.listed / 1e9:,.1f}",
            )


@click.command()
@click.option("--rate", default=RATE, show_default=True, help="Images/s of a worker.")
@click.option("--scheduler", default=SCHEDULER, show_default=True, help="Its ms for a shard.")
@click.option("--client", default=CLIENT, show_default=True, help="Its ms for a shard.")
@click.option("--read", default=READ, show_default=True, help="kB for an image.")
@click.option("--written", default=WRITTEN, show_default=True, help="kB for an image.")
@click.option("--listed", default=LISTED, show_default=True, help="Bytes of the client's memory.")
@click.option("--images-per-shard", type=click.IntRange(min=1), multiple=True)
def main(
    rate: float,
    scheduler: float,
    client: float,
    read: float,
    written: float,
    listed: float,
    images_per_shard: tuple[int, ...],
) -> None:
    """Compute what to expect of 10, 100 and 1,000 workers."""
    console = Console(width=140)
    for number in images_per_shard or (1_000, 10_000):
        figures = Figures(
            rate=rate,
            scheduler=scheduler / 1000,
            client=client / 1000,
            read=read * 1000,
            written=written * 1000,
            listed=listed,
            images_per_shard=number,
        )
        console.print(table(figures))
        console.print(f"one scheduler feeds {most_workers(figures):,.0f} workers")


if __name__ == "__main__":
    main()
