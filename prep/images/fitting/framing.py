"""The size of results and how images take it, as plain arithmetic."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from prep.errors import RefusedImage
from prep.images.fitting.orientation import UPRIGHT, upright_size
from prep.images.geometry import Box, shrink_factor
from prep.settings.choices import Enlarge, Fit, Geometry
from prep.settings.image_settings import LONGEST_SIDE, ImageSettings


class Placement(NamedTuple):
    """The part of an image that becomes the result, and the size of the result without padding.

    The part lies in the middle of the image, but for a shift of less than a pixel of the result. It
    may begin and end between two pixels.

    Attributes:
        kept_rows, kept_columns: of the part, in pixels of the whole image.
        height, width: of the result, in pixels.
        scale: the least number of pixels of the image, along either axis, per pixel of the result.
        resized: False if each pixel of the part is one of the result.
        shift_down, shift_right: how far the centre of the part lies below and right of the image's,
            in pixels of the whole image.
        whole: the height and width that the whole image would have, if it is resized before it is
            cropped; None if the part alone is resized.
    """

    kept_rows: Fraction
    kept_columns: Fraction
    height: int
    width: int
    scale: Fraction
    resized: bool = True
    shift_down: Fraction = Fraction(0)
    shift_right: Fraction = Fraction(0)
    whole: tuple[int, int] | None = None

    def transposed(self) -> Placement:
        """Return the placement for an image whose rows are stored as columns."""
        return self._replace(
            kept_rows=self.kept_columns,
            kept_columns=self.kept_rows,
            height=self.width,
            width=self.height,
            shift_down=self.shift_right,
            shift_right=self.shift_down,
            whole=None if self.whole is None else self.whole[::-1],
        )

    def stored(self, orientation: int) -> Placement:
        """Return the placement for an image that is stored with an Exif orientation."""
        transpose, flip_rows, flip_columns = UPRIGHT[orientation]
        flipped = self._replace(
            shift_down=-self.shift_down if flip_rows else self.shift_down,
            shift_right=-self.shift_right if flip_columns else self.shift_right,
        )
        return flipped.transposed() if transpose else flipped

    def box(self, height: int, width: int, factor: int = 1) -> Box:
        """Return the part's exact position in an image.

        Args:
            height, width: of the whole image, in pixels.
            factor: by which the image has been shrunk already; the box is in pixels of that.
        """
        rows, columns = self.kept_rows, self.kept_columns
        top, left = (height - rows) / 2 + self.shift_down, (width - columns) / 2 + self.shift_right
        return Box(*(float(edge / factor) for edge in (top, left, rows, columns)))


@dataclass(frozen=True, slots=True)
class Framing:
    """A size in pixels, and how images take it; see :class:`prep.Config` for each."""

    height: int
    width: int
    fit: Fit = "crop"
    enlarge: Enlarge = "always"
    geometry: Geometry = "exact"

    @classmethod
    def of(cls, settings: ImageSettings) -> Framing:
        """Return the framing of image settings."""
        return cls(
            settings.height, settings.width, settings.fit, settings.enlarge, settings.geometry
        )

    def enlarges(self, height: int, width: int) -> bool:
        """Return whether an image of this upright size is made larger, along any axis."""
        smaller = height < self.height, width < self.width
        return self.enlarge == "always" and (all(smaller) if self.fit == "pad" else any(smaller))

    def pixels_per_pixel(self, height: int, width: int) -> Fraction:
        """Return how many pixels of an image become one of the result, if it may be enlarged.

        That is along an axis that decides: the one on which the image lacks most, or with ``pad``
        the one on which it exceeds the size most.
        """
        rows, columns = Fraction(height, self.height), Fraction(width, self.width)
        return max(rows, columns) if self.fit == "pad" else min(rows, columns)


@lru_cache(maxsize=4096)  # Photos come in few sizes.
def placement_of(framing: Framing, height: int, width: int) -> Placement:
    """Return the part of an image that becomes the result, and the size that it takes.

    - ``crop``: the largest part of the aspect asked for.
    - ``pad``: the whole, as large as fits into the size.
    - ``shorter``: the whole, as small as covers the size.
    - ``stretch``: the whole, with the height and width asked for.

    If ``enlarge`` is ``never``, no axis of the result has more pixels than its part.

    Geometry ``torchvision`` rounds the longer side of the whole down to whole pixels, not to the
    nearest, and crops at whole pixels of that.

    Args:
        height, width: of the upright image, in pixels.

    Raises:
        RefusedImage: the result would be longer than ``LONGEST_SIDE``.

    >>> placement_of(Framing(224, 336), 300, 400)[:4]
    (Fraction(800, 3), Fraction(400, 1), 224, 336)
    >>> placement_of(Framing(256, 256, "shorter"), 300, 400)[2:4]
    (256, 341)
    """
    scale = framing.pixels_per_pixel(height, width)
    as_is = framing.enlarge == "never" and scale <= 1
    whole = Fraction(height), Fraction(width)
    rounds_down = framing.geometry == "torchvision"
    if framing.fit == "stretch":
        return _stretched(framing, height, width)
    if framing.fit == "crop" and rounds_down:
        return _cropped_by_torchvision(framing.height, height, width, scale)
    if framing.fit == "crop":
        kept = scale * framing.height, scale * framing.width
        if as_is:
            rows, columns = (_rounded(side) for side in kept)
            return Placement(Fraction(rows), Fraction(columns), rows, columns, Fraction(1), False)
        return Placement(*kept, framing.height, framing.width, scale)
    if as_is:
        _require_short(height, width, height, width)
        return Placement(*whole, height, width, Fraction(1), False)
    nearest = _floor if rounds_down else _rounded
    result = nearest(height / scale), nearest(width / scale)
    _require_short(*result, height, width)
    return Placement(*whole, *result, scale)


def stored_placement(framing: Framing, height: int, width: int, orientation: int) -> Placement:
    """Return the placement for an image as it is stored.

    Args:
        height, width: of the stored image, in pixels.
        orientation: its Exif orientation.
    """
    return placement_of(framing, *upright_size(height, width, orientation)).stored(orientation)


@lru_cache(maxsize=4096)
def shrink(framing: Framing, oversampling: int, height: int, width: int, orientation: int) -> int:
    """Return 1, 2, 4 or 8: by how much a decoder may shrink an image.

    Args:
        oversampling: the pixels that are to be left per pixel of the result, along each axis.
        height, width, orientation: of the image, as it is stored.
    """
    if framing.geometry == "torchvision":  # It is for results that are equal to the level.
        return 1
    placement = placement_of(framing, *upright_size(height, width, orientation))
    return shrink_factor(placement.scale, oversampling)


def _stretched(framing: Framing, height: int, width: int) -> Placement:
    rows, columns = framing.height, framing.width
    if framing.enlarge == "never":
        rows, columns = min(rows, height), min(columns, width)
    whole, scale = (Fraction(height), Fraction(width)), Fraction(height, rows)
    resized = (rows, columns) != (height, width)
    return Placement(*whole, rows, columns, min(scale, Fraction(width, columns)), resized)


def _cropped_by_torchvision(size: int, height: int, width: int, scale: Fraction) -> Placement:
    """Return the placement of torchvision's ``CenterCrop(size)`` after its ``Resize(size)``.

    Resizing the part alone, between pixels, gives the same as resizing the whole and cropping it.

    ``_compute_resized_output_size`` and ``center_crop`` in torchvision/transforms/functional.py
    (0.28) round like this, and Python's ``round`` takes halves to even.
    """
    rows, columns = _floor(height / scale), _floor(width / scale)
    tall, wide = Fraction(height, rows), Fraction(width, columns)  # of a pixel of the result
    below, beside = Fraction(rows - size, 2), Fraction(columns - size, 2)
    return Placement(
        kept_rows=size * tall,
        kept_columns=size * wide,
        height=size,
        width=size,
        scale=scale,
        shift_down=(round(below) - below) * tall,
        shift_right=(round(beside) - beside) * wide,
        whole=(rows, columns),
    )


def _require_short(rows: int, columns: int, height: int, width: int) -> None:
    if max(rows, columns) > LONGEST_SIDE:
        raise RefusedImage(
            "too extreme",
            f"{width:,} × {height:,} pixels would become {columns:,} × {rows:,}; the longer side "
            f"of a result may have {LONGEST_SIDE:,}",
        )


def _rounded(side: Fraction) -> int:
    """Return a number of pixels, at least 1; halves are rounded up."""
    return max(1, math.floor(side + Fraction(1, 2)))


def _floor(side: Fraction) -> int:
    """Return a number of pixels, at least 1, rounded down."""
    return max(1, math.floor(side))
