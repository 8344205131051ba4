"""RGB pixels that take four bytes each in memory, as SIMD code reads and writes them fastest.

Such pixels are still an array (height, width, 3). It is a view of an array (height, width, 4),
whose fourth byte means nothing. Any code can use the view. Code that gains by the fourth byte asks
for the whole with :func:`rgbx_of`, and code that needs contiguous pixels calls :func:`as_rgb`:
OpenCV copies a view itself, in ten times as long.
"""

from __future__ import annotations

import cv2
import numpy as np

from prep.images.decoders.values import Pixels


def rgb_view(rgbx: Pixels) -> Pixels:
    """Return R, G and B of four-byte pixels, as a view that :func:`rgbx_of` recognises.

    Args:
        rgbx: uint8 (height, width, 4), C-contiguous.
    """
    # A view of a view refers to the owner of the memory, but one of a buffer refers to that.
    whole = rgbx if rgbx.base is None else np.asarray(rgbx.data)
    return whole[..., :3]


def rgbx_of(pixels: Pixels) -> Pixels | None:
    """Return the four-byte pixels that this is a whole view of; None if there are none.

    >>> view = rgb_view(np.zeros((2, 3, 4), np.uint8))
    >>> rgbx_of(view).shape, rgbx_of(view[1:]), rgbx_of(view.copy())
    ((2, 3, 4), None, None)
    """
    whole = pixels.base
    if whole is None or pixels.ndim != 3 or pixels.shape[2] != 3:
        return None
    same = getattr(whole, "strides", None) == pixels.strides
    return whole if same and whole.shape == (*pixels.shape[:2], 4) else None


def as_rgbx(pixels: Pixels) -> Pixels:
    """Return pixels, uint8 (height, width, 3), with four bytes each; without a copy if they are.

    >>> as_rgbx(np.zeros((2, 3, 3), np.uint8)).shape
    (2, 3, 4)
    """
    whole = rgbx_of(pixels)
    if whole is not None:
        return whole
    return cv2.cvtColor(pixels, cv2.COLOR_RGB2RGBA)  # type: ignore[return-value]


def as_rgb(pixels: Pixels) -> Pixels:
    """Return pixels, uint8 (height, width, 1 or 3), contiguous; without a copy if they are.

    >>> as_rgb(rgb_view(np.zeros((2, 3, 4), np.uint8))).strides
    (9, 3, 1)
    """
    whole = rgbx_of(pixels)
    if whole is None:
        return np.ascontiguousarray(pixels)
    return cv2.cvtColor(whole, cv2.COLOR_RGBA2RGB)  # type: ignore[return-value]
