"""Results of every size and fit: where they lie in the image, and what they show."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from pathlib import Path
from typing import Any, get_args

import cv2
import numpy as np
import pytest
import simplejpeg
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from PIL import Image

from prep.errors import RefusedImage
from prep.images.fitting.axes import whole_axis
from prep.images.fitting.fitter import make_fitter
from prep.images.fitting.framing import Framing, Placement, placement_of
from prep.images.fitting.resizer import Resizer
from prep.images.processor import ImageProcessor
from prep.settings.choices import Enlarge, Fit, Interpolation
from prep.settings.image_settings import ImageSettings, Size
from tests.support.pictures import Pixels, image_file, picture, psnr

lengths = st.one_of(st.integers(1, 600), st.integers(1, 30_000))
sides = st.one_of(st.sampled_from((224, 336)), st.integers(1, 4096))
frames = st.builds(
    Framing, sides, sides, st.sampled_from(get_args(Fit)), st.sampled_from(get_args(Enlarge))
)
#: One of each of the two methods.
KERNELS: tuple[Interpolation, ...] = ("area", "cubic")
RED = (200, 10, 30)


def fitted(data: bytes, **changed: Any) -> Pixels:
    return ImageProcessor(ImageSettings(**changed)).pixels(data).copy()


# --- arithmetic -----------------------------------------------------------------------------------


def placed(framing: Framing, height: int, width: int) -> Placement:
    """The placement of an image whose result is not too long."""
    try:
        return placement_of(framing, height, width)
    except RefusedImage:
        assert framing.fit == "shorter"
        reject()


@given(framing=frames, height=lengths, width=lengths)
def test_the_part_lies_in_the_image_and_keeps_its_aspect_unless_stretched(
    framing: Framing, height: int, width: int
) -> None:
    part = placed(framing, height, width)
    rows, columns, *result, scale, resized = part[:6]
    assert 0 < rows <= height
    assert 0 < columns <= width
    if not resized:
        assert (rows, columns) == tuple(result)
    elif framing.fit != "stretch":
        for kept, side in zip((rows, columns), result, strict=True):
            assert side == 1 or abs(kept / scale - side) <= Fraction(1, 2)


@given(framing=frames, height=lengths, width=lengths)
def test_each_fit_is_what_it_is_called(framing: Framing, height: int, width: int) -> None:
    rows, columns, *result = placed(framing, height, width)[:4]
    asked = [framing.height, framing.width]
    if framing.fit != "crop":
        assert (rows, columns) == (height, width)
    if framing.enlarge == "never":
        assert result[0] <= max(rows, 1)
        assert result[1] <= max(columns, 1)
    if framing.fit == "pad":
        assert result[0] <= asked[0]
        assert result[1] <= asked[1]
        assert framing.enlarge == "never" or result[0] == asked[0] or result[1] == asked[1]
    elif framing.enlarge == "always":
        assert result == asked or framing.fit == "shorter"
        assert result[0] >= asked[0]
        assert result[1] >= asked[1]
        assert result[0] == asked[0] or result[1] == asked[1]
    larger = result[0] > rows or result[1] > columns
    assert framing.enlarges(height, width) == larger or framing.fit in ("pad", "shorter")


@given(framing=frames, height=lengths, width=lengths)
def test_turned_on_its_side_with_the_frame_it_is_the_same(
    framing: Framing, height: int, width: int
) -> None:
    turned = Framing(framing.width, framing.height, framing.fit, framing.enlarge)
    assert placed(framing, height, width) == placement_of(turned, width, height).transposed()


@given(
    framing=frames,
    height=lengths,
    width=lengths,
    flipped=st.booleans(),
    factor=st.sampled_from((1, 2, 4, 8)),
)
def test_whole_pixels_are_within_half_a_pixel_of_the_part(
    framing: Framing, height: int, width: int, flipped: bool, factor: int
) -> None:
    part = placed(framing, height, width)
    factor = factor if part.scale >= factor else 1
    for length, kept, size in (
        (height, part.kept_rows, part.height),
        (width, part.kept_columns, part.width),
    ):
        axis = whole_axis(length, kept, size, factor=factor, flipped=flipped)
        assert 0 <= axis.start < axis.start + axis.length <= -(-length // factor)
        assert 0 <= axis.trim <= axis.trim + size <= axis.resized
        pixel = Fraction(axis.length * factor, axis.resized)  # of the result, in source pixels
        start = axis.start * factor + axis.trim * pixel
        centre = start + size * pixel / 2
        slack = max(pixel, factor, 1)  # of the result, or of what the decoder left
        assert abs(centre - Fraction(length, 2)) <= slack / 2
        assert abs(size * pixel - kept) <= slack


@given(framing=frames, height=lengths, width=lengths)
def test_settings_know_which_sizes_results_may_have(
    framing: Framing, height: int, width: int
) -> None:
    result = placed(framing, height, width)[2:4]
    asked = ImageSettings(
        size=Size(framing.height, framing.width),
        fit=framing.fit,
        enlarge=framing.enlarge,
        max_aspect=max(height, width) / min(height, width),
    )
    assert framing.fit == "pad" or asked.may_have(*result)
    assert math.prod(result) <= math.prod(asked.largest)
    assert max(result) <= max(asked.largest)


def test_a_result_that_no_format_could_hold_is_refused_before_it_is_decoded() -> None:
    data = image_file(np.zeros((20, 4000, 3), np.uint8), "JPEG")
    assert fitted(data, size=64, fit="shorter").shape == (64, 12_800, 3)
    with pytest.raises(RefusedImage, match="would become 51,200 × 256; the longer side"):
        fitted(data, size=256, fit="shorter")


def test_the_table_in_the_documents_is_true() -> None:
    text = (Path(__file__).parents[2] / "docs/what-becomes-of-an-image.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (.*(?:224|252) × .*) \| (.*) \| (.*) \|$", text, re.M)
    assert [fit for fit, *_ in rows] == ["crop", "pad", "stretch", "shorter"]
    shapes: list[tuple[int, int, Enlarge]] = [
        (300, 400, "always"),
        (150, 200, "always"),
        (150, 200, "never"),
    ]
    for fit, *cells in rows:
        for (height, width, enlarge), cell in zip(shapes, cells, strict=True):
            part = placement_of(Framing(224, 336, fit, enlarge), height, width)
            said = f"{part.height} × {part.width}"
            if fit == "crop" and part.resized:
                said += f", of the central {round(part.kept_rows)} × {round(part.kept_columns)}"
            assert cell == (f"{said} on 224 × 336" if fit == "pad" else said)


# --- pixels ---------------------------------------------------------------------------------------


def reference(pixels: Pixels, framing: Framing) -> Pixels:
    """What Pillow makes of the exact part, without padding."""
    height, width, _ = pixels.shape
    part = placement_of(framing, height, width)
    top, left, rows, columns = part.box(height, width)
    box = (left, top, left + columns, top + rows)
    image = Image.fromarray(pixels)
    return np.asarray(image.resize((part.width, part.height), Image.Resampling.BICUBIC, box))


@pytest.mark.parametrize("interpolation", KERNELS)
@pytest.mark.parametrize("fit", get_args(Fit))
@pytest.mark.parametrize(
    ("height", "width"),
    [
        (300, 400),  # a photo
        (401, 300),  # a portrait, with an odd margin
        (150, 1000),  # a panorama
        (70, 60),  # enlarged
        (40, 400),  # enlarged along one axis alone
    ],
)
def test_pictures_are_as_pillow_resizes_the_exact_part(
    height: int, width: int, fit: Fit, interpolation: Interpolation
) -> None:
    pixels, framing = smooth(height, width), Framing(96, 144, fit)
    found = fitted(
        image_file(pixels, "PNG"),
        size=Size(96, 144),
        fit=fit,
        interpolation=interpolation,
        background=RED,
    )
    expected = reference(pixels, framing)
    if fit == "pad":
        top, left = (96 - expected.shape[0]) // 2, (144 - expected.shape[1]) // 2
        canvas = np.full((96, 144, 3), RED, np.uint8)
        canvas[top : top + expected.shape[0], left : left + expected.shape[1]] = expected
        expected = canvas
    assert found.shape == expected.shape
    assert psnr(found, expected) > (50 if interpolation == "cubic" else 34)


def smooth(height: int, width: int) -> Pixels:
    """Waves of all directions, that any good resizing keeps."""
    y, x = np.mgrid[:height, :width] / min(height, width) * 6
    waves = [np.sin(3 * x + y), np.cos(2 * y - x), np.sin(x * 2) * np.cos(y)]
    return np.rint(127.5 + 100 * np.stack(waves, axis=2)).astype(np.uint8)


@pytest.mark.parametrize("interpolation", KERNELS)
@pytest.mark.parametrize("fit", get_args(Fit))
@pytest.mark.parametrize("enlarge", get_args(Enlarge))
def test_however_it_is_stored_it_is_the_same_picture(
    interpolation: Interpolation, fit: Fit, enlarge: Enlarge
) -> None:
    asked = {"size": Size(48, 64), "fit": fit, "enlarge": enlarge, "interpolation": interpolation}
    for height, width in ((75, 100), (101, 40), (30, 41)):
        upright = Image.fromarray(picture(height, width))
        expected = fitted(image_file(upright, "PNG"), **asked)
        for orientation, method in enumerate(STORED, start=2):
            exif = Image.Exif()
            exif[0x0112] = orientation
            found = fitted(image_file(upright.transpose(method), "PNG", exif=exif), **asked)
            assert found.shape == expected.shape
            # OpenCV rounds a mirrored row its own way.
            assert np.abs(found.astype(int) - expected).max() <= (
                2 if interpolation == "area" else 0
            )


#: How to store a picture so that Exif orientations 2 to 8 turn it upright.
STORED = (
    Image.Transpose.FLIP_LEFT_RIGHT,
    Image.Transpose.ROTATE_180,
    Image.Transpose.FLIP_TOP_BOTTOM,
    Image.Transpose.TRANSPOSE,
    Image.Transpose.ROTATE_90,
    Image.Transpose.TRANSVERSE,
    Image.Transpose.ROTATE_270,
)


@settings(max_examples=40)
@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    framing=st.builds(
        Framing,
        st.integers(1, 60),
        st.integers(1, 60),
        st.sampled_from(get_args(Fit)),
        st.sampled_from(get_args(Enlarge)),
    ),
    interpolation=st.sampled_from(get_args(Interpolation)),
)
def test_a_flat_image_stays_flat(
    height: int, width: int, framing: Framing, interpolation: Interpolation
) -> None:
    flat = image_file(np.full((height, width, 3), RED, np.uint8), "PNG")
    found = fitted(
        flat,
        size=Size(framing.height, framing.width),
        fit=framing.fit,
        enlarge=framing.enlarge,
        interpolation=interpolation,
        background=RED,
    )
    assert (found == RED).all()
    if framing.fit == "pad":
        assert found.shape[:2] == (framing.height, framing.width)
    else:
        assert found.shape[:2] == placement_of(framing, height, width)[2:4]


@pytest.mark.parametrize("interpolation", get_args(Interpolation))
def test_what_is_not_enlarged_is_copied(interpolation: Interpolation) -> None:
    pixels = picture(31, 40)
    asked: dict[str, Any] = {"enlarge": "never", "interpolation": interpolation, "size": 64}
    data = image_file(pixels, "PNG")
    assert np.array_equal(fitted(data, **asked), pixels[:, 4:35])  # The exact start is 4.5.
    for fit in ("shorter", "stretch"):
        assert np.array_equal(fitted(data, fit=fit, **asked), pixels)
    padded = fitted(data, fit="pad", background=RED, **asked)
    assert np.array_equal(padded[16:47, 12:52], pixels)
    padded[16:47, 12:52] = RED
    assert (padded == RED).all()
    # Larger images are made smaller all the same.
    assert fitted(image_file(picture(80, 90), "PNG"), **asked).shape == (64, 64, 3)


@pytest.mark.parametrize("fit", get_args(Fit))
def test_a_jpeg_is_shrunk_while_it_is_decoded_as_far_as_both_axes_allow(fit: Fit) -> None:
    image = Image.fromarray(smooth(600, 1000))
    asked: dict[str, Any] = {"size": Size(50, 75), "fit": fit}  # A twelfth of the height.
    shrinks = make_fitter(Framing(50, 75, fit), "area")
    assert shrinks.factor(600, 1000, 1) == 4  # 8 would leave less than twice the height.
    assert shrinks.factor(1000, 600, 6) == 4  # The same, stored on its side.
    whole = fitted(image_file(image, "PNG"), **asked)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = image.transpose(Image.Transpose.ROTATE_90)
    for stored, about in ((image, Image.Exif()), (turned, exif)):
        data = image_file(stored, "JPEG", quality=100, subsampling=0, exif=about)
        shrunk = fitted(data, **asked)
        assert shrunk.shape == whole.shape
        assert psnr(shrunk, whole) > 34


def test_an_axis_that_shrinks_does_not_alias_where_the_other_grows() -> None:
    grating = np.tile(np.rint(127.5 + 120 * np.sin(2.9 * np.arange(400))).astype(np.uint8), (40, 1))
    pixels = np.repeat(grating[:, :, None], 3, axis=2)
    found = Resizer("area").resize(pixels, 96, 96)
    assert cv2.resize(pixels, (96, 96), interpolation=cv2.INTER_CUBIC).std() > 40
    assert found.std() < 20


# --- gray -----------------------------------------------------------------------------------------


def test_gray_is_the_luma_of_what_would_have_been_in_colour() -> None:
    data = image_file(picture(80, 120), "PNG")
    colours = fitted(data, size=32).astype(float)
    gray = fitted(data, size=32, mode="gray")
    assert gray.shape == (32, 32, 1)
    assert np.abs(gray[..., 0] - colours @ (0.299, 0.587, 0.114)).max() <= 1


def test_gray_records_are_jpegs_of_one_component_and_count_three_times() -> None:
    processed = ImageProcessor(ImageSettings(size=Size(24, 32), mode="gray", quality=100))(
        image_file(picture(80, 120), "PNG")
    )
    assert simplejpeg.decode_jpeg_header(processed.image)[:3] == (24, 32, "Gray")
    pixels = simplejpeg.decode_jpeg(processed.image, "GRAY")[..., 0]
    stats = processed.stats
    assert stats.pixels == 24 * 32
    assert len({*stats.sums}) == len({*stats.squares}) == 1
    assert abs(stats.sums[0] / stats.pixels - pixels.mean()) < 0.5
    assert processed.grid is not None
    assert processed.grid.shape == (24, 24, 3)
    assert (processed.grid == processed.grid[..., :1]).all()


def test_gray_vectors_have_one_number_per_pixel() -> None:
    data = image_file(picture(80, 120), "PNG")
    asked: dict[str, Any] = {"size": Size(24, 32), "mode": "gray"}
    pixels = fitted(data, **asked)
    raw = ImageProcessor(ImageSettings(**asked, encoding="raw"))(data).image
    assert raw == pixels.tobytes()
    settings = ImageSettings(**asked, encoding="float32", mean=(1.5, 1.5, 1.5))
    assert ImageProcessor(settings)(data).image == (pixels - np.float32(1.5)).tobytes()
