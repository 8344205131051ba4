"""Channel sums: exact in any order, and equal to NumPy over all pixels at once."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prep.images.stats import ChannelStats, channel_sums
from tests.support.pixels import Pixels, image_lists

sums = st.integers(0, 1 << 80)
triples = st.tuples(sums, sums, sums)
any_stats = st.builds(
    ChannelStats,
    images=sums,
    pixels=sums,
    sums=triples,
    squares=triples,
    products=triples | st.none(),
)


def all_pixels(pictures: list[Pixels]) -> npt.NDArray[np.int64]:
    return np.concatenate([p.reshape(-1, 3) for p in pictures]).astype(np.int64)


def exact(values: npt.NDArray[np.int64]) -> tuple[int, ...]:
    return tuple(values.tolist())


@given(a=any_stats, b=any_stats, c=any_stats)
def test_adding_is_associative_and_commutative(
    a: ChannelStats, b: ChannelStats, c: ChannelStats
) -> None:
    assert (a + b) + c == a + (b + c)
    assert a + b == b + a
    assert a + ChannelStats() == a


@given(pictures=image_lists)
def test_sums_are_those_of_all_pixels_together(pictures: list[Pixels]) -> None:
    total = sum(map(channel_sums, pictures), ChannelStats())
    together = all_pixels(pictures)
    assert total.images == len(pictures)
    assert total.pixels == len(together)
    assert total.sums == exact(together.sum(0))
    assert total.squares == exact((together**2).sum(0))
    r, g, b = together.T
    assert total.products == (int(r @ g), int(r @ b), int(g @ b))


@given(pictures=image_lists)
def test_mean_and_std_are_numpys(pictures: list[Pixels]) -> None:
    total = sum(map(channel_sums, pictures), ChannelStats())
    together = all_pixels(pictures).astype(np.float64)
    assert total.mean() == pytest.approx(together.mean(0), abs=1e-9)
    assert total.std() == pytest.approx(together.std(0), abs=1e-9)
    covariance = np.cov(together.T, bias=True)
    assert np.array(total.covariance()) == pytest.approx(covariance, abs=1e-9)


def test_flat_images_have_no_spread() -> None:
    for value in range(256):
        for width in range(1, 8):
            flat = channel_sums(np.full((1, width, 3), value, np.uint8))
            assert flat.std() == (0, 0, 0)


def test_a_spread_that_floats_would_lose_is_found() -> None:
    # A hundred thousand million samples of 200, and one of 201: the squares differ from the mean's
    # square by 1 in 10^15, which is what rounding alone would make of them.
    n = 10**11 + 1
    many = ChannelStats(
        images=10**6, pixels=n, sums=(200 * n + 1,) * 3, squares=(40_000 * n + 401,) * 3
    )
    variance = Fraction(1, n) - Fraction(1, n) ** 2  # of n - 1 zeros and a one
    assert many.mean() == (float(200 + Fraction(1, n)),) * 3
    assert many.std() == pytest.approx((math.sqrt(variance),) * 3, rel=1e-15)


def test_without_images_there_is_no_mean() -> None:
    assert ChannelStats().mean() is None
    assert ChannelStats().std() is None
    assert ChannelStats().moments() is None


@given(pictures=image_lists)
def test_sums_survive_json(pictures: list[Pixels]) -> None:
    stats = sum(map(channel_sums, pictures), ChannelStats())
    before = replace(stats, products=None)  # As versions wrote it that did not add products up.
    for each in (stats, before):
        assert ChannelStats.from_json(json.loads(json.dumps(each.to_json()))) == each
    assert "products" not in before.to_json()
    assert (before + stats).covariance() is None


def test_products_that_no_samples_have_are_refused() -> None:
    stats = channel_sums(np.array([[[0, 0, 0], [9, 9, 200]]], np.uint8)).to_json()
    assert stats["products"] == (81, 1800, 1800)
    # R and G are equal, so their products can be no other; nor those of G and B, given R and B.
    for forged in ([82, 1800, 1800], [80, 1800, 1800], [81, 1800, 1799], [-1, 0, 0], [81]):
        with pytest.raises(ValueError, match=r"^products: "):
            ChannelStats.from_json({**json.loads(json.dumps(stats)), "products": forged})


def test_gray_counts_as_three_equal_channels() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (7, 5, 1), np.uint8)
    assert channel_sums(pixels) == channel_sums(np.repeat(pixels, 3, axis=2))


@pytest.mark.parametrize(
    ("height", "width", "value"),
    [
        (4000, 3000, 255),  # 12 megapixels: squares sum up to far more than 32 bits
        (1, 65000, 255),  # one long row
        (65000, 1, 254),  # one long column
    ],
)
def test_sums_of_large_flat_images_are_exact(height: int, width: int, value: int) -> None:
    stats = channel_sums(np.full((height, width, 3), value, np.uint8))
    assert stats.sums == (height * width * value,) * 3
    assert stats.squares == (height * width * value**2,) * 3
    assert stats.products == stats.squares
    pixels = np.full((height, width, 3), (value, value - 1, 0), np.uint8)
    assert channel_sums(pixels).products == (height * width * value * (value - 1), 0, 0)


@pytest.mark.parametrize(
    "view",
    [
        np.s_[:, ::-1],  # mirrored
        np.s_[::-1, :],  # upside down
        np.s_[3:-5, 7:-2],  # cropped
        np.s_[::2, ::3],  # thinned out
        np.s_[:, :, ::-1],  # BGR
    ],
)
def test_sums_of_views_are_those_of_what_is_seen(view: tuple[slice, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (61, 47, 3), np.uint8)
    for seen in (pixels[view], pixels[view].transpose(1, 0, 2)):
        values = seen.astype(np.int64)
        assert channel_sums(seen).sums == exact(values.sum((0, 1)))
        assert channel_sums(seen).squares == exact((values**2).sum((0, 1)))
        r, g, b = values.reshape(-1, 3).T
        assert channel_sums(seen).products == (int(r @ g), int(r @ b), int(g @ b))
