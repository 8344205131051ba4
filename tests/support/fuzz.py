"""Mutated image files through the image processor.

``python -m tests.support.fuzz --mutations 100000``

Nothing but a refusal may come of a mutated file: no other error, no crash, no hang, and no memory
that is not given back. The files are processed in a child process, so that a crash is seen, and
named with the number of the mutation, which ``--first NUMBER --mutations 1`` repeats.
"""

from __future__ import annotations

import itertools
import multiprocessing
import random
import resource
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import click
import psutil
from PIL import Image

from prep.errors import RefusedImage
from prep.images.decoders.process import configure_process
from prep.images.processor import ImageProcessor
from prep.settings.image_settings import ImageSettings
from tests.support.pictures import image_file, jpeg, picture
from tests.support.raster_variants import rasters
from tests.support.variants import odd_tiffs, tiffs

_MAX_PIXELS = 4_000_000  # Larger claims are a matter of memory, not of chance.
_HANGS_AFTER = 30  # seconds
_WARM_UP = 300  # mutations, after which memory is to stay what it is
_MOST_GROWTH = 64 << 20  # 64 MiB; a full-size image comes to 50
_EXTREMES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)

Mutation = Callable[[random.Random, bytearray, Sequence[bytes]], None]


def made_up_files() -> list[bytes]:
    """Image files of all kinds: those with metadata, and one of each row of docs/formats.md."""
    variants = itertools.chain(rasters(), tiffs(every=11), odd_tiffs())
    return [*_with_metadata(), *{variant.kind: variant.data for variant in variants}.values()]


def _with_metadata() -> list[bytes]:
    pixels = picture(48, 60)
    rgb = Image.fromarray(pixels)
    clear = rgb.convert("RGBA")
    clear.putalpha(128)
    exif = Image.Exif()
    exif[0x0112] = 6
    return [
        jpeg(pixels),
        jpeg(pixels, progressive=True),
        jpeg(pixels, exif=exif, restart_marker_blocks=2),
        image_file(rgb.convert("CMYK"), "JPEG"),
        image_file(rgb.convert("L"), "JPEG"),
        image_file(pixels, "PNG", exif=exif),
        image_file(clear, "PNG"),
        image_file(rgb.quantize(16), "PNG", transparency=3),
        image_file(rgb.quantize(16), "GIF", save_all=True, append_images=[rgb.quantize(8)]),
        image_file(pixels, "BMP"),
        image_file(pixels, "TIFF", exif=exif),
        *(image_file(pixels, "TIFF", compression=f"tiff_{kind}") for kind in ("lzw", "jpeg")),
        image_file(pixels, "WEBP"),
        image_file(clear, "WEBP", lossless=True),
        image_file(clear, "WEBP", save_all=True, append_images=[rgb]),
        image_file(pixels, "PPM"),
        image_file(pixels, "TGA", compression="tga_rle"),
        image_file(pixels, "JPEG2000"),
        image_file(pixels, "AVIF", speed=10),
    ]


def mutated(files: Sequence[bytes], number: int) -> bytes:
    """The mutation of that number: the same in each run on the same files."""
    chance = random.Random(number)
    data = bytearray(chance.choice(files))
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        chance.choice(_MUTATIONS)(chance, data, files)
    return bytes(data)


def _place(chance: random.Random, data: bytearray) -> int:
    """Anywhere; as often as not in the header."""
    end = len(data) if chance.random() < 0.5 else min(len(data), 700)
    return chance.randrange(end) if end else 0


