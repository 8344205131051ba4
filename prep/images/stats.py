"""Mean and standard deviation of colour channels, from exact integer sums.

Sums of 8-bit samples are kept as Python integers, so merging is exactly associative and
commutative: the result does not depend on how the work was cut into shards, or on the order in
which they finished. The only division comes last.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import cv2

from prep.images.decoders.values import Pixels
from prep.parsing import Fields, refuse, whole
from prep.settings.choices import RGB

_MOST_PIXELS = 1 << 63
CHANNELS = ("R", "G", "B")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelStats:
    """Sums over a set of images.

    Attributes:
        images: number of images.
        pixels: number of pixels in all images together.
        sums: of the samples (0 to 255) of each channel (R, G, B).
        squares: sums of the squared samples of each channel.

    >>> one = ChannelStats(images=1, pixels=2, sums=(3, 0, 0), squares=(5, 0, 0))
    >>> (one + one).sums
    (6, 0, 0)
    """

    images: int = 0
    pixels: int = 0
    sums: tuple[int, int, int] = (0, 0, 0)
    squares: tuple[int, int, int] = (0, 0, 0)

    def __add__(self, other: ChannelStats) -> ChannelStats:
        return ChannelStats(
            images=self.images + other.images,
            pixels=self.pixels + other.pixels,
            sums=_add(self.sums, other.sums),
            squares=_add(self.squares, other.squares),
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

    @classmethod
    def from_json(cls, value: object) -> ChannelStats:
        """Read the JSON of ``dataclasses.asdict``.

        Raises:
            ValueError: it is something else, or no samples add up to it.
        """
        fields = Fields(value, "sums of channels")
        stats = cls(
            images=fields.whole("images"),
            pixels=fields.whole("pixels", most=_MOST_PIXELS),
            sums=_three(fields, "sums"),
            squares=_three(fields, "squares"),
        )
        fields.end()
        n = stats.pixels
        for s, q in zip(stats.sums, stats.squares, strict=True):
            if not s <= 255 * n or not s <= q <= 255 * s or s * s > n * q:
                raise ValueError(f"sums: no {n:,} samples of 0 to 255 add up to {s:,} and {q:,}")
        return stats


def _add(a: tuple[int, int, int], b: tuple[int, int, int]) -> tuple[int, int, int]:
    return a[0] + b[0], a[1] + b[1], a[2] + b[2]


def _three(fields: Fields, name: str) -> tuple[int, int, int]:
    values = fields.list(name)
    if len(values) != len(CHANNELS):
        refuse(name, "three numbers", values)
    r, g, b = (whole(value, name, most=_MOST_PIXELS * 255**2) for value in values)
    return r, g, b


@dataclass(frozen=True, slots=True, kw_only=True)
class MixedStats:
    """Sums over images of any size, grouped by their number of pixels.

    This gives each image the same weight without dividing early: the mean of the images' means is
    Σₚ (sumsₚ / p) / images, where p runs over the numbers of pixels.
    """

    by_pixels: Mapping[int, ChannelStats] = field(default_factory=dict)

    @classmethod
    def of(cls, images: Iterable[ChannelStats]) -> MixedStats:
        """Group the stats of single images."""
        return cls.merge(cls(by_pixels={image.pixels: image}) for image in images)

    @classmethod
    def merge(cls, parts: Iterable[MixedStats]) -> MixedStats:
        groups: dict[int, ChannelStats] = {}
        for part in parts:
            for pixels, stats in part.by_pixels.items():
                groups[pixels] = groups.get(pixels, ChannelStats()) + stats
        return cls(by_pixels=groups)

    @property
    def total(self) -> ChannelStats:
        """The sums over all images, in which every pixel has the same weight."""
        return sum(self.by_pixels.values(), ChannelStats())

    def image_weighted(self) -> tuple[RGB, RGB] | None:
        """Return (mean, std) with the same weight for each image; None without images.

        std is that of a sample drawn by picking an image and then one of its pixels. ``math.fsum``
        rounds once, so the order of the groups does not matter.
        """
        images = self.total.images
        if not images:
            return None
        groups = self.by_pixels.items()
        means, stds = [], []
        for c in range(3):
            mean = math.fsum(stats.sums[c] / pixels for pixels, stats in groups) / images
            square = math.fsum(stats.squares[c] / pixels for pixels, stats in groups) / images
            means.append(mean)
            stds.append(math.sqrt(max(0.0, square - mean * mean)))
        return (means[0], means[1], means[2]), (stds[0], stds[1], stds[2])


def by_channel(values: RGB | None) -> dict[str, float] | None:
    """Return ``{"R": …, "G": …, "B": …}``, the form in which means are stored.

    >>> by_channel((1.0, 2.0, 3.0))
    {'R': 1.0, 'G': 2.0, 'B': 3.0}
    """
    return None if values is None else dict(zip(CHANNELS, values, strict=True))


def channel_sums(pixels: Pixels, planes: Sequence[Pixels] | None = None) -> ChannelStats:
    """Return the exact sums over one image.

    OpenCV adds up 8-bit samples as integers, but its squared norms have been through a square root
    and are off in the last digits; rounded, they are exact up to about 10¹⁰ pixels.

    Args:
        pixels: uint8 (height, width, 3), RGB; or (height, width, 1), gray, which counts as three
            equal channels.
        planes: an array (height, width) for each channel, to split them into, for callers with
            many images of one size.
    """
    height, width, number = pixels.shape
    channels = cv2.split(pixels, planes)
    sums = [int(cv2.norm(plane, cv2.NORM_L1)) for plane in channels]
    squares = [round(cv2.norm(plane, cv2.NORM_L2SQR)) for plane in channels]
    if number == 1:
        sums, squares = 3 * sums, 3 * squares
    return ChannelStats(
        images=1,
        pixels=height * width,
        sums=(sums[0], sums[1], sums[2]),
        squares=(squares[0], squares[1], squares[2]),
    )


def plain_sums(pixels: Pixels) -> tuple[int, int, int]:
    """Return the sums of one image's channels, in half the time of :func:`channel_sums`.

    Args:
        pixels: as of :func:`channel_sums`.
    """
    r, g, b, _ = map(int, cv2.sumElems(pixels))
    return (r, r, r) if pixels.shape[2] == 1 else (r, g, b)
