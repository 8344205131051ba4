"""What a small run takes: ``python -m bench.starting [--against CHECKOUT]``.

Each command is a process of its own, from its beginning to its end; commands, and checkouts of
other versions, take turns. The first image is done when the first shard of a run was begun, and one
image's share of that shard has passed.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from bench.photos import collect_originals, link_set, photos_option
from bench.settings import DATA, SCRATCH
from prep.parsing import parse_json

_HERE = Path(__file__).parents[1]
_COMPILED = DATA / "compiled"  # Nothing is compiled in turn, or written to a checkout.
# What each command but ``run`` is measured with.
_FEW = 10


@dataclass(frozen=True, slots=True)
class Start:
    """A command that is timed.

    Attributes:
        label: what it is called in the table.
        arguments: of ``prep``; SCRATCH is empty when it begins, unless it reads an output.
        reads: whether it needs the output that the last run has left there.
    """

    label: str
    arguments: tuple[str, ...]
    reads: bool = False


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds from the start of a process to its first image, if it writes any, and to its end."""

    end: float
    first: float | None


def starts(sources: dict[int, Path], workers: Sequence[int]) -> list[Start]:
    """Return the commands in the order in which they are run."""
    found = [Start("--help", ("--help",))]
    for images, source in sources.items():
        for number in workers:
            if number > 1 and images < number:
                continue
            cut = ("--images-per-shard", str(-(-images // number)), "--workers", str(number))
            run = ("run", str(source), str(SCRATCH), "--quiet", *cut)
            name = f"run, {images:,} images, {number} workers"
            found += [Start(f"{name}, Dask", (*run, "--dashboard")), Start(name, run)]
    few = str(sources[_FEW] if _FEW in sources else next(iter(sources.values())))
    return [
        *found,
        Start("verify", ("verify", str(SCRATCH), "--quiet"), reads=True),
        Start("mean", ("mean", few, "-o", str(SCRATCH.with_name("mean.json")), "--quiet")),
        Start("plan", ("plan", few, str(SCRATCH), "--json")),
    ]


def measure(start: Start, checkout: Path) -> Took:
    """Run a command of a checkout."""
    if not start.reads:
        shutil.rmtree(SCRATCH, ignore_errors=True)
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    env = {**kept, "PYTHONPATH": str(checkout), "PYTHONPYCACHEPREFIX": str(_COMPILED)}
    command = [sys.executable, "-m", "prep", *start.arguments]
    began, epoch = time.perf_counter(), time.time()
    subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL)
    return Took(time.perf_counter() - began, _first_image(epoch) if "run" in command else None)


def _first_image(epoch: float) -> float:
    receipts = map(Path.read_bytes, (SCRATCH / ".prep/receipts").glob("*/*.json"))
    values = [parse_json(receipt.decode()) for receipt in receipts]
    first = min(values, key=lambda value: value["began"])
    images = max(1, sum(first["written"].values()))
    return float(first["began"] - epoch + first["seconds"] / images)


@click.command()
@photos_option
@click.option(
    "--against",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Checkout of another version; several may be given.",
)
@click.option("--images", default="1,10,1000", show_default=True, help="Images of a run.")
@click.option("--workers", default="1,2,16", show_default=True, help="Workers of a run.")
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True)
def main(
    photos: Path | None, against: Sequence[Path], images: str, workers: str, rounds: int
) -> None:
    """Time small runs and other commands, of this checkout and of others."""
    originals = collect_originals(photos, DATA)
    sources = {n: link_set(originals, DATA, n) for n in map(int, images.split(","))}
    commands = starts(sources, [*map(int, workers.split(","))])
    checkouts = [*(path.resolve() for path in against), _HERE]
    took: dict[tuple[Start, Path], list[Took]] = defaultdict(list)
    for number in range(rounds + 1):
        for start in commands:
            for checkout in checkouts if number % 2 else reversed(checkouts):
                result = measure(start, checkout)
                if number:  # The first round compiles, and has the system read files.
                    took[start, checkout].append(result)
        click.echo(f"round {number} of {rounds}")
    shutil.rmtree(SCRATCH, ignore_errors=True)
    click.echo(f"{'seconds, median of ' + str(rounds):36}" + _titles(checkouts))
    for start in commands:
        cells = [_cell(took[start, checkout]) for checkout in checkouts]
        click.echo(f"{start.label:36}{''.join(cells)}")


def _titles(checkouts: Sequence[Path]) -> str:
    return "".join(f"{path.name[-20:]:>22}" for path in checkouts)


def _cell(took: Sequence[Took]) -> str:
    end = f"{statistics.median(each.end for each in took):.2f}"
    firsts = [each.first for each in took if each.first is not None]
    return f"{end + (f' (first {statistics.median(firsts):.2f})' if firsts else ''):>22}"


if __name__ == "__main__":
    main()
