"""Resizing with Pillow: ``cubic`` and ``lanczos``."""

from __future__ import annotations

import numpy as np
from PIL import Image

from prep.images.decoders.values import Pixels
from prep.images.geometry import Box
from prep.settings.choices import Interpolation

KERNELS = {"cubic": Image.Resampling.BICUBIC, "lanczos": Image.Resampling.LANCZOS}
_RADIUS = {"cubic": 2, "lanczos": 3}
# Pixels that Pillow is given at once: it copies its input, four bytes per pixel.
_BAND = 1 << 16


class PillowKernel:
    """Resize with Pillow. See :class:`prep.images.fitting.exact.Kernel`.

    Rows are resized to their width first and columns to their height next, each rounded to 8 bits,
    as Pillow did for all images before version 13, which begins with the columns of tall ones
    (https://github.com/python-pillow/Pillow/pull/9549). Done here, the order does not depend on
    Pillow's version, and Pillow holds no more than a band of the image at any time.

    The bytes are the same on every CPU: Pillow's Resample.c is plain C without variants for SSE,
    AVX or Neon, and adds up 8-bit samples times 22-bit integer weights. (The fork Pillow-SIMD has
    such variants; it is another package.) The weights are rounded from double precision, whose last
    bit may differ between architectures: this moves a weight by 2⁻²² once in about a thousand
    million, which only changes a sample on the very edge between two levels.
    """

    padded = False

    def __init__(self, interpolation: Interpolation) -> None:
        self._kernel = KERNELS[interpolation]
        self.radius = _RADIUS[interpolation]

    def __call__(
        self, pixels: Pixels, box: Box, height: int, width: int, *, columns_first: bool
    ) -> Pixels:
        """See :class:`prep.images.fitting.exact.Kernel`; ``columns_first`` is ignored."""
        narrow = self._resize_rows(pixels, box.left, box.width, width)
        of_narrow = (0, box.top, width, box.top + box.height)
        return np.asarray(narrow.resize((width, height), self._kernel, of_narrow))

    def _resize_rows(self, source: Pixels, left: float, width: float, size: int) -> Image.Image:
        """Resize ``width`` pixels of each row, from ``left`` on, to ``size`` pixels."""
        narrow = Image.new("RGB", (size, source.shape[0]))
        at_once = max(1, _BAND // source.shape[1])
        for row in range(0, source.shape[0], at_once):
            band = Image.fromarray(np.ascontiguousarray(source[row : row + at_once]))
            box = (left, 0, left + width, band.height)
            narrow.paste(band.resize((size, band.height), self._kernel, box), (0, row))
        return narrow
