"""The interface of a fitter, the choice of one, turning upright, and padding."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from prep.images.decoders.values import Decoded, Pixels
from prep.images.fitting.convolution import CONVOLUTIONS, ConvolutionKernel
from prep.images.fitting.exact import ExactFitter
from prep.images.fitting.framing import Framing
from prep.images.fitting.pillow_kernels import KERNELS, PillowKernel
from prep.images.fitting.whole_pixels import WholePixelFitter
from prep.images.geometry import Needed
from prep.settings.choices import Interpolation


class Fitter(Needed, Protocol):
    """Make results one after the other. Not thread-safe.

    Attributes:
        padded: whether it is fastest with pixels of four bytes; see :mod:`prep.images.rgbx`.
    """

    padded: bool

    def __call__(self, decoded: Decoded) -> Pixels:
        """Return the upright result without padding, uint8 (height, width, 3), RGB.

        It may lie in memory that the next call overwrites.
        """


def make_fitter(framing: Framing, interpolation: Interpolation) -> Fitter:
    """Return the fitter to a framing for this interpolation."""
    if interpolation in CONVOLUTIONS:
        return ExactFitter(framing, ConvolutionKernel(interpolation))
    if interpolation in KERNELS:
        return ExactFitter(framing, PillowKernel(interpolation))
    return WholePixelFitter(framing, interpolation)


class Canvas:
    """Lay images in the middle of a background, in reused memory. Not thread-safe.

    Args:
        height, width: of the canvas, in pixels.
        background: R, G and B, 0 to 255.
    """

    def __init__(self, height: int, width: int, background: tuple[int, int, int]) -> None:
        self._pixels: Pixels = np.empty((height, width, 3), np.uint8)
        self._background = background

    def __call__(self, image: Pixels) -> Pixels:
        """Return the canvas with an image, uint8 RGB, that is at most as large.

        An odd margin is one pixel wider below and on the right.
        """
        height, width, _ = self._pixels.shape
        if image.shape[:2] == (height, width):
            return image
        top, left = (height - image.shape[0]) // 2, (width - image.shape[1]) // 2
        self._pixels[:] = self._background
        self._pixels[top : top + image.shape[0], left : left + image.shape[1]] = image
        return self._pixels
