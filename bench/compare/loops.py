"""Bare loops of other kernels and encodings: what each costs alone, without ``prep``.

Each decodes photos in memory strictly, resizes the centre crop with the kernel's library and
encodes the result, as the limit does with ``linear`` (:mod:`bench.limit`). Large photos are
shrunk while they are decoded, as far as ``prep`` shrinks them for that kernel.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple

import cv2
import numpy as np
import simplejpeg
from cykooz_resizer import CropBox, FilterType, ResizeAlg, ResizeOptions
from cykooz_resizer import Resizer as Convolver
from PIL import Image

from bench.limit import Pixels
from bench.settings import QUALITY, SIZE
from prep.images.fitting.fitter import make_fitter
from prep.images.fitting.framing import Framing
from prep.images.fitting.resizer import Resizer
from prep.settings.choices import Interpolation

Ending = Literal["jpeg", "gzip", "raw", "float32"]
Resize = Callable[[Pixels], Pixels]

_CONVOLUTIONS = {"bilinear": FilterType.bilinear, "bicubic": FilterType.catmull_rom}
_PILLOW = {"cubic": Image.Resampling.BICUBIC, "lanczos": Image.Resampling.LANCZOS}
_MEAN = np.array((124, 117, 104), "<f4")


class Photo(NamedTuple):
    """A file in memory, and the least size that it is decoded to."""

    data: bytes
    height: int
    width: int
    factor: int


@dataclass(frozen=True, slots=True)
class Loop:
    """A bare loop, for :func:`bench.limit.measure_pace`.

    Attributes:
        kernel: what images are resized with.
        ending: what becomes of the pixels; ``gzip`` compresses the JPEG.
    """

    kernel: Interpolation
    ending: Ending = "jpeg"

    def __str__(self) -> str:
        return self.kernel if self.ending == "jpeg" else f"{self.kernel}, {self.ending}"

    def __call__(self, paths: Sequence[Path]) -> tuple[Sequence[Photo], Callable[[Photo], object]]:
        """Load photos, and return the function that converts one."""
        fitter = make_fitter(Framing(SIZE, SIZE), self.kernel)
        photos = [_load(path, fitter.factor) for path in paths]
        # Four bytes to a pixel, for kernels that take no less.
        colours = "RGBX" if self.kernel in _CONVOLUTIONS else "RGB"
        pixels = max((photo.height + 1) * (photo.width + 1) for photo in photos)
        buffer = np.empty(pixels * len(colours), np.uint8)
        resize, end = _resize_of(self.kernel), _end_of(self.ending, colours)

        def convert(photo: Photo) -> object:
            data, height, width, factor = photo
            decoded = simplejpeg.decode_jpeg(
                data, colours, min_height=height, min_width=width, min_factor=factor,
                buffer=buffer, strict=True,
            )  # fmt: skip
            return end(resize(decoded))

        return photos, convert


def _load(path: Path, factor_of: Callable[[int, int, int], int]) -> Photo:
    data = path.read_bytes()
    height, width, *_ = simplejpeg.decode_jpeg_header(data)
    factor = factor_of(height, width, 1)
    return Photo(data, -(-height // factor), -(-width // factor), factor)


def _resize_of(kernel: Interpolation) -> Resize:
    if kernel in _CONVOLUTIONS:
        return _convolution(_CONVOLUTIONS[kernel])
    if kernel in _PILLOW:
        return _pillow(_PILLOW[kernel])
    if kernel == "area":
        resizer = Resizer(kernel)
        return lambda pixels: resizer.resize(_crop(pixels), SIZE, SIZE)
    square: Pixels = np.empty((SIZE, SIZE, 3), np.uint8)
    return lambda pixels: cv2.resize(_crop(pixels), (SIZE, SIZE), square)  # type: ignore[return-value]


def _crop(pixels: Pixels) -> Pixels:
    left, top, short, _ = (int(edge) for edge in _box(*pixels.shape[:2]))
    return pixels[top : top + short, left : left + short]


def _box(height: int, width: int) -> tuple[float, float, int, int]:
    """Return the left and top edge of the centre crop, its width and its height."""
    short = min(height, width)
    return (width - short) / 2, (height - short) / 2, short, short


def _pillow(kernel: Image.Resampling) -> Resize:
    def resize(pixels: Pixels) -> Pixels:
        left, top, width, height = _box(*pixels.shape[:2])
        box = (left, top, left + width, top + height)
        return np.asarray(Image.fromarray(pixels).resize((SIZE, SIZE), kernel, box))

    return resize


def _convolution(kernel: FilterType) -> Resize:
    square: Pixels = np.empty((SIZE, SIZE, 4), np.uint8)
    # CMYK is what Pillow calls four bytes of which none is alpha.
    target, convolver = _wrap(square), Convolver()

    @lru_cache(maxsize=4096)
    def options(height: int, width: int) -> ResizeOptions:
        box = CropBox(*_box(height, width))
        return ResizeOptions(resize_alg=ResizeAlg.convolution(kernel), crop_box=box)

    def resize(pixels: Pixels) -> Pixels:
        convolver.resize_pil(_wrap(pixels), target, options(*pixels.shape[:2]))
        return square

    return resize


def _wrap(pixels: Pixels) -> Image.Image:
    height, width, _ = pixels.shape
    return Image.frombuffer("CMYK", (width, height), pixels, "raw", "CMYK", 0, 1)


def _end_of(ending: Ending, colours: str) -> Callable[[Pixels], object]:
    def jpeg(pixels: Pixels) -> bytes:
        data: bytes = simplejpeg.encode_jpeg(pixels, QUALITY, colours, "420", fastdct=False)
        return data

    if ending == "gzip":
        compressor = zlib.compressobj(1, zlib.DEFLATED, 31)
        return lambda pixels: compressor.compress(jpeg(pixels))
    if ending == "raw":
        return lambda pixels: pixels[..., :3].tobytes()
    if ending == "float32":
        return lambda pixels: (pixels[..., :3].astype("<f4") - _MEAN).tobytes()
    return jpeg
