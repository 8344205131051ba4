"""Photos that are much larger than the result: ``python -m bench.large_photos``.

First the speed. Photos of 12 megapixels, which are made of smaller ones, are turned into results in
one process, by all ways in turns. The bare loop of ``bench.limit`` that decodes all of the detail
is 1; other bare loops have the decoder shrink by 2, 4 or 8, and the rest are image processors.
The error of a way is how far its results are from those of the same kernel at full size.

Then the rule that says how far a decoder may shrink: that error, by what it leaves of a photo, on
photos as they are. They are made so small that the detail which they really have is what is lost.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import get_args

import click
import cv2
import numpy as np
import simplejpeg
from PIL import Image

from bench.limit import Photo, convert
from bench.photos import collect_originals, photos_option
from bench.settings import DATA, SIZE
from prep.execution.workarounds import tune_allocator
from prep.images.decoders.process import configure_process
from prep.images.decoders.values import Pixels
from prep.images.fitting.framing import Framing, placement_of
from prep.images.processor import ImageProcessor
from prep.settings.choices import Interpolation
from prep.settings.image_settings import ImageSettings

_SHORT = 3024  # pixels of the shorter side, as phones have
_QUALITY, _GRAIN = 88, 3  # Grain as a standard deviation in levels; together, 1.7 MB.
_FACTORS = (2, 4, 8)
_RESTS = (1.25, 1.5, 1.75, 2.0, 2.5, 3.0)
_LEAST = 12  # pixels of a result that an error is measured on
_KERNELS: tuple[Interpolation, ...] = get_args(Interpolation)
_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def enlarged(path: Path) -> bytes:
    """Return a JPEG of a phone's size that shows a photo, with the grain of a sensor."""
    with Image.open(path) as image:
        scale = _SHORT / min(image.size)
        size = round(image.width * scale), round(image.height * scale)
        large = image.convert("RGB").resize(size, Image.Resampling.BICUBIC)
    pixels = np.asarray(large)
    cv2.setRNGSeed(0)
    grain = np.asarray(cv2.randn(np.zeros(pixels.shape, np.int16), np.zeros(3), np.full(3, _GRAIN)))
    grainy = np.clip(pixels + grain, 0, 255).astype(np.uint8)
    return bytes(simplejpeg.encode_jpeg(grainy, _QUALITY, "RGB", "420"))


def _of_size(data: bytes, factor: int) -> Photo:
    height, width, *_ = simplejpeg.decode_jpeg_header(data)
    return Photo(data=data, height=-(-height // factor), width=-(-width // factor), factor=factor)


def measure_speed(files: Sequence[bytes], rounds: int) -> dict[str, float]:
    """Return the processor time of each way, in seconds, for all files."""
    room = max(of.height * of.width for of in (_of_size(data, 1) for data in files))
    decoded, square = np.empty(3 * room, np.uint8), np.empty((SIZE, SIZE, 3), np.uint8)

    def bare(factor: int) -> Callable[[bytes], object]:
        return lambda data: convert(_of_size(data, factor), decoded, square)

    ways = {f"bare, 1/{factor}": bare(factor) for factor in (1, *_FACTORS)}
    ways |= {kernel: ImageProcessor(ImageSettings(interpolation=kernel)) for kernel in _KERNELS}
    seconds = dict.fromkeys(ways, 0.0)
    for turn in range(-1, rounds):
        for data in files:
            for name, way in list(ways.items())[:: 1 if turn % 2 else -1]:
                began = time.thread_time()
                way(data)
                if turn >= 0:  # The first turn warms up.
                    seconds[name] += time.thread_time() - began
    return seconds


def measure_error(files: Sequence[bytes], kernel: Interpolation) -> float:
    """Return how far results are from those of the photo at full size, in levels, on average."""
    process = ImageProcessor(ImageSettings(interpolation=kernel))
    off = []
    for data in files:
        found = process.pixels(data).astype(int)
        whole = cv2.cvtColor(simplejpeg.decode_jpeg(data, "RGB"), cv2.COLOR_RGB2BGR)
        expected = process.pixels(cv2.imencode(".bmp", whole)[1].tobytes())
        off.append(np.abs(expected - found).mean())
    return float(np.mean(off))


def measure_rule(files: Sequence[bytes], kernel: str, factor: int, rest: float) -> float | None:
    """Return the error, in levels, where a decoder that shrinks by ``factor`` leaves ``rest``.

    Args:
        rest: the number of pixels of the shrunk image, along an axis, for each of the result.
    """
    off = []
    for data in files:
        height, width, *_ = simplejpeg.decode_jpeg_header(data)
        size = round(min(height, width) / factor / rest)
        if size >= _LEAST:
            whole, shrunk = (_resized(data, kernel, n, size) for n in (1, factor))
            off.append(np.abs(whole.astype(int) - shrunk).mean())
    return float(np.mean(off)) if off else None


def _resized(data: bytes, kernel: str, factor: int, size: int) -> Pixels:
    photo = _of_size(data, factor)
    pixels = simplejpeg.decode_jpeg(
        data, "RGB", min_height=photo.height, min_width=photo.width, min_factor=factor
    )
    height, width, *_ = simplejpeg.decode_jpeg_header(data)
    top, left, rows, columns = placement_of(Framing(size, size), height, width).box(
        height, width, factor
    )
    box = (left, top, left + columns, top + rows)
    return np.asarray(Image.fromarray(pixels).resize((size, size), _FILTERS[kernel], box))


def _lines(files: Sequence[bytes], rounds: int) -> Iterator[str]:
    seconds = measure_speed(files, rounds)
    whole = seconds["bare, 1/1"]
    for name, taken in seconds.items():
        line = f"{name:10} {taken / rounds / len(files) * 1e3:6.1f} ms  {whole / taken:5.2f}"
        yield line if name not in _KERNELS else f"{line}  {measure_error(files, name):5.2f} levels"


@click.command()
@photos_option
@click.option("--count", default=6, show_default=True, help="Photos of 12 megapixels.")
@click.option("--rounds", default=3, show_default=True)
@click.option("--rule", default=80, show_default=True, help="Photos for the rule; 0: leave it out.")
def main(photos: Path | None, count: int, rounds: int, rule: int) -> None:
    """Measure what large photos take, and what shrinking decoders leave out."""
    configure_process()
    tune_allocator()
    originals = collect_originals(photos, DATA)
    files = [enlarged(path) for path in originals[:: max(1, len(originals) // count)][:count]]
    size = sum(map(len, files)) / len(files) / 1e6
    click.echo(f"{len(files)} photos, of {size:.1f} MB on average; results of {SIZE} pixels")
    for line in _lines(files, rounds):
        click.echo(line)
    some = [
        path.read_bytes() for path in originals[:: max(1, len(originals) // max(rule, 1))] if rule
    ]
    for kernel in _FILTERS if some else ():
        click.echo(f"{kernel}: levels, where a decoder leaves so many pixels for each of a result")
        click.echo("      " + "".join(f"{rest:7}" for rest in _RESTS))
        for factor in _FACTORS:
            found = [measure_rule(some, kernel, factor, rest) for rest in _RESTS]
            click.echo(
                f"  1/{factor} " + "".join("      –" if e is None else f"{e:7.2f}" for e in found)
            )


if __name__ == "__main__":
    main()
