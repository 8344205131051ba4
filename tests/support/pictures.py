"""Makers of images, and of folders of them."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]

# How a picture is stored that a reader will turn upright, by its orientation.
STORED: dict[int, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def picture(height: int, width: int, seed: int = 0) -> Pixels:
    """Smooth RGB noise: like a photo, it has gradients, and no two corners are the same."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4 + seed % 3, 5, 3), np.uint8)
    smooth = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    return np.array(smooth)


def psnr(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> float:
    """Return how alike two 8-bit images are, in decibels; infinite if they are the same."""
    error = np.mean((a.astype(np.float64) - b) ** 2)
    return float(10 * np.log10(255**2 / error)) if error else float("inf")


def jpeg(pixels: Pixels, **options: Any) -> bytes:
    """The bytes of a JPEG file; ``options`` are those of Pillow's writer."""
    return image_file(pixels, "JPEG", **{"quality": 90, **options})


def image_file(pixels: Pixels | Image.Image, kind: str, **options: Any) -> bytes:
    """The bytes of an image file of any kind that Pillow writes, such as ``PNG``."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def stored(upright: Pixels, orientation: int, kind: str, **options: Any) -> bytes:
    """The bytes of an image file whose Exif says how to turn it upright."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(upright)
    if orientation != 1:
        image = image.transpose(STORED[orientation])
    return image_file(image, kind, exif=exif, **options)


def link_photos(root: Path, count: int, pixels: Pixels | None = None) -> Path:
    """Makes ``root/photos/train/cat/``: one photo under ``count`` names; gives the folder back."""
    folder = root / "photos/train/cat"
    folder.mkdir(parents=True)
    (folder / "0.jpg").write_bytes(jpeg(picture(400, 500) if pixels is None else pixels))
    for number in range(1, count):
        os.link(folder / "0.jpg", folder / f"{number}.jpg")
    return folder


def short(value: object) -> str:
    """A name for a row of a table test, where the values are long."""
    return repr(value)[:24]


def write_tree(root: Path, tree: Mapping[str, Mapping[str, int | Mapping[str, bytes]]]) -> Path:
    """Makes ``root/<split>/<class>/`` folders of image files, and gives ``root`` back.

    Args:
        tree: split → class → how many small JPEGs (all of them different, the same in every
            call), or the files themselves by name.
    """
    seed = 0
    for split, classes in tree.items():
        for class_name, files in classes.items():
            folder = root / split / class_name
            folder.mkdir(parents=True, exist_ok=True)
            if isinstance(files, int):
                numbers = range(seed, seed + files)
                files = {f"{n:04d}.jpg": jpeg(picture(40 + n % 7, 48 + n % 5, n)) for n in numbers}
                seed += len(files)
            for name, data in files.items():
                (folder / name).write_bytes(data)
                os.utime(folder / name, ns=(10**18, 10**18))
    return root
