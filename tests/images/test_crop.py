"""``cubic``, ``lanczos`` and others: no aliasing, and the exact centre."""

from __future__ import annotations

import io
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import simplejpeg
from PIL import Image

from prep.images.processor import ImageProcessor
from prep.settings.choices import Interpolation
from prep.settings.image_settings import ImageSettings
from tests.support.pictures import Pixels, image_file, picture, psnr

EXACT: tuple[Interpolation, ...] = ("cubic", "lanczos")
FILTERS = {"cubic": Image.Resampling.BICUBIC, "lanczos": Image.Resampling.LANCZOS}


def square(data: bytes, size: int, interpolation: Interpolation) -> Pixels:
    return ImageProcessor(ImageSettings(size=size, interpolation=interpolation)).pixels(data).copy()


# --- aliasing -------------------------------------------------------------------------------------


def zone_plate(side: int) -> Pixels:
    """Rings that become finer outwards: half a cycle a pixel at the middle of each edge."""
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    rings = 127.5 + 127.5 * np.cos(np.pi * (x * x + y * y) / side)
    return np.tile(np.rint(rings).astype(np.uint8)[:, :, None], 3)


def contrasts(
    plate: bytes, side: int, size: int, interpolation: Interpolation
) -> tuple[float, float]:
    """(of the rings that the result can hold, of what is left of finer ones), in levels.

    That is the standard deviation where the rings are at most 0.6 and at least 1.25 times as fine
    as the finest that ``size`` pixels can show. Of the latter, all that is left is alias.
    """
    found = square(plate, size, interpolation)[:, :, 0]
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    fineness = np.hypot(x, y) / (size / 2) * (side / size)
    held, beyond = fineness < 0.6, (fineness > 1.25) & (fineness < 0.95 * side / size)
    return float(found[held].std()), float(found[beyond].std())


@pytest.mark.parametrize("side", [400, 768, 1000])
def test_cubic_and_lanczos_do_not_alias_and_keep_detail(side: int) -> None:
    plate = image_file(zone_plate(side), "PNG")
    found = {name: contrasts(plate, side, 256, name) for name in get_args(Interpolation)}
    for name in ("bicubic", *EXACT):
        assert found[name][1] < found["linear"][1] / 2
        assert found[name][1] < found["area"][1]
        assert found[name][0] > 80  # of 90


# --- against other implementations ----------------------------------------------------------------

SHAPES = [
    (75, 100),  # an odd margin: the centre is half a pixel off
    (75, 101),  # an even one
    (20, 77),  # enlarged, where half a pixel is most
    (48, 48),  # of the right size already
    (48, 61),  # and with a margin
    (300, 1001),  # much larger
    (1, 65),  # one row
]


@pytest.mark.parametrize("interpolation", EXACT)
@pytest.mark.parametrize(("height", "width"), SHAPES)
def test_wide_images_are_to_the_level_as_pillow_resizes_the_exact_centre(
    height: int, width: int, interpolation: Interpolation
) -> None:
    image = Image.fromarray(noise(height, width))
    left = (width - height) / 2
    box = (left, 0, left + height, height)
    reference = image.resize((48, 48), FILTERS[interpolation], box)
    found = square(image_file(image, "PNG"), 48, interpolation)
    assert np.abs(found.astype(int) - np.asarray(reference)).max() <= 1  # Weights are rounded.


def noise(height: int, width: int) -> Pixels:
    return np.random.default_rng(height + width).integers(0, 256, (height, width, 3), np.uint8)


def weights(length: int, start: float, side: float, size: int) -> np.ndarray:
    """(size, length): how much of each source pixel is in each pixel of the result, by cubic.

    Keys, "Cubic convolution interpolation for digital image processing", 1981, with a = -1/2,
    stretched over what a pixel of the result covers.
    """
    scale = side / size
    centres = start + (np.arange(size) + 0.5) * scale
    distance = np.abs(np.arange(length) + 0.5 - centres[:, None]) / max(scale, 1)
    near = 1.5 * distance**3 - 2.5 * distance**2 + 1
    far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
    found = np.where(distance < 1, near, np.where(distance < 2, far, 0))
    return found / found.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(("height", "width"), [*SHAPES, (101, 75), (100, 75), (65, 1)])
