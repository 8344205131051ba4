"""Exact sums over images of any size, and the moments and standard errors that follow."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from operator import add
from typing import Literal, cast

from prep.images.colour import ColourStatistics, Matrix
from prep.images.stats import ChannelStats
from prep.settings.choices import RGB

Weight = Literal["image", "pixel"]
Three = tuple[int, int, int]

#: Sums over images of one number of pixels: the number of images; the sums of their channels; the
#: squares of these sums, added up; and, if known, the squares of samples and the products R · G,
#: R · B and G · B, added up.
GroupSums = tuple[int, ...]
_SUMS, _SQUARED_SUMS, _SQUARES, _PRODUCTS = slice(1, 4), slice(4, 7), slice(7, 10), slice(10, 13)
_CHANNELS = range(3)
_PAIRS = ((0, 1), (0, 2), (1, 2))


def image_group(sums: Three, second: Iterable[int] = ()) -> GroupSums:
    """Return the sums over one image.

    Args:
        sums: of the samples of each channel.
        second: the squares of samples and the products of channels, added up; empty if not known.
    """
    r, g, b = sums
    return 1, r, g, b, r * r, g * g, b * b, *second


def add_to(groups: dict[int, GroupSums], pixels: int, sums: GroupSums) -> None:
    """Add an image, or several of one number of pixels, to those of their group."""
    known = groups.get(pixels)
    groups[pixels] = sums if known is None else tuple(map(add, known, sums))


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSums:
    """Sums over images, grouped by their number of pixels.

    This gives each image the same weight without dividing early: the mean of the images' means is
    Σₚ (sumsₚ / p) / images, where p runs over the numbers of pixels. ``math.fsum`` rounds once, so
    the order of the groups does not matter.
    """

    by_pixels: Mapping[int, GroupSums] = field(default_factory=dict)

    @classmethod
    def of(cls, images: Iterable[tuple[int, GroupSums]]) -> ImageSums:
        """Add up images, or groups of them, each with its number of pixels."""
        groups: dict[int, GroupSums] = {}
        for pixels, sums in images:
            add_to(groups, pixels, sums)
        return cls(by_pixels=groups)

    @classmethod
    def merge(cls, parts: Iterable[ImageSums]) -> ImageSums:
        """Add up sums over sets of images that have none in common."""
        return cls.of(group for part in parts for group in part.by_pixels.items())

    @property
    def images(self) -> int:
        """Number of images."""
        return sum(group[0] for group in self.by_pixels.values())

    @property
    def pixels(self) -> int:
        """Number of pixels of all images together."""
        return sum(pixels * group[0] for pixels, group in self.by_pixels.items())

    def mean(self, weight: Weight) -> RGB | None:
        """Return the mean of each channel, by image or by pixel; None without images."""
        if not self.by_pixels:
            return None
        if weight == "image":
            return self._image_weighted(_SUMS)
        r, g, b = self._total(_SUMS)
        return r / self.pixels, g / self.pixels, b / self.pixels

    def moments(self, weight: Weight) -> ColourStatistics | None:
        """Return the moments of samples, by image or by pixel; None without images.

        By image, they are those of a sample that is drawn by picking an image and then one of its
        pixels. Without squares and products, there is a mean alone.
        """
        if (mean := self.mean(weight)) is None:
            return None
        if not self._knows_squares:
            return ColourStatistics(mean=mean)
        if weight == "pixel":
            return self._totals().moments()
        squares, products = self._image_weighted(_SQUARES), self._image_weighted(_PRODUCTS)
        r, g, b = (max(0.0, square - m * m) for square, m in zip(squares, mean, strict=True))
        rg, rb, gb = (
            product - mean[a] * mean[b] for product, (a, b) in zip(products, _PAIRS, strict=True)
        )
        covariance: Matrix = (r, rg, rb), (rg, g, gb), (rb, gb, b)
        std = math.sqrt(r), math.sqrt(g), math.sqrt(b)
        return ColourStatistics(mean=mean, std=std, covariance=covariance)

    def standard_error(self, weight: Weight, drawn: int, population: int) -> RGB | None:
        """Return the standard error of the mean, if these images are a simple random sample.

        Images are what is drawn, so pixels of one image do not count as independent. By image, it
        is that of a mean, √((1 - f) s² / n) (Cochran, Sampling Techniques, 3rd ed., 1977, section
        2.7); by pixel, that of the ratio of the sums to the numbers of pixels (section 2.11). A
        sample without replacement of the whole population has none.

        Args:
            weight: of the mean.
            drawn: how many images were drawn, also those that could not be read.
            population: how many they were drawn from.

        Returns:
            Of each channel; None if one image, or none, is to stand for others.
        """
        if drawn == population:
            return 0.0, 0.0, 0.0
        if self.images < 2:
            return None
        variance = self._variance_of_means if weight == "image" else self._variance_of_ratio
        rest = 1 - drawn / population
        r, g, b = (math.sqrt(rest * variance(channel)) for channel in _CHANNELS)
        return r, g, b

    def _variance_of_means(self, channel: int) -> float:
        """Return s² / n, where s² is the variance of the images' means."""
        n = self.images
        means = [
            (group[0], group[_SUMS][channel] / pixels, group[_SQUARED_SUMS][channel] / pixels**2)
            for pixels, group in self.by_pixels.items()
        ]
        mean = math.fsum(total for _, total, _ in means) / n
        # In each group by itself, so that no large numbers are subtracted.
        deviations = math.fsum(
            square - 2 * mean * total + images * mean * mean for images, total, square in means
        )
        return max(0.0, deviations) / (n - 1) / n

    def _variance_of_ratio(self, channel: int) -> float:
        """Return Σ (y - R x)² / (n - 1) / (n x̄²) of sums y and numbers of pixels x, R = Σy / Σx."""
        n, x, y = self.images, self.pixels, self._total(_SUMS)[channel]
        residuals = sum(  # times x², to be exact
            x * x * group[_SQUARED_SUMS][channel]
            - 2 * x * y * pixels * group[_SUMS][channel]
            + y * y * pixels * pixels * group[0]
            for pixels, group in self.by_pixels.items()
        )
        return n * residuals / ((n - 1) * x**4)

    @property
    def _knows_squares(self) -> bool:
        return all(group[_SQUARES] for group in self.by_pixels.values())

    def _totals(self) -> ChannelStats:
        return ChannelStats(
            images=self.images,
            pixels=self.pixels,
            sums=self._total(_SUMS),
            squares=self._total(_SQUARES),
            products=self._total(_PRODUCTS),
        )

    def _total(self, part: slice) -> Three:
        columns = zip(*(group[part] for group in self.by_pixels.values()), strict=True)
        return cast(Three, tuple(map(sum, columns)))

    def _image_weighted(self, part: slice) -> RGB:
        """Return the means over all images of three sums, each divided by the image's pixels."""
        images = self.images
        r, g, b = (math.fsum(self._shares(part, channel)) / images for channel in _CHANNELS)
        return r, g, b

    def _shares(self, part: slice, channel: int) -> Iterator[float]:
        for pixels, group in self.by_pixels.items():
            yield group[part][channel] / pixels
