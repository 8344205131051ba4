"""Sums over images of many sizes: exact in any order, and the errors of samples of them."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prep.images.colour import ColourStatistics
from prep.images.decoders.values import Decoded
from prep.images.stats import channel_sums, plain_sums
from prep.operations.averaging.image_sums import ImageSums, Weight, image_group
from prep.operations.averaging.summing import scaled_sums
from tests.support.pixels import Pixels, image_lists, images

WEIGHTS: tuple[Weight, Weight] = ("image", "pixel")


def sums_of(pictures: Sequence[Pixels]) -> ImageSums:
    found = []
    for picture in pictures:
        stats = channel_sums(picture)
        assert stats.products is not None
        found.append((stats.pixels, image_group(stats.sums, (*stats.squares, *stats.products))))
    return ImageSums.of(found)


def moments(pictures: Sequence[Pixels], weight: Weight = "image") -> ColourStatistics:
    result = sums_of(pictures).moments(weight)
    assert result is not None
    return result


@given(pictures=image_lists)
def test_the_image_weighted_mean_is_the_mean_of_the_images_means(pictures: list[Pixels]) -> None:
    def mean_of_means(power: int) -> list[Fraction]:
        per_image = []
        for picture in pictures:
            pixels = picture.reshape(-1, 3).astype(int)
            per_image.append([Fraction(int(x), len(pixels)) for x in (pixels**power).sum(0)])
        return [
            sum(channel, Fraction()) / len(pictures) for channel in zip(*per_image, strict=True)
        ]

    found = moments(pictures)
    mean, std = found.mean, found.std or ()
    assert mean == pytest.approx([float(m) for m in mean_of_means(1)], abs=1e-9)
    # Compared as variances, which are differences of numbers up to 255², good to 1e-9 of them.
    variances = [q - m * m for m, q in zip(mean_of_means(1), mean_of_means(2), strict=True)]
    assert [s * s for s in std] == pytest.approx([float(v) for v in variances], abs=1e-9)


@given(pictures=image_lists)
def test_the_image_weighted_covariance_is_numpys_with_weights(pictures: list[Pixels]) -> None:
    samples = np.concatenate([picture.reshape(-1, 3) for picture in pictures]).astype(float)
    weights = np.concatenate([np.full(p[..., 0].size, 1 / p[..., 0].size) for p in pictures])
    expected = np.cov(samples.T, aweights=weights, bias=True)
    assert np.array(moments(pictures).covariance) == pytest.approx(expected, abs=1e-8)


def test_weighing_images_alike_is_not_weighing_pixels_alike() -> None:
    small, large = np.zeros((1, 1, 3), np.uint8), np.full((3, 1, 3), 100, np.uint8)
    assert moments([small, large]).mean == (50, 50, 50)  # (0 + 100) / 2
    assert moments([small, large], "pixel").mean == (75, 75, 75)  # (0 + 3 · 100) / 4
    assert ImageSums().moments("image") is ImageSums().moments("pixel") is None


@given(pictures=st.lists(images(), min_size=2, max_size=12), seed=st.integers(0, 1 << 32))
def test_neither_order_nor_cuts_change_a_bit(pictures: list[Pixels], seed: int) -> None:
    rng = random.Random(seed)
    cut = rng.randrange(len(pictures))
    other_way = rng.sample(pictures, len(pictures))
    merged = ImageSums.merge(map(sums_of, (other_way[:cut], other_way[cut:])))
    for weight in WEIGHTS:
        assert merged.moments(weight) == moments(pictures, weight)
        assert merged.standard_error(weight, 12, 20) == sums_of(pictures).standard_error(
            weight, 12, 20
        )


# Samples


SIZES = [(2, 3), (2, 3), (5, 1), (4, 4), (1, 1), (3, 7)]


@pytest.fixture(scope="module")
def population() -> list[Pixels]:
    rng = np.random.default_rng(3)
    return [rng.integers(0, 256, (*size, 3), np.uint8) for size in SIZES]


@pytest.mark.parametrize("number", [2, 3, 5])
def test_over_all_samples_the_squared_error_is_on_average_what_is_claimed(
    number: int, population: list[Pixels]
) -> None:
    """Of a mean of images, the estimate of its variance is unbiased: all samples are looked at."""
    true = np.array(moments(population).mean)
    squares, claims = [], []
    for drawn in itertools.combinations(population, number):
        error = sums_of(drawn).standard_error("image", number, len(population))
        assert error is not None
        claims.append(np.square(error))
        squares.append(np.square(np.array(moments(drawn).mean) - true))
    assert np.mean(claims, axis=0) == pytest.approx(np.mean(squares, axis=0), rel=1e-12)


def test_the_error_of_a_mean_of_pixels_is_that_of_a_ratio(population: list[Pixels]) -> None:
    drawn, total = population[:4], len(population)
    y = np.array([plain_sums(p) for p in drawn], float)
    x = np.array([p.shape[0] * p.shape[1] for p in drawn], float)
    residuals = y - np.outer(x, y.sum(0) / x.sum())
    variance = (1 - 4 / total) / 4 / x.mean() ** 2 * (residuals**2).sum(0) / 3
    error = sums_of(drawn).standard_error("pixel", 4, total)
    assert error == pytest.approx(np.sqrt(variance), rel=1e-12)


def test_of_images_of_one_size_both_errors_are_the_same() -> None:
    rng = np.random.default_rng(1)
    sums = sums_of([rng.integers(0, 256, (4, 4, 3), np.uint8) for _ in range(9)])
    by_image, by_pixel = (sums.standard_error(weight, 9, 90) for weight in WEIGHTS)
    assert by_image == pytest.approx(by_pixel, rel=1e-12)


def test_pixels_of_one_image_are_not_independent() -> None:
    """What counts is how many images there are: here two, of which each is of one colour."""
    dark, light = np.full((50, 50, 3), 10, np.uint8), np.full((50, 50, 3), 30, np.uint8)
    for weight in WEIGHTS:
        error = sums_of([dark, light]).standard_error(weight, 2, 1_000_000)
        assert error == pytest.approx([10] * 3, rel=1e-5)  # s² = 200, n = 2


def test_a_sample_of_all_images_has_no_error_and_one_image_tells_of_none(
    population: list[Pixels],
) -> None:
    for weight in WEIGHTS:
        assert sums_of(population).standard_error(weight, 6, 6) == (0, 0, 0)
        assert sums_of(population[:1]).standard_error(weight, 1, 6) is None


def test_images_that_are_alike_leave_no_error_to_rounding() -> None:
    alike = [np.full((1, width, 3), 77, np.uint8) for width in range(1, 40)]
    assert sums_of(alike).standard_error("pixel", 39, 400) == (0, 0, 0)
    assert sums_of(alike).standard_error("image", 39, 400) == pytest.approx([0] * 3, abs=1e-7)


# Shrunk images


@pytest.mark.parametrize(("height", "width"), [(16, 24), (17, 24), (16, 31), (9, 15), (23, 1)])
def test_a_pixel_of_a_shrunk_image_counts_for_those_that_it_stands_for(
    height: int, width: int
) -> None:
    small = np.random.default_rng(0).integers(
        0, 256, (math.ceil(height / 8), math.ceil(width / 8), 3), np.uint8
    )
    whole = small.repeat(8, axis=0).repeat(8, axis=1)[:height, :width]
    assert scaled_sums(Decoded(small, height, width, 8, 1)) == plain_sums(
        np.ascontiguousarray(whole)
    )
