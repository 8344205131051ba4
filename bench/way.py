"""What an image costs on its way to a record: ``python -m bench.way``.

The bare loop of ``bench.limit``, which resizes linearly, is 100. ``write_shard`` takes turns with
it, image by image in one process, so that what else the machine does meets both alike. So do, in
rounds of their own, the image processor and the other steps, each by itself. Times are processor
time of the thread.
"""

from __future__ import annotations

import shutil
import statistics
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple, get_args

import click
import numpy as np

from bench.limit import Photo, convert
from bench.photos import collect_originals, link_set, photos_option
from bench.settings import DATA, QUALITY, SCRATCH, SIZE
from prep.config.model import Config
from prep.execution.workarounds import tune_allocator
from prep.images.decoders.jpeg.header import read_jpeg_header
from prep.images.decoders.process import configure_process
from prep.images.mean_image import grid_of, grid_side
from prep.images.processor import ImageProcessor
from prep.images.rgbx import rgbx_of
from prep.images.stats import channel_sums
from prep.operations.outlook import plan as make_plan
from prep.output.journal import Journal
from prep.output.report.checksums import checksum
from prep.planning.plan import RunPlan
from prep.settings.choices import Interpolation
from prep.settings.image_settings import ImageSettings
from prep.shards.formats.base import Sample, record_format
from prep.shards.tally import Tally
from prep.shards.writer import RunRef, write_shard
from prep.sources.base import ImageEntry, Source

DEFAULT: Interpolation = ImageSettings().interpolation
BARE, WHOLE, PROCESSOR = "bare", "write_shard", "image processor"

Seconds = defaultdict[str, float]
Steps = dict[str, Callable[[], object]]


