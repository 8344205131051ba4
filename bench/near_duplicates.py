"""Measure how images that look alike are found: ``python -m bench.near_duplicates PHOTOS``.

Of made copies of photos, which are found; of other photos, which are taken for copies; what a hash
costs, with and without in turns; and how long it takes to compare many hashes.
"""

from __future__ import annotations

import io
import itertools
import resource
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from prep.images.decoders.process import configure_process
from prep.images.likeness.alike import Links
from prep.images.likeness.hashing import MIRROR, Hashes, hash_pixels
from prep.images.likeness.neighbours import RADIUS
from prep.images.processor import ImageProcessor
from prep.settings.image_settings import ImageSettings

Pixels = npt.NDArray[np.uint8]
_ROUNDS = 5


def _jpeg(pixels: Pixels, quality: int = 90) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=quality)
    return out.getvalue()


def _halved(pixels: Pixels) -> Pixels:
    image = Image.fromarray(pixels)
    size = max(image.width // 2, 1), max(image.height // 2, 1)
    return np.asarray(image.resize(size, Image.Resampling.BICUBIC))


def _cut(pixels: Pixels, share: float, *, corner: bool) -> Pixels:
    height, width, _ = pixels.shape
    rows, columns = int(height * share), int(width * share)
    if corner:
        return pixels[rows:, columns:]
    return pixels[rows // 2 : height - rows // 2, columns // 2 : width - columns // 2]


COPIES: Mapping[str, Callable[[Pixels], bytes]] = {
    "JPEG quality 30": lambda p: _jpeg(p, 30),
    "half size": lambda p: _jpeg(_halved(p)),
    "brighter": lambda p: _jpeg(np.clip(p * 1.2 + 10, 0, 255).astype(np.uint8)),
    "3 % cut off all round": lambda p: _jpeg(_cut(p, 0.03, corner=False)),
    "3 % cut off a corner": lambda p: _jpeg(_cut(p, 0.03, corner=True)),
    "5 % cut off a corner": lambda p: _jpeg(_cut(p, 0.05, corner=True)),
    "mirrored": lambda p: _jpeg(p[:, ::-1]),
}


def _apart(one: int, other: int) -> int:
    return min((one ^ other).bit_count(), (one ^ MIRROR ^ other).bit_count())


def _upright(data: bytes) -> Pixels:
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))


def measure_recall(photos: list[bytes]) -> None:
    """Print how many copies of each kind are found, and how many other pairs are taken for some."""
    processor = ImageProcessor(ImageSettings(), hashed=True)
    hashes = [processor(data).likeness for data in photos]
    pairs = [_apart(a, b) for a, b in itertools.combinations(hashes, 2)]
    close = ", ".join(f"{sum(d <= r for d in pairs)} at {r}" for r in (8, RADIUS, 12, 14))
    click.echo(f"{len(photos)} photos; of {len(pairs):,} pairs taken for copies: {close} bits")
    pixels = [_upright(data) for data in photos]
    for name, copy in COPIES.items():
        apart = [
            _apart(one, processor(copy(of)).likeness)
            for one, of in zip(hashes, pixels, strict=True)
        ]
        found = sum(distance <= RADIUS for distance in apart) / len(apart)
        click.echo(f"{name}: {found:.1%} found, at most {max(apart)} bits apart")


def measure_cost(photos: list[bytes]) -> None:
    """Print what hashing adds to the processing of an image."""
    plain, hashed = (ImageProcessor(ImageSettings(), hashed=asked) for asked in (False, True))
    best = {plain: float("inf"), hashed: float("inf")}
    for _ in range(_ROUNDS):
        for processor in best:
            began = time.process_time()
            for data in photos:
                processor(data)
            best[processor] = min(best[processor], time.process_time() - began)
    without, with_hash = (best[each] / len(photos) * 1000 for each in (plain, hashed))
    click.echo(f"an image: {without:.3f} ms, with a hash {with_hash:.3f} ms (best of {_ROUNDS})")


def measure_search(hashes: Hashes, what: str) -> None:
    """Print how long it takes to find the groups among many hashes."""
    began, used = time.perf_counter(), time.process_time()
    links = Links.of(hashes)
    groups = int(links.groups().max(initial=-1)) + 1
    took, cpu = time.perf_counter() - began, time.process_time() - used
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    click.echo(
        f"{len(hashes):,} hashes {what}: {took:.1f} s ({cpu:.1f} s of a core), {groups:,} groups "
        f"at distance {links.pairs.radius}, {memory:,} MiB at most so far"
    )


def _as_of_photos(photos: list[bytes], number: int) -> Hashes:
    """Return hashes that are distributed as those of photos: of random parts of some."""
    dice = np.random.default_rng(0)
    processor = ImageProcessor(ImageSettings(size=64, interpolation="linear"), hashed=True)
    squares = [processor.pixels(data).copy() for data in photos]
    found = np.empty(number, np.uint64)
    for at in range(number):
        square = squares[dice.integers(len(squares))]
        side = int(dice.integers(20, 48))
        top, left = dice.integers(0, 65 - side, 2)
        part = np.ascontiguousarray(square[top : top + side, left : left + side])
        found[at] = hash_pixels(part)
    return found


@click.command()
@click.argument("photos", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--hashes", default=1_280_000, show_default=True, help="Hashes to compare.")
@click.option("--parts", default=100_000, show_default=True, help="Hashes of parts of photos.")
def main(photos: Path, hashes: int, parts: int) -> None:
    """Measure on the JPEGs below PHOTOS."""
    configure_process()
    files = sorted(path for path in photos.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    data = [path.read_bytes() for path in files]
    measure_cost(data)
    measure_recall(data)
    measure_search(np.random.default_rng(0).integers(1, 2**64, hashes, np.uint64), "at random")
    if parts:
        measure_search(_as_of_photos(data, parts), "of parts of photos")


if __name__ == "__main__":
    main()
