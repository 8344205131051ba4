"""Size, time and noise of each encoding: ``python -m bench.encodings``.

Photos are cropped once; then each encoding encodes them all, and the check of shards reads them
back. Times are of the processor, for one core.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar, get_args

import click
import numpy as np

from bench.photos import collect_originals, photos_option
from bench.settings import DATA, SIZE
from prep.images.decoders.process import configure_process
from prep.images.decoders.values import Pixels
from prep.images.encoding.encode import make_encoder
from prep.images.encoding.readback import ResultReader
from prep.images.processor import ImageProcessor
from prep.settings.choices import Encoding
from prep.settings.image_settings import ImageSettings

T = TypeVar("T")
R = TypeVar("R")


class Cost(NamedTuple):
    """What an encoding costs an image: bytes, seconds each way, and PSNR in decibels."""

    size: float
    encode: float
    read: float
    psnr: float


def measure(crops: Sequence[Pixels], encoding: Encoding, quality: int) -> Cost:
    """Encode crops and read them back."""
    settings = ImageSettings(size=SIZE, encoding=encoding, quality=quality, mean=(0, 0, 0))
    files, encode = _timed(make_encoder(encoding, quality, (0, 0, 0)), crops)
    read = ResultReader(settings)
    found, seconds = _timed(lambda data: read.pixels(data).copy(), files)
    error = np.mean(
        [np.mean((a.astype(float) - b) ** 2) for a, b in zip(found, crops, strict=True)]
    )
    psnr = 10 * np.log10(255**2 / error) if error else np.inf
    return Cost(float(np.mean([len(data) for data in files])), encode, seconds, float(psnr))


def _timed(function: Callable[[T], R], items: Sequence[T]) -> tuple[list[R], float]:
    """Return the results, and the processor time of each."""
    began = time.thread_time()
    found = [function(item) for item in items]
    return found, (time.thread_time() - began) / len(items)


def measure_keeping(crops: Sequence[Pixels], quality: int) -> tuple[float, float]:
    """Return seconds for JPEGs that fit already: encoded again, and kept."""
    files = [make_encoder("jpeg", quality, None)(crop) for crop in crops]
    processors = [
        ImageProcessor(ImageSettings(size=SIZE, quality=quality, keep_fitting=keep))
        for keep in (False, True)
    ]
    again, kept = (_timed(process, files)[1] for process in processors)
    return again, kept


@click.command()
@photos_option
@click.option("--quality", type=click.IntRange(1, 100), default=90, show_default=True)
def main(photos: Path | None, quality: int) -> None:
    """Measure what each encoding takes, in bytes and in time."""
    configure_process()
    process = ImageProcessor(ImageSettings(size=SIZE))
    crops = [process.pixels(path.read_bytes()).copy() for path in collect_originals(photos, DATA)]
    measure_keeping(crops[:20], quality)  # This warms up.
    click.echo(f"{len(crops)} photos of {SIZE} × {SIZE} pixels, quality {quality}")
    for encoding in get_args(Encoding):
        cost = measure(crops, encoding, quality)
        click.echo(
            f"{encoding:8} {cost.size / 1e3:6.1f} kB  encode {cost.encode * 1e3:5.2f} ms  "
            f"read {cost.read * 1e3:5.2f} ms  {cost.psnr:.1f} dB"
        )
    again, kept = measure_keeping(crops, quality)
    click.echo(f"JPEGs that fit: {again * 1e3:.2f} ms encoded again, {kept * 1e3:.2f} ms kept")


if __name__ == "__main__":
    main()
