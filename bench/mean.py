"""The cost of a mean over that of decoding: ``python -m bench.mean``.

Photos are decoded strictly and in full by bare simplejpeg into memory that is kept, from memory and
from files; and what ``prep mean`` does is done by the function that its workers call. All take
turns task by task, in one process and in another order each time, so that whatever else the machine
does meets all of them alike. What counts is the processor time of the thread.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt
import simplejpeg

from bench.photos import collect_originals, photos_option
from bench.settings import DATA
from prep.images.decoders.process import configure_process
from prep.operations.averaging.concluding import conclude
from prep.operations.averaging.mean_report import MeanReport
from prep.operations.averaging.summing import Method, Part, Portion, merge_parts, sum_images
from prep.text import triple

_FILES = 64  # of a task
_READING = "read and decode"
_METHODS = {
    "mean, std and covariance": Method(),
    "mean alone (--no-std)": Method(std=False),
    "--approximate": Method(approximate=True),
}


def measure(
    photos: Sequence[Path], rounds: int
) -> tuple[dict[str, list[float]], dict[str, MeanReport]]:
    """Return the seconds of each way in each round over the photos, and the means it gives."""
    configure_process()
    bytes_of = {path: path.read_bytes() for path in photos}
    kept = np.empty(max(map(_bytes_decoded, bytes_of.values())), np.uint8)
    tasks = [photos[start : start + _FILES] for start in range(0, len(photos), _FILES)]
    seconds: dict[str, list[float]] = {}
    parts: dict[str, list[Part]] = {}
    for number in range(rounds + 1):
        for turn, paths in enumerate(tasks):
            ways: list[tuple[str, Callable[[], object]]] = [
                ("decode", partial(_decode, [bytes_of[path] for path in paths], kept)),
                (_READING, partial(_read_and_decode, paths, kept)),
            ]
            for name, method in _METHODS.items():
                ways.append((name, partial(_sum, parts, name, number, paths, method)))
            shift = (number + turn) % len(ways)
            for name, work in (*ways[shift:], *ways[:shift]):
                began = time.thread_time()
                work()
                taken = seconds.setdefault(name, [0.0] * (rounds + 1))
                taken[number] += time.thread_time() - began
    means = {name: conclude(merge_parts(found), "image", 255) for name, found in parts.items()}
    return {name: taken[1:] for name, taken in seconds.items()}, means  # The first warms up.


def _sum(
    parts: dict[str, list[Part]], name: str, number: int, paths: Sequence[Path], method: Method
) -> None:
    part = sum_images(Portion(files=[*map(str, paths)], method=method))
    if number == 0:
        parts.setdefault(name, []).append(part)


def _decode(files: Sequence[bytes], kept: npt.NDArray[np.uint8]) -> None:
    for data in files:
        simplejpeg.decode_jpeg(data, "RGB", buffer=kept, strict=True)


def _read_and_decode(paths: Sequence[Path], kept: npt.NDArray[np.uint8]) -> None:
    for path in paths:
        simplejpeg.decode_jpeg(path.read_bytes(), "RGB", buffer=kept, strict=True)


def _bytes_decoded(data: bytes) -> int:
    height, width, *_ = simplejpeg.decode_jpeg_header(data)
    return int(height * width * 3)


@click.command()
@photos_option
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True)
def main(photos: Path | None, rounds: int) -> None:
    """Measure what a mean costs beside decoding, and how far the quick one is off."""
    files = [path.absolute() for path in collect_originals(photos, DATA)]
    seconds, means = measure(files, rounds)
    click.echo(f"{len(files)} photos, {rounds} rounds; 1.00 is the rate of reading and decoding")
    for name, taken in seconds.items():
        rates = [ours / each for ours, each in zip(seconds[_READING], taken, strict=True)]
        click.echo(
            f"{name:26} {statistics.median(taken) / len(files) * 1e6:6.0f} µs  "
            f"{statistics.median(rates):.3f} ({min(rates):.3f} to {max(rates):.3f})"
        )
    exact, quick = means[next(iter(_METHODS))], means["--approximate"]
    click.echo(
        "--approximate is off by "
        + "  ".join(f"{c} {quick.mean[c] - exact.mean[c]:+.3f}" for c in exact.mean)
        + f"; standard error {triple(quick.standard_error)}"
    )


if __name__ == "__main__":
    main()
