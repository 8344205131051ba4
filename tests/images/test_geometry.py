"""The position of the centre crop, and the quality of resizing."""

from __future__ import annotations

from fractions import Fraction

import cv2
import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from prep.images.fitting.axes import Axis, whole_axis
from prep.images.fitting.framing import Framing, placement_of
from prep.images.fitting.resizer import Resizer
from prep.images.geometry import Box, shrink_factor
from prep.settings.choices import Interpolation
from tests.support.pictures import Pixels, picture, psnr

lengths = st.one_of(st.integers(1, 600), st.integers(1, 65500))
sizes = st.one_of(st.sampled_from((224, 256)), st.integers(1, 4096))
interpolations: tuple[Interpolation, ...] = ("area", "linear")  # For the others see test_crop.py.


def fit_crop(
    height: int, width: int, size: int, *, flip_rows: bool = False, flip_columns: bool = False
) -> tuple[Axis, Axis]:
    """The rows and the columns of the square crop."""
    placement = placement_of(Framing(size, size), height, width)
    return (
        whole_axis(height, placement.kept_rows, size, flipped=flip_rows),
        whole_axis(width, placement.kept_columns, size, flipped=flip_columns),
    )


def exact_crop(height: int, width: int, factor: int) -> Box:
    return placement_of(Framing(256, 256), height, width).box(height, width, factor)


def seen(axis: Axis, size: int) -> tuple[Fraction, Fraction, Fraction]:
    """(where it begins, where it ends, what one pixel of the result covers), in source pixels."""
    start, length, resized, trim = axis
    pixel = Fraction(length, resized)
    return start + trim * pixel, start + (trim + size) * pixel, pixel


@given(height=lengths, width=lengths, size=sizes, flip_rows=st.booleans(), flip_cols=st.booleans())
def test_the_crop_lies_within_the_image(
    height: int, width: int, size: int, flip_rows: bool, flip_cols: bool
) -> None:
    rows, columns = fit_crop(height, width, size, flip_rows=flip_rows, flip_columns=flip_cols)
    for length, (start, taken, resized, trim) in ((height, rows), (width, columns)):
        assert 0 <= start < start + taken <= length
        assert 0 <= trim <= trim + size <= resized


@given(height=lengths, width=lengths, size=sizes, flipped=st.booleans())
def test_its_centre_is_the_images_to_half_a_pixel(
    height: int, width: int, size: int, flipped: bool
) -> None:
    rows, columns = fit_crop(height, width, size, flip_rows=flipped, flip_columns=flipped)
    for length, axis in ((height, rows), (width, columns)):
        begin, end, pixel = seen(axis, size)
        assert abs((begin + end) / 2 - Fraction(length, 2)) <= pixel / 2


@given(height=lengths, width=lengths, size=sizes)
def test_it_shows_the_shorter_side_and_keeps_the_aspect(height: int, width: int, size: int) -> None:
    rows, columns = fit_crop(height, width, size)
    for axis in (rows, columns):
        begin, end, pixel = seen(axis, size)
        assert abs((end - begin) - min(height, width)) < pixel  # Most often they are the same.


@given(height=lengths, width=lengths, size=sizes)
def test_flipped_it_is_the_mirror_image(height: int, width: int, size: int) -> None:
    upright = fit_crop(height, width, size)
    flipped = fit_crop(height, width, size, flip_rows=True, flip_columns=True)
    for length, axis, other in zip((height, width), upright, flipped, strict=True):
        begin, end, _ = seen(axis, size)
        assert seen(other, size)[:2] == (length - end, length - begin)


@given(height=lengths, width=lengths, size=sizes)
def test_turned_on_its_side_it_is_the_same(height: int, width: int, size: int) -> None:
    assert fit_crop(height, width, size) == fit_crop(width, height, size)[::-1]


@pytest.mark.parametrize(
    ("height", "width"),
    [
        (1, 65000),  # one row, with an odd margin
        (65000, 1),  # the same upright
        (3, 65500),  # the widest that a JPEG can be
        (1, 1),  # one pixel
    ],
)
def test_no_shape_needs_more_than_twice_the_crop(height: int, width: int) -> None:
    rows, columns = fit_crop(height, width, 256)
    assert rows.length * columns.length <= (min(height, width) + 1) ** 2
    assert max(rows.resized, columns.resized) <= 2 * 256
    strip = np.zeros((height, width, 3), np.uint8)[rows.start :, columns.start :]
    resized = Resizer("area").resize(
        strip[: rows.length, : columns.length], rows.resized, columns.resized
    )
    assert resized.shape == (rows.resized, columns.resized, 3)