def test_cubic_is_the_textbooks_convolution_of_the_exact_centre(height: int, width: int) -> None:
    pixels, side = noise(height, width), min(height, width)
    columns = weights(width, (width - side) / 2, side, 48)
    rows = weights(height, (height - side) / 2, side, 48)
    narrow = np.rint(np.einsum("yxc,nx->ync", pixels, columns)).clip(0, 255)
    reference = np.rint(np.einsum("ync,my->mnc", narrow, rows)).clip(0, 255)
    found = square(image_file(pixels, "PNG"), 48, "cubic")
    assert np.abs(found - reference).max() <= 2  # In two steps, each rounds a half its own way.


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", *EXACT])
@pytest.mark.parametrize("orientation", range(2, 9))
def test_it_is_the_same_picture_however_it_is_stored(
    orientation: int, interpolation: Interpolation
) -> None:
    upright = Image.fromarray(noise(75, 100))
    stored = {
        2: (Image.Transpose.FLIP_LEFT_RIGHT,),
        3: (Image.Transpose.ROTATE_180,),
        4: (Image.Transpose.FLIP_TOP_BOTTOM,),
        5: (Image.Transpose.TRANSPOSE,),
        6: (Image.Transpose.ROTATE_90,),
        7: (Image.Transpose.TRANSVERSE,),
        8: (Image.Transpose.ROTATE_270,),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = image_file(upright.transpose(stored[0]), "PNG", exif=exif)
    assert np.array_equal(
        square(data, 48, interpolation),
        square(image_file(upright, "PNG"), 48, interpolation),
    )


@pytest.mark.parametrize("interpolation", EXACT)
def test_a_large_image_goes_through_in_bands_without_a_seam(interpolation: Interpolation) -> None:
    pixels = noise(700, 900)  # ten bands
    reference = Image.fromarray(pixels).resize((64, 64), FILTERS[interpolation], (100, 0, 800, 700))
    found = square(image_file(pixels, "PNG"), 64, interpolation)
    assert np.abs(found.astype(int) - np.asarray(reference)).max() <= 1


# --- containers -----------------------------------------------------------------------------------


def large_photos(folder: Path, most: int) -> list[Pixels]:
    found: list[Pixels] = []
    for path in sorted(folder.glob("*/*/*.JPEG")):
        with Image.open(path) as image:
            if min(image.size) >= 512:
                found.append(np.asarray(image.convert("RGB")))
        if len(found) == most:
            break
    return found


#: The least decibels between one photo as JPEG and as BMP, shrunk at least fourfold. ``linear``
#: has no such bound, for it aliases where no decoder has shrunk before it.
ALIKE = {"bilinear": 40, "bicubic": 40, "cubic": 40, "lanczos": 40, "area": 30}


@pytest.mark.parametrize("interpolation", ALIKE)
def test_the_same_pixels_give_nearly_the_same_crop_from_any_format(
    interpolation: Interpolation, photos: Path
) -> None:
    pictures = large_photos(photos, 8)
    assert len(pictures) == 8
    for pixels in pictures:
        data = simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), 100, "RGB", "444")
        same = image_file(Image.open(io.BytesIO(data)), "BMP")
        for size in (64, 128):  # Of the JPEG, the decoder leaves out a half or more.
            shrunk, whole = (square(d, size, interpolation) for d in (data, same))
            assert psnr(shrunk, whole) > ALIKE[interpolation]


def test_a_second_image_leaves_the_first_as_it_was() -> None:
    processor = ImageProcessor(ImageSettings(size=32, interpolation="cubic"))
    first = processor.pixels(image_file(picture(60, 80, 1), "PNG"))
    kept = first.copy()
    processor.pixels(image_file(picture(80, 60, 2), "PNG"))
    assert np.array_equal(first, kept)
