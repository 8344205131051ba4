"""The time to plan many local files, and that of ``find``: ``python -m bench.listing FOLDER``.

Empty files in class folders are made in FOLDER, on the disk to measure, and removed in the end.
Then, in turns: ``find`` that prints names alone, ``find`` that prints the size and time of each
file, too, as a plan has to know them, and ``prep plan`` as a command, with its start. Contents of
files are not read by any of them.
"""

from __future__ import annotations

import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Use:
    """The seconds a command took, those of processor time, and its memory at most, in MiB.

    The memory is that of the largest process.
    """

    wall: float
    cpu: float
    memory: float


def make_files(root: Path, classes: int, images: int) -> None:
    """Make empty files with names like ImageNet's, in the order of their random numbers."""
    draw = random.Random(0)
    for number in range(classes):
        name = f"n{number * 7919 + 1440764:08d}"
        folder = root / "train" / name
        folder.mkdir(parents=True)
        for image in draw.sample(range(100_000), images):
            os.close(os.open(folder / f"{name}_{image}.JPEG", os.O_CREAT | os.O_WRONLY))


def commands(root: Path) -> dict[str, Sequence[str]]:
    """Return the commands to compare."""
    find = ("find", str(root), "-type", "f")
    return {
        "find": find,
        "find, with size and time": (*find, "-printf", r"%p %s %T@\n"),
        "prep plan": (sys.executable, "-m", "prep", "plan", "-q", str(root), f"{root}-out"),
    }


def used(command: Sequence[str]) -> Use:
    """Run a command, and return what it took."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise click.ClickException(f"{command[0]} ended with {process.returncode}")
    return Use(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--classes", default=1000, show_default=True)
@click.option("--images", default=1280, show_default=True, help="Of each class.")
@click.option("--rounds", default=5, show_default=True)
def main(folder: Path, classes: int, images: int, rounds: int) -> None:
    """Make files in FOLDER, and measure how long they take to list."""
    folder.mkdir(parents=True, exist_ok=True)
    root = Path(tempfile.mkdtemp(dir=folder)) / "images"
    try:
        make_files(root, classes, images)
        found: dict[str, list[Use]] = {name: [] for name in commands(root)}
        for _ in range(rounds + 1):
            for name, command in commands(root).items():
                found[name].append(used(command))
    finally:
        shutil.rmtree(root.parent)
    table = Table(title=f"{classes * images:,} files; medians of {rounds} rounds")
    for head in ("", "seconds", "of find with size and time", "processor, s", "memory, MiB"):
        table.add_column(head, justify="right" if head else "left")
    base = found["find, with size and time"]
    for name, uses in found.items():
        shares = [use.wall / by.wall for use, by in zip(uses[1:], base[1:], strict=True)]
        values = (
            [use.wall for use in uses[1:]],
            shares,
            [use.cpu for use in uses[1:]],
            [use.memory for use in uses[1:]],
        )
        table.add_row(name, *(f"{statistics.median(each):.2f}" for each in values))
    Console().print(table)


if __name__ == "__main__":
    main()