@given(height=lengths, width=lengths, factor=st.sampled_from((1, 2, 4, 8)))
def test_the_exact_crop_is_central_and_within_the_image(
    height: int, width: int, factor: int
) -> None:
    top, left, side, columns = exact_crop(height, width, factor)
    assert side * factor == columns * factor == min(height, width)
    for length, start in ((height, top), (width, left)):
        assert start >= 0
        assert start + side <= -(-length // factor)  # of the pixels that there are
        assert (2 * start + side) * factor == length


@given(short=st.integers(1, 70000), size=sizes)
@example(short=512, size=256)  # half of it is just enough
@example(short=511, size=256)  # and here just too little
def test_the_decoder_shrinks_as_much_as_the_crop_allows(short: int, size: int) -> None:
    factor = shrink_factor(short, size)
    assert factor in (1, 2, 4, 8)
    assert factor == 1 or short // factor >= size
    assert factor == 8 or short < 2 * factor * size


@settings(max_examples=60)
@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    size=st.integers(1, 60),
    interpolation=st.sampled_from(interpolations),
    value=st.integers(0, 255),
)
def test_a_flat_image_stays_flat_and_gets_the_size(
    height: int, width: int, size: int, interpolation: Interpolation, value: int
) -> None:
    rows, columns = fit_crop(height, width, size)
    shape = (rows.resized, columns.resized, 3)
    flat = np.full((rows.length, columns.length, 3), value, np.uint8)
    resized = Resizer(interpolation).resize(flat, *shape[:2])
    assert resized.shape == shape
    assert (resized == value).all()


@given(size=st.integers(1, 40), interpolation=st.sampled_from(interpolations))
def test_what_fits_already_is_not_touched(size: int, interpolation: Interpolation) -> None:
    pixels = picture(size, size)
    assert np.array_equal(Resizer(interpolation).resize(pixels, size, size), pixels)


def test_a_second_image_is_not_mixed_up_with_the_first() -> None:
    resizer, fresh = Resizer("area"), Resizer("area")
    first = resizer.resize(picture(100, 100, 1), 64, 64)  # By way of memory that is kept.
    kept = first.copy()
    assert np.array_equal(
        resizer.resize(picture(90, 90, 2), 64, 64), fresh.resize(picture(90, 90, 2), 64, 64)
    )
    assert np.array_equal(first, kept)


def grating(size: int, cycles_per_pixel: float) -> Pixels:
    wave = 127.5 + 120 * np.sin(2 * np.pi * cycles_per_pixel * np.arange(size) + 0.3)
    return np.tile(np.rint(wave).astype(np.uint8)[:, None], (size, 1, 3))


@settings(max_examples=60)
@given(ratio=st.floats(1.3, 2) | st.floats(1, 5), above=st.floats(1.05, 1.95))
def test_what_the_result_cannot_hold_is_suppressed_as_by_opencvs_area(
    ratio: float, above: float
) -> None:
    frequency = above * 0.5 / ratio  # ``above`` times the highest that the result can hold
    assume(frequency <= 0.5)
    pixels = grating(round(96 * ratio), frequency)
    ours = Resizer("area").resize(pixels, 96, 96)
    opencvs = np.asarray(cv2.resize(pixels, (96, 96), interpolation=cv2.INTER_AREA))
    # What is left of it is all alias. A hundredth more, and rounding, are no difference.
    assert ours.std() <= 1.01 * opencvs.std() + 0.5


def detailed(size: int) -> Pixels:
    """Noise of several sizes, the finest of them about two pixels wide."""
    layers = [
        Image.fromarray(np.random.default_rng(n).integers(0, 256, (n, n, 3), np.uint8))
        for n in (4, size // 12, size // 6, size // 2)
    ]
    smooth = [np.asarray(i.resize((size, size), Image.Resampling.BICUBIC)) for i in layers]
    return np.mean(smooth, axis=0).astype(np.uint8)


def antialiased(pixels: Pixels, size: int) -> Pixels:
    """Pillow's bicubic, which widens its filter when it shrinks: an independent reference."""
    return np.asarray(Image.fromarray(pixels).resize((size, size), Image.Resampling.BICUBIC))


@pytest.mark.parametrize(
    "ratio",
    [
        0.4,  # enlarged
        0.9,  # a little
        1.1,  # INTER_AREA
        1.29,  # the last of that
        1.3,  # supersampling
        1.5,  # where ImageNet's photos are
        1.99,  # the last of that
        2.0,  # each 2 × 2 averaged
        3.7,  # INTER_AREA again
    ],
)
def test_area_is_close_to_antialiased_bicubic(ratio: float) -> None:
    pixels = detailed(round(128 * ratio))
    assert psnr(Resizer("area").resize(pixels, 128, 128), antialiased(pixels, 128)) > 38


def test_area_does_not_alias_where_linear_does() -> None:
    pixels = detailed(5 * 128)
    reference = antialiased(pixels, 128)
    area, linear = (Resizer(k).resize(pixels, 128, 128) for k in ("area", "linear"))
    assert psnr(area, reference) > psnr(linear, reference) + 6  # half the error, at least
