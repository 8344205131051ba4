"""``python -m bench``: measure, print, and keep."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import click
from dask.system import CPU_COUNT
from rich.console import Console

from bench.machine import describe_machine
from bench.photos import collect_originals, link_set, photos_option
from bench.report import make_report
from bench.rounds import Bench, Setup
from bench.settings import DATA, RESULTS, SCRATCH


@click.command()
@photos_option
@click.option("--small", type=click.IntRange(min=100), default=5_000, show_default=True)
@click.option("--large", type=click.IntRange(min=200), default=20_000, show_default=True)
@click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--images-per-shard", type=click.IntRange(min=1), default=250, show_default=True)
@click.option("--quick", is_flag=True, help="Few images, one round: only shows that it works.")
def main(
    photos: Path | None, small: int, large: int, rounds: int, images_per_shard: int, quick: bool
) -> None:
    """Measure prep against the limit of the codecs and against the article's script."""
    if large <= small:
        raise click.UsageError(f"--large: got {large}; expected more than --small, {small}")
    setup = Setup(
        small=small,
        large=large,
        rounds=rounds,
        images_per_shard=images_per_shard,
        observed_shards=(images_per_shard, 8 * images_per_shard),
        cores=CPU_COUNT,
    )
    if quick:
        setup = replace(
            setup,
            small=1_000,
            large=3_000,
            rounds=1,
            images_per_shard=100,
            observed_shards=(100, 500),
        )
    _run(setup, photos)


def _run(setup: Setup, photos: Path | None) -> None:
    console = Console()
    console.print(f"images: {photos or 'made up'}", highlight=False, markup=False)
    shutil.rmtree(SCRATCH, ignore_errors=True)  # What a benchmark that was killed has left.
    originals = collect_originals(photos, DATA)
    bench = Bench(
        setup=setup,
        originals=originals,
        sets={count: link_set(originals, DATA, count) for count in (setup.small, setup.large)},
        say=lambda text: console.print(text, highlight=False, markup=False),
    )
    rounds = bench.run_rounds()
    report = make_report(setup, rounds, bench.observe_all(), describe_machine(setup.cores))
    report.print(console)
    console.print(f"written to {report.write(RESULTS)}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    main()