class InTurns:
    """Observe a shard: stop its clock at each image, and run what it is compared with.

    Attributes:
        seconds: of ``write_shard`` and of each other step, over all images so far.
    """

    def __init__(self, files: Sequence[File], steps: Callable[[Turn], Steps]) -> None:
        self.seconds: Seconds = defaultdict(float)
        self._files = files
        self._steps = steps
        self._number = 0
        self._resumed = 0.0

    def attempt_begun(self, tally: Tally) -> None:
        self._resumed = time.thread_time()

    def image_done(self, class_name: str, image: bytes | None) -> None:
        stopped = time.thread_time()
        assert image is not None
        if self._number:  # The first image also waits for the manifest.
            self.seconds[WHOLE] += stopped - self._resumed - _seconds(_nothing)
            # Not the file that was just read, which is in the processor's cache.
            other = self._files[(self._number + len(self._files) // 2) % len(self._files)]
            steps = self._steps(Turn(other, image))
            # Who comes second finds the bytes in the cache.
            for name, step in list(steps.items())[:: 1 if self._number % 2 else -1]:
                self.seconds[name] += _seconds(step) - _seconds(_nothing)
        self._number += 1
        self._resumed = time.thread_time()


class File(NamedTuple):
    """An image file in memory."""

    entry: ImageEntry
    data: bytes


class Turn(NamedTuple):
    """What the steps are run on: a file, and an image as ``write_shard`` has stored it."""

    file: File
    image: bytes


class Bare:
    """The bare loop, into memory that is kept."""

    def __init__(self) -> None:
        self._decoded = np.empty(16 << 20, np.uint8)
        self._square = np.empty((SIZE, SIZE, 3), np.uint8)

    def __call__(self, turn: Turn) -> Steps:
        photo = Photo.of(turn.file.data, scaled=True)
        return {BARE: lambda: convert(photo, self._decoded, self._square)}


class EachStep:
    """The bare loop, the image processor, and the steps around the codecs by themselves."""

    def __init__(self, plan: RunPlan, source: Source) -> None:
        self._bare = Bare()
        self._source = source
        self._side = grid_side(plan.settings)
        self._process = ImageProcessor(plan.settings)
        format = record_format(plan.config.format)
        self._encode = format.encoder(plan.settings, plan.labels, plan.features)
        self._write = format.writer(_Nowhere()).write
        self._planes = [np.empty((SIZE, SIZE), np.uint8) for _ in range(4)]

    def __call__(self, turn: Turn) -> Steps:
        (entry, data), image = turn
        pixels = self._process.pixels(data)
        sample = Sample.of(image, entry, "00000-000000", pixels.shape[1::-1])
        record = self._encode(sample)
        planes = self._planes[: 3 if rgbx_of(pixels) is None else 4]
        return self._bare(turn) | {
            PROCESSOR: lambda: self._process(data),
            "read": lambda: self._source.fetch(entry),
            "header": lambda: read_jpeg_header(data),
            "channel sums": lambda: channel_sums(pixels, planes),
            "grid": lambda: grid_of(pixels, self._side),
            "checksum": lambda: checksum(data),
            "Example": lambda: self._encode(sample),
            "framing": lambda: self._write(record),
            "SHA-256": lambda: sha256(image),
        }


def _nothing() -> None:
    """Take the time that it takes to look at the clock."""


def _seconds(step: Callable[[], object]) -> float:
    began = time.thread_time()
    step()
    return time.thread_time() - began


class _Nowhere:
    """A file that keeps nothing."""

    def write(self, data: bytes, /) -> None: ...

    def writelines(self, pieces: object, /) -> None: ...


class Way:
    """Writes the images of a source as one shard, again and again."""

    def __init__(self, source: Path, images: int, interpolation: Interpolation) -> None:
        self._config = Config(
            source=str(source),
            output=str(SCRATCH / "way"),
            size=SIZE,
            quality=QUALITY,
            interpolation=interpolation,
            images_per_shard=images,
        )

    def measure(self, *, each_step: bool = False) -> Seconds:
        """Write all images once; return the seconds of each step that was run beside it."""
        shutil.rmtree(self._config.output, ignore_errors=True)
        plan = make_plan(self._config)
        journal = Journal(plan.config.output)
        journal.begin(plan)
        run = RunRef(output=journal.output, digest=plan.fingerprint.digest, run=uuid.uuid4().hex)
        source = journal.source(plan)
        total: Seconds = defaultdict(float)
        for shard in plan.shards:
            compared = EachStep(plan, source) if each_step else Bare()
            entries = journal.entries(plan, shard)
            turns = InTurns([File(entry, source.read(entry)) for entry in entries], compared)
            write_shard(shard, run, turns)
            for name, seconds in turns.seconds.items():
                total[name] += seconds
        return total


def line(name: str, rounds: Sequence[Seconds]) -> str:
    """Return what a step costs, if bare is 100: the median over the rounds, and their range."""
    shares = [100 * each[name] / each[BARE] for each in rounds]
    return f"{name:16}{statistics.median(shares):7.1f}  ({min(shares):.1f} to {max(shares):.1f})"


def lines(way: Way, images: int, rounds: int) -> Iterator[str]:
    """Measure a way, and yield the lines that say what it found."""
    way.measure()  # This warms up.
    whole = [way.measure() for _ in range(rounds)]
    steps = [way.measure(each_step=True) for _ in range(rounds)]
    bare = statistics.median(each[BARE] for each in whole) / (images - 1)
    yield f"{images} images, {rounds} rounds; {BARE} is {bare * 1e6:,.0f} µs"
    yield line(WHOLE, whole)
    for name in steps[0]:
        if name not in (WHOLE, BARE):
            yield line(name, steps)


@click.command()
@photos_option
@click.option("--images", type=click.IntRange(min=10), default=500, show_default=True)
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True)
@click.option(
    "--interpolation",
    "interpolations",
    type=click.Choice(get_args(Interpolation)),
    multiple=True,
    default=("linear", DEFAULT),
    show_default=True,
)
def main(
    photos: Path | None, images: int, rounds: int, interpolations: tuple[Interpolation, ...]
) -> None:
    """Measure what each step of an image's way costs, the bare loop being 100."""
    configure_process()
    tune_allocator()
    source = link_set(collect_originals(photos, DATA), DATA, images)
    for interpolation in interpolations:
        click.echo(f"{interpolation}:")
        for told in lines(Way(source, images, interpolation), images, rounds):
            click.echo(told)


if __name__ == "__main__":
    main()
