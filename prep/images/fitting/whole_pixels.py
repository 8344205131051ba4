"""Crop at whole pixels, and resize with OpenCV: ``area`` and ``linear``."""

from __future__ import annotations

import numpy as np

from prep.images.decoders.values import Decoded, Pixels
from prep.images.fitting.axes import whole_axis
from prep.images.fitting.framing import Framing, placement_of
from prep.images.fitting.orientation import UPRIGHT, upright, upright_size
from prep.images.fitting.resizer import Resizer
from prep.images.geometry import Area, area_around, shrink_factor
from prep.settings.choices import Interpolation


class WholePixelFitter:
    """Take the pixels nearest to the part of an image that is wanted, and resize them.

    The centre is off by half a pixel at most.
    """

    def __init__(self, framing: Framing, interpolation: Interpolation) -> None:
        self._frame = framing
        self._resizer = Resizer(interpolation)

    def factor(self, height: int, width: int, orientation: int) -> int:
        """See :class:`prep.images.geometry.Needed`."""
        placement = placement_of(self._frame, *upright_size(height, width, orientation))
        return shrink_factor(placement.scale, self._resizer.oversampling)

    def area(self, height: int, width: int, orientation: int) -> Area:
        """See :class:`prep.images.geometry.Needed`."""
        placement = placement_of(self._frame, *upright_size(height, width, orientation))
        stored = placement.transposed() if UPRIGHT[orientation].transpose else placement
        return area_around(stored.box(height, width), (1, 1), height, width)

    def __call__(self, decoded: Decoded) -> Pixels:
        """See :class:`prep.images.fitting.fitter.Fitter`."""
        transpose, *flips = UPRIGHT[decoded.orientation]
        flip_rows, flip_columns = reversed(flips) if transpose else flips
        width, height = decoded.upright_size
        placement = placement_of(self._frame, height, width)
        stored = placement.transposed() if transpose else placement
        rows, columns = (
            whole_axis(length, kept, size, factor=decoded.factor, flipped=flipped)
            for length, kept, size, flipped in (
                (decoded.height, stored.kept_rows, stored.height, flip_rows),
                (decoded.width, stored.kept_columns, stored.width, flip_columns),
            )
        )
        top, left = rows.start - decoded.top, columns.start - decoded.left
        source = decoded.pixels[top : top + rows.length, left : left + columns.length]
        resized = self._resizer.resize(source, rows.resized, columns.resized)
        result = resized[rows.trim :, columns.trim :][: stored.height, : stored.width]
        return np.ascontiguousarray(upright(result, decoded.orientation))
