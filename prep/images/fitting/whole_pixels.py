"""Crop at whole pixels, and resize with OpenCV: ``area`` and ``linear``."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from prep.images.decoders.values import Decoded, Pixels
from prep.images.fitting.axes import Axis, whole_axis
from prep.images.fitting.framing import Framing, shrink, stored_placement
from prep.images.fitting.orientation import UPRIGHT, upright
from prep.images.fitting.resizer import Resizer
from prep.images.geometry import Area, area_around
from prep.settings.choices import Interpolation


class WholePixelFitter:
    """Take the pixels nearest to the part of an image that is wanted, and resize them.

    The centre is off by half a pixel at most.
    """

    padded = False

    def __init__(self, framing: Framing, interpolation: Interpolation) -> None:
        self._framing = framing
        self._resizer = Resizer(interpolation)

    def factor(self, height: int, width: int, orientation: int) -> int:
        """See :class:`prep.images.geometry.Needed`."""
        return shrink(self._framing, self._resizer.oversampling, height, width, orientation)

    def area(self, height: int, width: int, orientation: int) -> Area:
        """See :class:`prep.images.geometry.Needed`."""
        placement = stored_placement(self._framing, height, width, orientation)
        return area_around(placement.box(height, width), (1, 1), height, width)

    def __call__(self, decoded: Decoded) -> Pixels:
        """See :class:`prep.images.fitting.fitter.Fitter`."""
        rows, columns, height, width = _axes(
            self._framing, decoded.height, decoded.width, decoded.orientation, decoded.factor
        )
        top, left = rows.start - decoded.top, columns.start - decoded.left
        source = decoded.pixels[top : top + rows.length, left : left + columns.length]
        resized = self._resizer.resize(source, rows.resized, columns.resized)
        result = resized[rows.trim :, columns.trim :][:height, :width]
        return np.ascontiguousarray(upright(result, decoded.orientation))


@lru_cache(maxsize=4096)  # Photos come in few sizes.
def _axes(
    framing: Framing, height: int, width: int, orientation: int, factor: int
) -> tuple[Axis, Axis, int, int]:
    """Return rows, columns and the size of the result as an image is stored."""
    turn = UPRIGHT[orientation]
    flip_rows, flip_columns = turn.flip_rows, turn.flip_columns
    if turn.transpose:
        flip_rows, flip_columns = flip_columns, flip_rows
    placement = stored_placement(framing, height, width, orientation)
    rows, columns = (
        whole_axis(length, kept, size, factor=factor, flipped=flipped)
        for length, kept, size, flipped in (
            (height, placement.kept_rows, placement.height, flip_rows),
            (width, placement.kept_columns, placement.width, flip_columns),
        )
    )
    return rows, columns, placement.height, placement.width
