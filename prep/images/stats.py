"""Mean, standard deviation and covariance of colour channels, from exact integer sums.

Sums of 8-bit samples are kept as Python integers, so merging is exactly associative and
commutative: the result does not depend on how the work was cut into shards, or on the order in
which they finished. The only division comes last.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import cv2

from prep.images.colour import CHANNELS, ColourStatistics, Matrix
from prep.images.decoders.values import Pixels
from prep.images.rgbx import rgbx_of
from prep.parsing import Fields, refuse, whole
from prep.settings.choices import RGB

_MOST_PIXELS = 1 << 63
_PAIRS = ((0, 1), (0, 2), (1, 2))  # of channels: RG, RB, GB


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelStats:
    """Sums over a set of images.

    Attributes:
        images: number of images.
        pixels: number of pixels in all images together.
        sums: of the samples (0 to 255) of each channel (R, G, B).
        squares: sums of the squared samples of each channel.
        products: sums over all pixels of R · G, R · B and G · B; None if not known.

    >>> one = ChannelStats(images=1, pixels=2, sums=(3, 0, 0), squares=(5, 0, 0))
    >>> (one + one).sums
    (6, 0, 0)
    """

    images: int = 0
    pixels: int = 0
    sums: tuple[int, int, int] = (0, 0, 0)
    squares: tuple[int, int, int] = (0, 0, 0)
    products: tuple[int, int, int] | None = (0, 0, 0)

    def __add__(self, other: ChannelStats) -> ChannelStats:
        ours, theirs = self.products, other.products
        return ChannelStats(
            images=self.images + other.images,
            pixels=self.pixels + other.pixels,
            sums=_add(self.sums, other.sums),
            squares=_add(self.squares, other.squares),
            products=None if ours is None or theirs is None else _add(ours, theirs),
        )

    def mean(self) -> RGB | None:
        """Return the mean sample of each channel, 0 to 255; None without pixels."""
        if not self.pixels:
            return None
        r, g, b = self.sums
        return r / self.pixels, g / self.pixels, b / self.pixels

    def std(self) -> RGB | None:
        """Return the population standard deviation of each channel; None without pixels.

        The variance is (n·Σx² - (Σx)²) / n², with an exact numerator.
        """
        if not self.pixels:
            return None
        n = self.pixels
        r, g, b = (
            math.sqrt((n * q - s * s) / (n * n))
            for s, q in zip(self.sums, self.squares, strict=True)
        )
        return r, g, b

    def covariance(self) -> Matrix | None:
        """Return the population covariance of R, G and B; None without pixels or products.

        Each entry is (n·Σxy - Σx·Σy) / n², with an exact numerator.
        """
        if not self.pixels or self.products is None:
            return None
        divisor = self.pixels * self.pixels
        r, g, b = (
            (row[0] / divisor, row[1] / divisor, row[2] / divisor)
            for row in self._scatter(self.products)
        )
        return r, g, b

    def moments(self) -> ColourStatistics | None:
        """Return mean, std and covariance, 0 to 255; None without pixels."""
        if (mean := self.mean()) is None:
            return None
        return ColourStatistics(mean=mean, std=self.std(), covariance=self.covariance())

    def _scatter(self, products: tuple[int, int, int]) -> list[list[int]]:
        """Return n² times the covariance, 3 × 3, exactly."""
        n, sums = self.pixels, self.sums
        second = [[0] * 3 for _ in range(3)]
        for c in range(3):
            second[c][c] = self.squares[c]
        for (a, b), product in zip(_PAIRS, products, strict=True):
            second[a][b] = second[b][a] = product
        return [[n * second[a][b] - sums[a] * sums[b] for b in range(3)] for a in range(3)]

    def to_json(self) -> dict[str, Any]:
        """Return JSON values; without ``products``, as earlier versions did, if not known."""
        values = asdict(self)
        if self.products is None:
            del values["products"]
        return values

    @classmethod
    def from_json(cls, value: object) -> ChannelStats:
        """Read what :meth:`to_json` gave.

        Raises:
            ValueError: it is something else, or no samples add up to it.
        """
        fields = Fields(value, "sums of channels")
        products = fields.any("products", None)
        stats = cls(
            images=fields.whole("images"),
            pixels=fields.whole("pixels", most=_MOST_PIXELS),
            sums=_three(fields.any("sums"), "sums"),
            squares=_three(fields.any("squares"), "squares"),
            products=None if products is None else _three(products, "products"),
        )
        fields.end()
        n = stats.pixels
        for s, q in zip(stats.sums, stats.squares, strict=True):
            if not s <= 255 * n or not s <= q <= 255 * s or s * s > n * q:
                raise ValueError(f"sums: no {n:,} samples of 0 to 255 add up to {s:,} and {q:,}")
        if stats.products is not None and not _semidefinite(stats._scatter(stats.products)):
            raise ValueError(f"products: no samples of these sums have products {stats.products}")
        return stats


def _add(a: tuple[int, int, int], b: tuple[int, int, int]) -> tuple[int, int, int]:
    return a[0] + b[0], a[1] + b[1], a[2] + b[2]


def _semidefinite(m: list[list[int]]) -> bool:
    """Return whether a symmetric 3 × 3 matrix has no negative principal minor, exactly."""
    minors = [m[a][a] * m[b][b] - m[a][b] ** 2 for a, b in _PAIRS]
    determinant = (
        m[0][0] * (m[1][1] * m[2][2] - m[1][2] ** 2)
        - m[0][1] * (m[0][1] * m[2][2] - m[1][2] * m[0][2])
        + m[0][2] * (m[0][1] * m[1][2] - m[1][1] * m[0][2])
    )
    return min(*minors, determinant) >= 0


def _three(values: object, name: str) -> tuple[int, int, int]:
    if not isinstance(values, list) or len(values) != len(CHANNELS):
        refuse(name, "three numbers", values)
    r, g, b = (whole(value, name, most=_MOST_PIXELS * 255**2) for value in values)
    return r, g, b


def channel_sums(pixels: Pixels, planes: Sequence[Pixels] | None = None) -> ChannelStats:
    """Return the exact sums over one image.

    OpenCV adds up 8-bit samples as integers, but its squared norms have been through a square root
    and are off in the last digits; rounded, they are exact up to about 10¹⁰ pixels.

    Args:
        pixels: uint8 (height, width, 3), RGB; or (height, width, 1), gray, which counts as three
            equal channels.
        planes: an array (height, width) for each channel, or byte of a pixel, to split them into,
            for callers with many images of one size.
    """
    height, width, number = pixels.shape
    rgbx = rgbx_of(pixels)
    channels = cv2.split(pixels if rgbx is None else rgbx, planes)[:number]
    # Both of a plane while it is in the cache, from the last one, which was written last.
    both = [
        (int(cv2.norm(plane, cv2.NORM_L1)), round(cv2.norm(plane, cv2.NORM_L2SQR)))
        for plane in reversed(channels)
    ]
    sums, squares = [s for s, _ in reversed(both)], [q for _, q in reversed(both)]
    if number == 1:
        sums, squares = 3 * sums, 3 * squares
        products = squares
    else:
        products = [
            (squares[a] + squares[b] - round(cv2.norm(channels[a], channels[b], cv2.NORM_L2SQR)))
            // 2
            for a, b in _PAIRS
        ]
    return ChannelStats(
        images=1,
        pixels=height * width,
        sums=(sums[0], sums[1], sums[2]),
        squares=(squares[0], squares[1], squares[2]),
        products=(products[0], products[1], products[2]),
    )


def plain_sums(pixels: Pixels) -> tuple[int, int, int]:
    """Return the sums of one image's channels, in half the time of :func:`channel_sums`.

    Args:
        pixels: as of :func:`channel_sums`.
    """
    r, g, b, _ = map(int, cv2.sumElems(pixels))
    return (r, r, r) if pixels.shape[2] == 1 else (r, g, b)
