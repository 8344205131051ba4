"""The cost of planning at scale: ``python -m bench.planning``.

A catalog of made-up images, as many as ImageNet has and upwards, is planned, written, opened and
read as a run does it: everything but listing the source, and without a single image file. Each
number of images is measured in a process of its own, so that its peak of memory is its own.
"""

from __future__ import annotations

import dataclasses
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import TypeVar

import click
import numpy as np
import psutil
import pyarrow as pa
from rich.console import Console
from rich.table import Table

from bench.compare.monitor import peak_memory
from bench.scheduling import receipt_of
from prep.config.model import Config
from prep.output.conflicts import require_room
from prep.output.journal import Journal
from prep.output.receipt import total_receipts
from prep.output.report.checksums import to_text
from prep.output.report.duplicates import copies_in_run
from prep.planning.plan import RunPlan
from prep.planning.planner import make_plan
from prep.sources.base import Catalog
from prep.sources.labels import LabelMap

_IMAGES = 1000  # a shard
_CLASSES = 1000
_MIB = 1 << 20
_SAMPLE = 50  # shards, of which each is opened as a worker opens it

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """The cost of planning so many images.

    Attributes:
        seconds: of processor time of each step, by name.
        memory: bytes of resident memory at most, with the lists that a catalog is made from.
        manifest: bytes of the manifest on disk.
        shard: seconds of processor time to read a shard's rows of it, as a worker does for each;
            the median.
    """

    images: int
    seconds: dict[str, float]
    memory: int
    manifest: int
    shard: float


class _Steps:
    """Takes the processor time of one step after the other: others can't lengthen it."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def __call__(self, name: str, step: Callable[[], T]) -> T:
        started = time.process_time()
        result = step()
        self.seconds[name] = time.process_time() - started
        return result


def measure(images: int, folder: str) -> Planned:
    """Plans ``images`` of them, and writes and reads what a run writes and reads beside shards.

    Args:
        folder: an empty one, on the disk that is to be measured.
    """
    process = psutil.Process()
    before = process.memory_info().rss
    catalog = make_catalog(images)
    config = Config(source=catalog.source, output=folder, images_per_shard=_IMAGES)
    labels = LabelMap.build(catalog.classes)
    journal, step = Journal(folder), _Steps()
    plan = step("plan", lambda: make_plan(config, catalog, labels, None, {}))
    step("check", lambda: require_room(journal, plan))
    step("begin", lambda: journal.begin(plan))
    step("check again", lambda: require_room(journal, plan))
    step("begin again", lambda: journal.begin(plan))
    shard = _seconds_a_shard(journal, plan)
    _commit_all(journal, plan)
    receipts = step("read receipts", lambda: journal.committed(plan))
    step("totals", lambda: total_receipts(receipts))
    step(
        "find duplicates",
        lambda: copies_in_run(plan.manifest, plan.classes, plan.shards, receipts),
    )
    return Planned(
        images=images,
        seconds=step.seconds,
        memory=peak_memory(process) - before,
        manifest=journal.layout.manifest.stat().st_size,
        shard=shard,
    )


def make_catalog(images: int) -> Catalog:
    """Names, sizes and times like those of ImageNet."""
    random = np.random.default_rng(0)
    class_ = np.sort(random.integers(0, _CLASSES, images))
    classes = tuple(f"n{number * 7919 + 1440764:08d}" for number in range(_CLASSES))
    numbers = random.integers(0, 100_000, images)
    paths = [
        f"train/{classes[c]}/{classes[c]}_{n}.JPEG".encode()
        for c, n in zip(class_.tolist(), numbers.tolist(), strict=True)
    ]
    columns = {
        "split": pa.array(np.zeros(images, np.int32)),
        "class": pa.array(class_.astype(np.int32)),
        "path": pa.array(paths, pa.binary()),
        "size": pa.array(random.lognormal(11.4, 0.6, images).astype(np.int64)),
        "mtime": pa.array(random.integers(1 << 60, (1 << 60) + (1 << 50), images)),
    }
    return Catalog(
        source="/data/imagenet",
        splits=("train",),
        classes=classes,
        images=pa.table(columns),
        ignored=(),
    )


def _seconds_a_shard(journal: Journal, plan: RunPlan) -> float:
    times = []
    for shard in plan.shards[:: max(1, len(plan.shards) // _SAMPLE)]:
        started = time.process_time()
        found = sum(1 for _ in journal.entries(plan, shard))
        times.append(time.process_time() - started)
        assert found == shard.images
    return statistics.median(times)


def _commit_all(journal: Journal, plan: RunPlan) -> None:
    """Receipts of shards that are there, and empty."""
    random = np.random.default_rng(0)
    for shard in plan.shards:
        path = journal.layout.shard(shard)
        path.publish(b"", durable=False)
        receipt = receipt_of(shard, plan.fingerprint.digest)
        file = str(path.relative_to(journal.layout.root))
        checksums = to_text(random.integers(1, 1 << 63, shard.images).tolist())
        journal.receipts.commit(
            dataclasses.replace(receipt, bytes=0, file=file, checksums=checksums)
        )


def table(found: Sequence[Planned]) -> Table:
    """The steps, for each number of images."""
    shown = Table(title="planning")
    shown.add_column("")
    for planned in found:
        shown.add_column(f"{planned.images:,} images", justify="right")
    for name in found[0].seconds:
        shown.add_row(f"{name}, s", *(f"{planned.seconds[name]:.2f}" for planned in found))
    shown.add_row("rows of a shard, ms", *(f"{planned.shard * 1000:.2f}" for planned in found))
    shown.add_row("memory, MiB", *(f"{planned.memory / _MIB:.0f}" for planned in found))
    shown.add_row("manifest, MiB", *(f"{planned.manifest / _MIB:.1f}" for planned in found))
    return shown


@click.command()
@click.argument("images", type=click.IntRange(min=1), nargs=-1)
@click.option("--folder", help="Where, on the disk to measure. [that of temporary files]")
def main(images: tuple[int, ...], folder: str | None) -> None:
    """Measure what planning costs for each of these numbers of IMAGES."""
    found = []
    for number in images or (128_000, 1_281_167, 5_000_000):
        with (
            tempfile.TemporaryDirectory(dir=folder) as output,
            ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool,
        ):
            found.append(pool.submit(measure, number, output).result())
        Console().print(table(found))


if __name__ == "__main__":
    main()