def _flip_bits(chance: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    for _ in range(chance.choice((1, 1, 3, 20))):
        if data:
            data[_place(chance, data)] ^= 1 << chance.randrange(8)


def _cut(chance: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    del data[_place(chance, data) :]
    if chance.random() < 0.3:
        data += chance.choice((b"\xff\xd9", b"\xff", b"\0\0\0\0IEND\xae\x42\x60\x82"))


def _splice(chance: random.Random, data: bytearray, files: Sequence[bytes]) -> None:
    other = bytearray(chance.choice(files))
    data[_place(chance, data) :] = other[_place(chance, other) :]


def _rewrite_number(chance: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    """A length, a size or an offset, most likely: to an extreme, or off by one."""
    width = chance.choice((1, 2, 4))
    order = chance.choice(("big", "little"))
    at = _place(chance, data)
    was = int.from_bytes(data[at : at + width], order)
    value = chance.choice((*_EXTREMES, was + 1, was - 1, was * 2)) % (1 << 8 * width)
    data[at : at + width] = value.to_bytes(width, order)


def _move(chance: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    """Swaps two stretches, such as segments."""
    start = _place(chance, data)
    middle = start + chance.randrange(1, 200)
    end = middle + chance.randrange(1, 200)
    data[start:end] = data[middle:end] + data[start:middle]


def _repeat(chance: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    start = _place(chance, data)
    data[start:start] = data[start : start + chance.randrange(1, 200)] * chance.choice((1, 2, 50))


def _blank(chance: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    start = _place(chance, data)
    stretch = data[start : start + chance.randrange(1, 400)]
    data[start : start + len(stretch)] = chance.choice((b"\0", b"\xff")) * len(stretch)


_MUTATIONS: tuple[Mutation, ...] = (
    *(_flip_bits, _cut, _splice, _rewrite_number, _rewrite_number, _move, _repeat, _blank),
)


@dataclass(slots=True)
class Outcome:
    """Results of the mutations; ``faults`` are to be empty."""

    faults: list[str] = field(default_factory=list)
    growth: int = 0


def fuzz(files: Sequence[bytes], first: int, count: int) -> Outcome:
    """Processes the mutations from ``first`` on, in as many child processes as crash."""
    outcome = Outcome()
    context = multiprocessing.get_context("spawn")
    at, stop = context.Value("q", first), first + count
    while at.value < stop:
        receive, send = context.Pipe(duplex=False)
        child = context.Process(target=_process, args=(files, at, stop, send))
        child.start()
        send.close()
        _collect(child, receive, at, outcome)
    return outcome


def _collect(child: SpawnProcess, receive: Any, at: Any, outcome: Outcome) -> None:
    """Listens to a child until it ends, and passes over the mutation that it ended at."""
    killed = False
    while True:
        before = at.value
        if not receive.poll(_HANGS_AFTER):
            if at.value != before:
                continue
            child.kill()
            killed = True
            outcome.faults.append(f"mutation {at.value}: no end after {_HANGS_AFTER} s")
        try:
            said = receive.recv()
        except EOFError:
            break
        if isinstance(said, int):
            outcome.growth = max(outcome.growth, said)
        else:
            outcome.faults.append(said)
    child.join()
    if child.exitcode:
        if not killed:
            outcome.faults.append(f"mutation {at.value}: ended with {child.exitcode}")
        at.value += 1


def _process(files: Sequence[bytes], at: Any, stop: int, send: Any) -> None:
    configure_process()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    processors = [
        ImageProcessor(ImageSettings(size=64, max_pixels=_MAX_PIXELS)),
        ImageProcessor(
            ImageSettings(size=64, max_pixels=_MAX_PIXELS, damaged="keep", icc="convert")
        ),
    ]
    warm, memory = at.value + _WARM_UP, 0
    while at.value < stop:
        number = at.value
        try:
            processors[number % 2](mutated(files, number))
        except RefusedImage:
            pass
        except Exception:
            send.send(f"mutation {number}: {traceback.format_exc()}")
        if number == warm:
            memory = psutil.Process().memory_info().rss
        at.value += 1
    if memory:
        send.send(psutil.Process().memory_info().rss - memory)


@click.command()
@click.option("--mutations", type=click.IntRange(min=1), default=10_000, show_default=True)
@click.option("--first", type=int, default=0, show_default=True, help="Number of the first one.")
@click.option(
    "--photos",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of images to mutate. [made-up ones of all formats]",
)
def main(mutations: int, first: int, photos: Path | None) -> None:
    """Mutate image files, and see that nothing but refusals comes of them."""
    files = made_up_files()
    if photos:
        files = [path.read_bytes() for path in sorted(photos.rglob("*")) if path.is_file()]
    outcome = fuzz(files, first, mutations)
    for fault in outcome.faults:
        click.echo(fault)
    click.echo(
        f"{mutations} mutations of {len(files)} files: {len(outcome.faults)} faults; "
        f"memory grew by {outcome.growth >> 20} MiB"
    )
    raise SystemExit(1 if outcome.faults or outcome.growth > _MOST_GROWTH else 0)


if __name__ == "__main__":
    main()
