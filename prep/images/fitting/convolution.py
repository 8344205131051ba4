"""Resizing with fast_image_resize, which uses a CPU's SIMD: ``bilinear`` and ``bicubic``."""

from __future__ import annotations

import importlib.metadata
from functools import cache, lru_cache, partial
from typing import Any, NamedTuple

import numpy as np
import PIL
from cykooz_resizer import CropBox, FilterType, ResizeAlg, ResizeOptions

# What its `Resizer.resize_pil` calls; that takes 30 µs more, for checks and copies of the options.
from cykooz_resizer.rust_lib import PilImageWrapper, RustResizer
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
# The most memory that is kept for a raster, and the most sizes of rasters: photos come in few.
_KEPT_BYTES = 4 << 20  # 4 MiB
_MOST_SIZES = 256


class ConvolutionKernel:
    """Resize with fast_image_resize. See :class:`prep.images.fitting.exact.Kernel`.

    These are Pillow's kernels, in Pillow's order of passes, with weights of 16 bits in place of 22.
    The weights are added up as integers, so SSE, AVX2, Neon and plain code give the same bytes.
    Where a sum is close to the middle between two levels, the weights decide to which it is
    rounded: of the samples of a photo, two in a thousand differ from Pillow's by a level
    (``bicubic``: four), and fewer than one in a million by two, for each is then a level from the
    exact value, on its own side.
    """

    padded = True

    def __init__(self, interpolation: Interpolation) -> None:
        require_working()
        self.radius = _RADIUS[interpolation]
        self._resizer = RustResizer()
        self._options = lru_cache(maxsize=4096)(partial(_options_of, CONVOLUTIONS[interpolation]))
        self._first, self._second = _Memory(), _Memory()

    def __call__(
        self, pixels: Pixels, box: Box, height: int, width: int, *, columns_first: bool
    ) -> Pixels:
        """See :class:`prep.images.fitting.exact.Kernel`."""
        rows, columns, _ = pixels.shape
        result = self._second.take(height, width)
        if not columns_first:
            narrow = self._resized_rows(pixels, box, width)
            self._convolve(narrow, Box(box.top, 0, box.height, width), result)
        elif rgbx_of(pixels) is None and rows * columns > _AT_ONCE:
            low = self._resized_columns(pixels, box, height)
            self._convolve(low, Box(0, box.left, height, box.width), result)
        else:  # Of 8-bit pixels, it does columns first itself.
            self._convolve(_Raster.of(as_rgbx(pixels)), box, result)
        return rgb_view(result.rgbx)

    def _resized_rows(self, pixels: Pixels, box: Box, width: int) -> _Raster:
        """Resize the part of each row that is in the box to ``width`` pixels, in bands."""
        rows, columns, _ = pixels.shape
        narrow = self._first.take(rows, width)
        at_once = max(1, _AT_ONCE // columns)
        if rows <= at_once or rgbx_of(pixels) is not None:
            part = Box(0, box.left, rows, box.width)
            self._convolve(_Raster.of(as_rgbx(pixels)), part, narrow)
            return narrow
        for row in range(0, rows, at_once):
            band = _Raster.of(as_rgbx(pixels[row : row + at_once]))
            part = Box(0, box.left, len(band.rgbx), box.width)
            self._convolve(band, part, _Raster.of(narrow.rgbx[row : row + at_once]))
        return narrow

    def _resized_columns(self, pixels: Pixels, box: Box, height: int) -> _Raster:
        """Resize the part of each column that is in the box to ``height`` pixels, in bands."""
        rows, columns, _ = pixels.shape
        low = self._first.take(height, columns)
        at_once = max(1, _AT_ONCE // rows)
        for column in range(0, columns, at_once):
            band = _Raster.of(as_rgbx(pixels[:, column : column + at_once]))
            result = _Raster.of(np.empty((height, band.rgbx.shape[1], 4), np.uint8))
            self._convolve(band, Box(box.top, 0, box.height, band.rgbx.shape[1]), result)
            low.rgbx[:, column : column + at_once] = result.rgbx
        return low

    def _convolve(self, source: _Raster, box: Box, result: _Raster) -> None:
        """Resize a part of an image to the size of ``result``, and write it there."""
        height, width, _ = source.rgbx.shape
        self._resizer.resize_pil(source.image, result.image, self._options(box, height, width))


class _Raster(NamedTuple):
    """Four-byte pixels, uint8 (height, width, 4), and the image that shares their memory."""

    rgbx: Pixels
    image: PilImageWrapper

    @classmethod
    def of(cls, rgbx: Pixels) -> _Raster:
        """Return contiguous pixels with an image."""
        height, width, _ = rgbx.shape
        # Of the modes of four bytes that can share memory, CMYK has no byte for transparency.
        image = Image.frombuffer("CMYK", (width, height), rgbx, "raw", "CMYK", 0, 1)
        return cls(rgbx, PilImageWrapper(image))


class _Memory:
    """Memory for one raster at a time, which is kept unless it is large."""

    def __init__(self) -> None:
        self._kept: Pixels = np.empty(0, np.uint8)
        self._rasters: dict[tuple[int, int], _Raster] = {}

    def take(self, height: int, width: int) -> _Raster:
        """Return a raster of this size; it shares its memory with those that were taken before."""
        if (found := self._rasters.get((height, width))) is not None:
            return found
        size = height * width * 4
        if size > _KEPT_BYTES:
            return _Raster.of(np.empty((height, width, 4), np.uint8))
        if size > self._kept.size or len(self._rasters) == _MOST_SIZES:
            self._kept, self._rasters = np.empty(max(size, self._kept.size), np.uint8), {}
        # A buffer, so that views of the pixels refer to these and not to all of the memory.
        rgbx: Pixels = np.frombuffer(self._kept.data, np.uint8, size).reshape(height, width, 4)
        return self._rasters.setdefault((height, width), _Raster.of(np.asarray(rgbx.data)))


def _options_of(kernel: FilterType, box: Box, height: int, width: int) -> Any:
    """Return the options for a part of an image of this size."""
    left, top = max(box.left, 0.0), max(box.top, 0.0)
    right, bottom = min(left + box.width, width), min(top + box.height, height)
    options = ResizeOptions(
        resize_alg=ResizeAlg.convolution(kernel),
        crop_box=CropBox(left, top, right - left, bottom - top),
        use_alpha=False,
    )
    return options.rust_options


@cache
def require_working() -> None:
    """Raise PrepError unless cykooz-resizer finds the pixels of this version of Pillow.

    It reads Pillow's own structures in memory, which may change from version to version.
    """
    source = np.arange(3 * 4 * 4, dtype=np.uint8).reshape(3, 4, 4)
    result = np.zeros((3, 2, 4), np.uint8)
    options = _options_of(FilterType.box, Box(0, 0, 3, 4), 3, 4)
    try:
        RustResizer().resize_pil(_Raster.of(source).image, _Raster.of(result).image, options)
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
