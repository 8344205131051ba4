"""Geometry ``torchvision``: the numbers of its Resize and CenterCrop, to within a level."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from prep.config.model import Config
from prep.errors import ConfigError
from prep.images.fitting.fitter import make_fitter
from prep.images.fitting.framing import Framing, placement_of
from prep.images.processor import ImageProcessor
from prep.settings.choices import Fit, Geometry, Interpolation
from prep.settings.image_settings import ImageSettings, Size
from tests.support.pictures import Pixels, image_file, stored
from tests.support.torchvision_ops import load_torchvision

#: What torchvision calls a kernel is what Pillow calls it.
FILTERS: dict[Interpolation, Image.Resampling] = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "cubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
GEOMETRIES: tuple[Geometry, ...] = ("exact", "torchvision")
SHAPES = [
    (75, 101),  # the longer side is rounded down, and its margin is odd
    (75, 100),  # a margin of half a pixel, which is rounded to even
    (101, 60),  # upright
    (48, 48),  # as large as asked for
    (48, 61),  # so high already
    (20, 77),  # enlarged
    (300, 1001),  # much larger
]


def fitted(data: bytes, **changed: Any) -> Pixels:
    asked = {"geometry": "torchvision", "background": (0, 0, 0), **changed}
    return ImageProcessor(ImageSettings(**asked)).pixels(data).copy()


def resized_then_cropped(
    image: Image.Image, size: int, fit: Fit, kernel: Image.Resampling
) -> Pixels:
    """Resize the whole image with Pillow and crop it, with the roundings of torchvision."""
    width, height = image.size
    by = max(width, height) if fit == "pad" else min(width, height)
    whole = image.resize((int(size * width / by), int(size * height / by)), kernel)
    if fit == "shorter":
        return np.asarray(whole)
    if fit == "pad":
        padded = Image.new("RGB", (size, size))
        padded.paste(whole, ((size - whole.width) // 2, (size - whole.height) // 2))
        return np.asarray(padded)
    left = round((whole.width - size) / 2.0)
    top = round((whole.height - size) / 2.0)
    return np.asarray(whole.crop((left, top, left + size, top + size)))


def difference(found: Pixels, expected: Pixels) -> int:
    assert found.shape == expected.shape
    return int(np.abs(found.astype(int) - expected).max())


def noise(height: int, width: int) -> Pixels:
    return np.random.default_rng(height + width).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("interpolation", FILTERS)
@pytest.mark.parametrize("fit", ["crop", "shorter", "pad"])
@pytest.mark.parametrize(("height", "width"), SHAPES)
def test_it_is_the_whole_image_resized_and_then_cropped_to_a_level(
    height: int, width: int, fit: Fit, interpolation: Interpolation
) -> None:
    image = Image.fromarray(noise(height, width))
    expected = resized_then_cropped(image, 48, fit, FILTERS[interpolation])
    asked: dict[str, Any] = {"size": 48, "fit": fit, "interpolation": interpolation}
    # Two passes round; and bicubic's weights have 16 bits, and make most of noise.
    most = 2 if interpolation == "bicubic" else 1
    assert difference(fitted(image_file(image, "PNG"), **asked), expected) <= most


@given(
    height=st.integers(1, 3000),
    width=st.integers(1, 3000),
    size=st.one_of(st.sampled_from((224, 256)), st.integers(1, 600)),
)
def test_the_part_is_what_torchvision_leaves_of_the_whole(
    height: int, width: int, size: int
) -> None:
    part = placement_of(Framing(size, size, geometry="torchvision"), height, width)
    short, long = sorted((height, width))
    whole = {short: size, long: int(size * long / short)}  # by the length of a side
    box = part.box(height, width)
    for length, start, kept in ((height, box.top, box.height), (width, box.left, box.width)):
        pixels = whole[length]
        crop = round((pixels - size) / 2.0)
        assert start == pytest.approx(crop * length / pixels, abs=1e-6)
        assert kept == pytest.approx(size * length / pixels, abs=1e-6)
        assert -1e-9 < start <= start + kept < length + 1e-6


@pytest.mark.parametrize("orientation", range(2, 9))
def test_an_image_is_turned_upright_first(orientation: int) -> None:
    # Where the image is shown turned or mirrored, half a pixel is cut off on the other side.
    for height, width in ((75, 101), (101, 76)):
        upright, asked = noise(height, width), {"size": 48, "interpolation": "cubic"}
        expected = fitted(image_file(upright, "PNG"), **asked)
        assert np.array_equal(fitted(stored(upright, orientation, "PNG"), **asked), expected)


def test_a_margin_that_is_odd_moves_the_part_by_half_a_pixel_of_the_result() -> None:
    ramp = np.arange(0, 250, 2, dtype=np.uint8)
    data = image_file(np.tile(ramp[:, None, None], (1, 75, 3)), "PNG")
    for size, expected in (
        (30, (0,)),  # The whole is 30 × 50, so the margin is 10 on either side.
        (26, (2, 3)),  # The whole is 26 × 43; 8.5 is rounded to 8. Half a pixel is 1.45 of 125.
    ):
        exact, rounded = (
            int(fitted(data, size=size, interpolation="cubic", geometry=how)[size // 2, 0, 0])
            for how in GEOMETRIES
        )
        assert exact - rounded in expected


def test_no_decoder_shrinks_an_image() -> None:
    exact, rounded = (make_fitter(Framing(64, 64, geometry=how), "cubic") for how in GEOMETRIES)
    assert exact.factor(1000, 1000, 1) > rounded.factor(1000, 1000, 1) == 1


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"interpolation": "area"}, "otherwise than interpolation area; use bilinear or bicubic"),
        ({"interpolation": "linear"}, "otherwise than interpolation linear; use bilinear"),
        ({"enlarge": "never"}, "whose Resize enlarges small images, and enlarge never; leave"),
        ({"size": "32x48"}, "takes one number with fit crop, and size 32x48; use a square size"),
        ({"size": "32x48", "fit": "pad"}, "with fit pad, and size 32x48"),
        ({"geometry": "keras"}, "geometry: got 'keras'; expected exact or torchvision"),
    ],
)
def test_what_torchvision_has_no_transform_for_is_an_error(
    changed: dict[str, Any], said: str
) -> None:
    asked = {"geometry": "torchvision", "interpolation": "cubic", **changed}
    with pytest.raises(ConfigError) as caught:
        Config(source="photos", output="out", **asked)
    assert said in str(caught.value)


def test_stretch_takes_both_sides_as_resize_does() -> None:
    asked: dict[str, Any] = {"size": "32x48", "fit": "stretch", "interpolation": "cubic"}
    Config(source="photos", output="out", geometry="torchvision", **asked)
    image = Image.fromarray(noise(75, 101))
    found = fitted(image_file(image, "PNG"), **asked | {"size": Size(32, 48)})
    expected = np.asarray(image.resize((48, 32), Image.Resampling.BICUBIC))
    assert difference(found, expected) <= 1


@pytest.mark.slow
@pytest.mark.parametrize("interpolation", FILTERS)
def test_photos_are_to_a_level_as_torchvision_makes_them(
    interpolation: Interpolation, photos: Path
) -> None:
    load_torchvision()
    from torchvision.transforms import v2

    mode = v2.InterpolationMode(FILTERS[interpolation].name.lower())
    transforms: dict[Fit, Callable[[Any], Any]] = {
        "crop": v2.Compose([v2.Resize(256, mode), v2.CenterCrop(256)]),
        "shorter": v2.Resize(256, mode),
        "stretch": v2.Resize((256, 256), mode),
        "pad": v2.Compose([v2.Resize(None, mode, max_size=256), v2.CenterCrop(256)]),
    }
    assert transforms.keys() == {*get_args(Fit)}
    evaluated = v2.Compose([v2.Resize(256, mode), v2.CenterCrop(224)])
    files = sorted(photos.glob("*/*/*.JPEG"))[::10]
    assert len(files) > 45
    for fit, transform in transforms.items():
        asked: dict[str, Any] = {"fit": fit, "interpolation": interpolation}
        settings = ImageSettings(geometry="torchvision", background=(0, 0, 0), **asked)
        process, beyond, samples = ImageProcessor(settings), 0, 0
        for file in files:
            with Image.open(file) as image:
                if image.height > image.width and interpolation in ("cubic", "lanczos"):
                    continue  # Pillow 13 may begin with its columns.
                upright = ImageOps.exif_transpose(image).convert("RGB")
                expected = np.asarray(transform(upright))
            if fit == "crop":
                smaller = np.asarray(evaluated(upright))
                assert np.array_equal(expected[16:-16, 16:-16], smaller)
            off = np.abs(process.pixels(file.read_bytes()).astype(int) - expected)
            assert off.max() <= 2, (file, fit)
            beyond += int((off > 1).sum())
            samples += off.size
        # All of them round twice, and Pillow has the edges of a box in single precision.
        most = 1e-4 if interpolation in ("cubic", "lanczos") else 1e-5
        assert beyond / samples < most
