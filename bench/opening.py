"""Measure prep.open against a plain loop: ``python -m bench.opening [--photos FOLDER]``.

The plain loop reads each shard from its start and decodes, and checks nothing. All take turns, and
what counts is the processor time of an image.
"""

from __future__ import annotations

import statistics
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import numpy as np

import prep
from bench.photos import collect_originals, link_set, photos_option
from bench.settings import DATA, SCRATCH, SIZE, SPLIT
from prep.images.encoding.record_pixels import stored_image
from prep.shards.formats.base import record_format
from prep.training.image_dataset import ImageDataset

_TOGETHER = 64  # records, as of a batch


def _plain(images: ImageDataset) -> None:
    parse = record_format("tfrecord").parse
    for data in _records(Path(images.output)):
        stored_image(parse(data).image, images.settings)


def _records(output: Path) -> Iterator[bytes]:
    for path in sorted((output / SPLIT).glob("*.tfrecord")):
        with path.open("rb") as file:
            while header := file.read(12):
                yield file.read(struct.unpack("<Q", header[:8])[0])
                file.read(4)


def _in_order(images: ImageDataset) -> None:
    for _ in images:
        pass


def _one_by_one(images: ImageDataset) -> None:
    for number in prep.Order(images, epochs=1):
        images[number]


def _together(images: ImageDataset) -> None:
    numbers = prep.Order(images).at(np.arange(len(images)))
    for start in range(0, len(images), _TOGETHER):
        images.__getitems__(numbers[start : start + _TOGETHER].tolist())


def _not_decoded(images: ImageDataset) -> None:
    numbers = prep.Order(images).at(np.arange(len(images)))
    for start in range(0, len(images), _TOGETHER):
        images.read_many(numbers[start : start + _TOGETHER])


WAYS: dict[str, Callable[[ImageDataset], None]] = {
    "plain loop": _plain,
    "in order": _in_order,
    "shuffled, one by one": _one_by_one,
    f"shuffled, {_TOGETHER} together": _together,
    f"shuffled, {_TOGETHER} together, not decoded": _not_decoded,
}


@click.command()
@photos_option
@click.option("--images", "count", default=2_000, show_default=True)
@click.option("--rounds", default=5, show_default=True)
def main(photos: Path | None, count: int, rounds: int) -> None:
    """Measure what it takes to read images by prep.open."""
    source, output = link_set(collect_originals(photos, DATA), DATA, count), SCRATCH / "opening"
    prep.run(prep.Config(source=str(source), output=str(output), size=SIZE))
    began = time.perf_counter()
    images = prep.open(output, SPLIT)
    click.echo(f"{images}, opened in {time.perf_counter() - began:.3f} s")
    seconds: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(rounds):
        for name, read in WAYS.items():
            began = time.process_time()
            read(images)
            seconds[name].append((time.process_time() - began) / len(images))
    plain = seconds["plain loop"]
    for name, each in seconds.items():
        ratio = statistics.median(p / e for p, e in zip(plain, each, strict=True))
        click.echo(f"{name:38} {1e6 * statistics.median(each):6.0f} µs an image, rate {ratio:.2f}")


if __name__ == "__main__":
    main()
