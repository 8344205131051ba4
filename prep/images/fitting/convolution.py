"""Resizing with fast_image_resize, which uses a CPU's SIMD: ``bilinear`` and ``bicubic``."""

from __future__ import annotations

import importlib.metadata
from functools import cache, lru_cache

import numpy as np
import PIL
from cykooz_resizer import CropBox, FilterType, ResizeAlg, ResizeOptions, Resizer
from PIL import Image

from prep.errors import PrepError
from prep.images.decoders.values import Pixels
from prep.images.geometry import Box
from prep.images.rgbx import as_rgbx, rgb_view, rgbx_of
from prep.settings.choices import Interpolation

CONVOLUTIONS = {"bilinear": FilterType.bilinear, "bicubic": FilterType.catmull_rom}
_RADIUS = {"bilinear": 1, "bicubic": 2}
# Pixels that are given a fourth byte at once.
_AT_ONCE = 1 << 20


class ConvolutionKernel:
    """Resize with fast_image_resize. See :class:`prep.images.fitting.exact.Kernel`.

    These are Pillow's kernels, in Pillow's order of passes, with weights of 16 bits in place of 22.
    The weights are added up as integers, so SSE, AVX2, Neon and plain code give the same bytes.
    """

    padded = True

    def __init__(self, interpolation: Interpolation) -> None:
        require_working()
        self.radius = _RADIUS[interpolation]
        self._filter = CONVOLUTIONS[interpolation]
        self._resizer = Resizer()
        self._result: Pixels = np.empty((0, 0, 4), np.uint8)

    def __call__(
        self, pixels: Pixels, box: Box, height: int, width: int, *, columns_first: bool
    ) -> Pixels:
        """See :class:`prep.images.fitting.exact.Kernel`."""
        if self._result.shape[:2] != (height, width):
            self._result = np.empty((height, width, 4), np.uint8)
        rows, columns, _ = pixels.shape
        if not columns_first:
            narrow = self._resized_rows(pixels, box, width)
            self._convolve(narrow, Box(box.top, 0, box.height, width), self._result)
        elif rgbx_of(pixels) is None and rows * columns > _AT_ONCE:
            low = self._resized_columns(pixels, box, height)
            self._convolve(low, Box(0, box.left, height, box.width), self._result)
        else:  # Of 8-bit pixels, it does columns first itself.
            self._convolve(as_rgbx(pixels), box, self._result)
        return rgb_view(self._result)

    def _resized_rows(self, pixels: Pixels, box: Box, width: int) -> Pixels:
        """Resize the part of each row that is in the box to ``width`` pixels, in bands."""
        rows, columns, _ = pixels.shape
        narrow = np.empty((rows, width, 4), np.uint8)
        if (rgbx := rgbx_of(pixels)) is not None:
            self._convolve(rgbx, Box(0, box.left, rows, box.width), narrow)
            return narrow
        at_once = max(1, _AT_ONCE // columns)
        for row in range(0, rows, at_once):
            band = as_rgbx(pixels[row : row + at_once])
            part = Box(0, box.left, len(band), box.width)
            self._convolve(band, part, narrow[row : row + at_once])
        return narrow

    def _resized_columns(self, pixels: Pixels, box: Box, height: int) -> Pixels:
        """Resize the part of each column that is in the box to ``height`` pixels, in bands."""
        rows, columns, _ = pixels.shape
        low = np.empty((height, columns, 4), np.uint8)
        at_once = max(1, _AT_ONCE // rows)
        for column in range(0, columns, at_once):
            band = as_rgbx(pixels[:, column : column + at_once])
            result = np.empty((height, band.shape[1], 4), np.uint8)
            self._convolve(band, Box(box.top, 0, box.height, band.shape[1]), result)
            low[:, column : column + at_once] = result
        return low

    def _convolve(self, source: Pixels, box: Box, result: Pixels) -> None:
        """Resize a part of four-byte pixels to the shape of ``result``, and write it there."""
        height, width, _ = source.shape
        left, top = max(box.left, 0.0), max(box.top, 0.0)
        right, bottom = min(left + box.width, width), min(top + box.height, height)
        options = _options(self._filter, left, top, right - left, bottom - top)
        self._resizer.resize_pil(_image(source), _image(result), options)


def _image(rgbx: Pixels) -> Image.Image:
    """Return an image that shares the memory of pixels, uint8 (height, width, 4), contiguous."""
    height, width, _ = rgbx.shape
    # Of Pillow's modes of four bytes that can share memory, CMYK has no byte for transparency.
    return Image.frombuffer("CMYK", (width, height), rgbx, "raw", "CMYK", 0, 1)


@lru_cache(maxsize=1024)  # Photos come in few sizes.
def _options(
    kernel: FilterType, left: float, top: float, width: float, height: float
) -> ResizeOptions:
    algorithm = ResizeAlg.convolution(kernel)
    return ResizeOptions(resize_alg=algorithm, crop_box=CropBox(left, top, width, height))


@cache
def require_working() -> None:
    """Raise PrepError unless cykooz-resizer finds the pixels of this version of Pillow.

    It reads Pillow's own structures in memory, which may change from version to version.
    """
    source = np.arange(3 * 4 * 4, dtype=np.uint8).reshape(3, 4, 4)
    result = np.zeros((3, 2, 4), np.uint8)
    options = _options(FilterType.box, 0.0, 0.0, 4.0, 3.0)
    try:
        Resizer().resize_pil(_image(source), _image(result), options)
    except Exception as error:
        raise _incompatible() from error
    if not np.array_equal(result, source.reshape(3, 2, 2, 4).mean(2)):
        raise _incompatible()


def _incompatible() -> PrepError:
    ours, pillow = importlib.metadata.version("cykooz-resizer"), PIL.__version__
    return PrepError(
        f"resizing: expected cykooz-resizer {ours} to read the images of Pillow {pillow}, it "
        "does not; install versions that fit together (cykooz-resizer 4 with Pillow 11 to 13), or "
        "choose interpolation area"
    )
