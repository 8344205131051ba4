"""``python -m bench.largest``: the memory that the largest allowed image takes, by format.

Each file is decoded, squared and encoded by a process of its own. What is told is the peak of that
process's resident memory, and by how much its address space grew beyond the file (Linux only).
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
import tifffile
from PIL import Image
from rich.console import Console
from rich.table import Table

_CHILD = """
import json, sys
from pathlib import Path
from prep.images.decoders.process import configure_process
from prep.images.processor import ImageProcessor
from prep.settings.image_settings import ImageSettings

def kept(name):
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in status if line.startswith(name))

configure_process()
options = json.loads(sys.argv[2])
process = ImageProcessor(ImageSettings(**options))
data = Path(sys.argv[1]).read_bytes()
before = kept("VmSize")
process(data)
# Not ru_maxrss, for in that a process has the peak of the one that started it.
print(json.dumps([len(data), kept("VmHWM"), kept("VmPeak") - before]))
"""
_SQUARE = 512  # pixels of the noise that images are tiled from


def _tiled(side: int, channels: int, kind: type[np.generic] = np.uint8) -> Any:
    """Smooth noise, of which a decoder has something to do."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (16, 16, channels), np.uint8)
    tile = cv2.resize(coarse, (_SQUARE, _SQUARE), interpolation=cv2.INTER_CUBIC)
    tile = tile.reshape(_SQUARE, _SQUARE, channels) ^ rng.integers(
        0, 4, (_SQUARE, _SQUARE, channels), np.uint8
    )
    if kind is np.uint16:
        tile = tile.astype(np.uint16) * 257
    times = -(-side // _SQUARE)
    return np.squeeze(np.tile(tile, (times, times, 1))[:side, :side])


def _pillow(pixels: Any, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, kind, **options)
    return out.getvalue()


def _opencv(pixels: Any, suffix: str, *options: int) -> bytes:
    return bytes(cv2.imencode(suffix, pixels, options)[1])


def _tiff(pixels: Any, **options: Any) -> bytes:
    out = io.BytesIO()
    photometric = "minisblack" if pixels.ndim == 2 else "rgb"
    tifffile.imwrite(out, pixels, photometric=photometric, **options)
    return out.getvalue()


#: What is measured: from the side in pixels to a file.
FILES: dict[str, Callable[[int], bytes]] = {
    "JPEG, baseline": lambda side: _pillow(_tiled(side, 3), "JPEG", quality=90),
    "JPEG, progressive": lambda side: _pillow(
        _tiled(side, 3), "JPEG", quality=90, progressive=True
    ),
    "JPEG, progressive, 4:4:4": lambda side: _pillow(
        _tiled(side, 3), "JPEG", quality=90, progressive=True, subsampling=0
    ),
    "PNG, gray": lambda side: _opencv(_tiled(side, 1), ".png", cv2.IMWRITE_PNG_COMPRESSION, 1),
    "PNG, RGB": lambda side: _opencv(_tiled(side, 3), ".png", cv2.IMWRITE_PNG_COMPRESSION, 1),
    "PNG, RGBA": lambda side: _opencv(_tiled(side, 4), ".png", cv2.IMWRITE_PNG_COMPRESSION, 1),
    "PNG, RGBA, 16 bits": lambda side: _opencv(
        _tiled(side, 4, np.uint16), ".png", cv2.IMWRITE_PNG_COMPRESSION, 1
    ),
    "TIFF, gray, 16 bits": lambda side: _tiff(_tiled(side, 1, np.uint16)),
    "TIFF, RGB, LZW": lambda side: _pillow(_tiled(side, 3), "TIFF", compression="tiff_lzw"),
    "TIFF, RGB, 16 bits, zlib": lambda side: _tiff(
        _tiled(side, 3, np.uint16), compression="zlib", compressionargs={"level": 1}
    ),
    "GIF": lambda side: _pillow(_tiled(side, 1), "GIF"),
    "BMP": lambda side: _pillow(_tiled(side, 3), "BMP"),
    "PPM, 16 bits": lambda side: _opencv(_tiled(side, 3, np.uint16), ".ppm"),
    "WebP": lambda side: _pillow(_tiled(side, 3), "WEBP", method=0, quality=60),
    "WebP, lossless, RGBA": lambda side: _pillow(
        _tiled(side, 4), "WEBP", method=0, lossless=True, quality=0
    ),
    "AVIF": lambda side: _pillow(_tiled(side, 3), "AVIF", speed=10, quality=60),
    "JPEG 2000": lambda side: _opencv(_tiled(side, 3), ".jp2"),
    "JPEG 2000, RGBA": lambda side: _opencv(_tiled(side, 4), ".jp2"),
}


@click.command()
@click.option("--megapixels", default=98.0, show_default=True)
@click.option("--only", multiple=True, metavar="WORDS", help="Formats whose name holds these.")
@click.option("--keep", type=click.Path(path_type=Path), help="Folder to keep the files in.")
@click.option("--settings", default="{}", show_default=True, help="Of images, as JSON.")
def main(megapixels: float, only: tuple[str, ...], keep: Path | None, settings: str) -> None:
    """Measure the memory that one large image takes, by format."""
    side = round((megapixels * 1e6) ** 0.5)
    table = Table("format", "file, MB", "peak of the process, MB", "address space more, MB")
    with tempfile.TemporaryDirectory() as scratch:
        folder = keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        for name, make in FILES.items():
            if only and not any(words in name for words in only):
                continue
            path = folder / f"{side} {name}"
            if not path.exists():
                path.write_bytes(make(side))
            size, peak, grown = measure(path, settings)
            table.add_row(name, *(f"{number / 1e6:,.0f}" for number in (size, peak, grown)))
    Console().print(table)


def measure(path: Path, settings: str = "{}") -> tuple[int, int, int]:
    """(bytes of the file, of the process's memory at its peak, of more address space)."""
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, path, settings], capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = done.stderr.strip().rpartition("\n")[2] or f"exit status {done.returncode}"
        raise SystemExit(f"bench: {path.name}: {said}")
    size, peak, grown = json.loads(done.stdout)
    return size, peak, grown


if __name__ == "__main__":
    main()
