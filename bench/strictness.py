"""The cost of strict decoding and of the preflight: ``python -m bench.strictness``.

Whole photos through the package's decoder, and through bare simplejpeg, to the same size, which
ignores what libjpeg warns of. They take turns image by image in one process, so that what else the
machine does meets both alike, and what counts is the processor time of the thread.
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
from bench.settings import DATA, SIZE
from prep.images.decoders.decode import Decoder
from prep.images.decoders.process import configure_process
from prep.images.fitting.fitter import make_fitter
from prep.images.fitting.framing import Framing
from prep.images.geometry import shrink_factor


def measure_strictness(photos: Sequence[bytes], rounds: int) -> list[float]:
    """Return the seconds over those of bare decoding, for each round over ``photos``."""
    configure_process()
    decoder, needed = Decoder(), make_fitter(Framing(SIZE, SIZE), "linear")
    kept = np.empty(max(_bytes_decoded(data) for data in photos), np.uint8)
    bare = [_bare_decoder(data, kept) for data in photos]
    ratios = []
    for number in range(rounds + 1):
        strict_seconds = bare_seconds = 0.0
        for turn, (data, decode_bare) in enumerate(zip(photos, bare, strict=True)):
            decode_strictly = partial(decoder.decode, data, needed)
            if (turn + number) % 2:  # Who comes second finds the bytes in the cache.
                strict_seconds += _seconds(decode_strictly)
                bare_seconds += _seconds(decode_bare)
            else:
                bare_seconds += _seconds(decode_bare)
                strict_seconds += _seconds(decode_strictly)
        ratios.append(strict_seconds / bare_seconds)
    return ratios[1:]  # The first round warms up.


def _decoded_size(data: bytes) -> tuple[int, int, int]:
    """(height, width, factor) that the decoder shrinks a JPEG to."""
    height, width, *_ = simplejpeg.decode_jpeg_header(data)
    factor = shrink_factor(min(height, width), SIZE)
    return -(-height // factor), -(-width // factor), factor


def _bytes_decoded(data: bytes) -> int:
    height, width, _ = _decoded_size(data)
    return height * width * 3


def _bare_decoder(data: bytes, kept: npt.NDArray[np.uint8]) -> Callable[[], object]:
    height, width, factor = _decoded_size(data)
    return partial(
        simplejpeg.decode_jpeg,
        data,
        "RGB",
        min_height=height,
        min_width=width,
        min_factor=factor,
        buffer=kept,
        strict=False,
    )


def _seconds(work: Callable[[], object]) -> float:
    started = time.thread_time()
    work()
    return time.thread_time() - started


@click.command()
@photos_option
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True)
def main(photos: Path | None, rounds: int) -> None:
    """Measure what strictness and preflight add to decoding clean photos."""
    files = [path.read_bytes() for path in collect_originals(photos, DATA)]
    ratios = measure_strictness(files, rounds)
    click.echo(
        f"{len(files)} photos, {rounds} rounds: strictness and preflight add "
        f"{statistics.median(ratios) - 1:.1%} ({min(ratios) - 1:.1%} to {max(ratios) - 1:.1%})"
    )


if __name__ == "__main__":
    main()
