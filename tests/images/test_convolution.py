"""``bilinear`` and ``bicubic``: Pillow's ``resize(…, box=…)`` of the exact centre, by SIMD."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import cykooz_resizer
import numpy as np
import pytest
import simplejpeg
from cykooz_resizer import CpuExtensions
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from prep.errors import PrepError
from prep.images.decoders.decode import Decoder, decode
from prep.images.fitting import convolution
from prep.images.fitting.exact import is_tall
from prep.images.fitting.framing import Framing, placement_of
from prep.images.geometry import Box
from prep.images.processor import ImageProcessor
from prep.images.rgbx import rgbx_of
from prep.settings.choices import Fit, Interpolation
from prep.settings.image_settings import ImageSettings, Size
from tests.support.pictures import Pixels, image_file, picture

FILTERS: dict[Interpolation, Image.Resampling] = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}
KERNELS = pytest.mark.parametrize("interpolation", FILTERS)


def fitted(data: bytes, size: int | Size, interpolation: Interpolation, **options: Any) -> Pixels:
    settings = ImageSettings(size=size, interpolation=interpolation, **options)
    return ImageProcessor(settings).pixels(data).copy()


def noise(height: int, width: int) -> Pixels:
    """Samples at the ends of their range, where a kernel overshoots most, and between them."""
    random = np.random.default_rng(height * 1000 + width)
    samples = random.integers(-200, 456, (height, width, 3))
    return samples.clip(0, 255).astype(np.uint8)


def by_pillow(pixels: Pixels, kernel: Interpolation, framing: Framing) -> Pixels:
    placement = placement_of(framing, *pixels.shape[:2])
    top, left, height, width = placement.box(*pixels.shape[:2])
    size, box = (placement.width, placement.height), (left, top, left + width, top + height)
    return np.asarray(Image.fromarray(pixels).resize(size, FILTERS[kernel], box))


def difference(a: Pixels, b: Pixels) -> Pixels:
    return np.abs(a.astype(int) - b)


# --- against Pillow -------------------------------------------------------------------------------


@pytest.mark.parametrize(("interpolation", "apart"), [("bilinear", 0.003), ("bicubic", 0.006)])
def test_photos_are_as_pillow_resizes_their_exact_centre(
    interpolation: Interpolation, apart: float, photos: Path
) -> None:
    """Two levels apart are those where each is one from the exact value, on its own side."""
    tested = others = opposite = 0
    for path in sorted(photos.glob("*/*/*.JPEG"))[::4]:
        data = path.read_bytes()
        pixels = decode(data)
        if min(pixels.shape[:2]) >= 512:  # The decoder shrinks it.
            continue
        expected = by_pillow(pixels, interpolation, Framing(256, 256))
        apart_by = difference(fitted(data, 256, interpolation), expected)
        assert apart_by.max() <= 2
        tested, others = tested + apart_by.size, others + int((apart_by > 0).sum())
        opposite += int((apart_by > 1).sum())
    assert tested > 100 * 256 * 256 * 3
    assert others < apart * tested
    assert opposite < 1e-6 * tested


@given(
    height=st.integers(1, 150),
    width=st.integers(1, 150),
    size=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    fit=st.sampled_from(("crop", "shorter", "stretch", "pad")),
    interpolation=st.sampled_from(list(FILTERS)),
)
@example(1, 1, (70, 70), "crop", "bicubic")  # one pixel
@example(140, 75, (48, 48), "crop", "bicubic")  # columns first
@example(75, 100, (48, 48), "crop", "bilinear")  # rows first, from half a pixel on
@example(48, 61, (48, 48), "crop", "bicubic")  # rows alone
@example(61, 48, (48, 48), "crop", "bilinear")  # columns alone
def test_any_shape_is_as_pillow_resizes_it(
    height: int, width: int, size: tuple[int, int], fit: Fit, interpolation: Interpolation
) -> None:
    pixels = noise(height, width)
    expected = by_pillow(pixels, interpolation, Framing(*size, fit))
    found = fitted(image_file(pixels, "PNG"), Size(*size), interpolation, fit=fit)
    if fit == "pad":
        top, left = ((a - b) // 2 for a, b in zip(size, expected.shape, strict=False))
        found = found[top : top + expected.shape[0], left : left + expected.shape[1]]
    assert found.shape == expected.shape
    apart = difference(found, expected)
    assert apart.max() <= 2
    assert np.mean(apart > 1) <= 0.001  # Weights of 16 bits in place of 22 may turn a half around.


@KERNELS
@pytest.mark.parametrize(("height", "width"), [(150, 100), (100, 150), (100, 100)])
def test_the_order_of_the_passes_is_that_of_pillow(
    height: int, width: int, interpolation: Interpolation
) -> None:
    image = Image.fromarray(noise(height, width))
    whole = image.resize((64, 64), FILTERS[interpolation])
    if is_tall(height, width, 64, 64):
        steps = image.resize((width, 64), FILTERS[interpolation])
    else:
        steps = image.resize((64, height), FILTERS[interpolation])
    assert whole == steps.resize((64, 64), FILTERS[interpolation])


# --- the same bytes -------------------------------------------------------------------------------


def extensions_here() -> list[CpuExtensions]:
    best = cykooz_resizer.Resizer().cpu_extensions
    x86 = [CpuExtensions.sse4_1, CpuExtensions.avx2]
    return x86[: x86.index(best) + 1] if best in x86 else [best]


@KERNELS
@pytest.mark.parametrize(("height", "width"), [(333, 500), (500, 333), (37, 41), (7, 300)])
def test_the_bytes_are_the_same_with_and_without_simd(
    height: int, width: int, interpolation: Interpolation
) -> None:
    pixels, found = noise(height, width), []
    for extensions in (CpuExtensions.none, *extensions_here()):
        kernel = convolution.ConvolutionKernel(interpolation)
        kernel._resizer.set_cpu_extensions(extensions.value)
        for columns_first in (False, True):
            box = Box(0.25, 0.5, height - 0.5, width - 1)
            found.append(kernel(pixels, box, 64, 61, columns_first=columns_first).tobytes())
    assert len(set(found[::2])) == len(set(found[1::2])) == 1


@KERNELS
@pytest.mark.parametrize(("height", "width"), [(90, 120), (140, 80)])
def test_the_bytes_are_the_same_from_any_container_and_in_bands(
    height: int, width: int, interpolation: Interpolation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A JPEG is decoded to four bytes a pixel; others get the fourth byte later."""
    data = simplejpeg.encode_jpeg(picture(height, width), 95)
    png = image_file(decode(data), "PNG")
    expected = fitted(data, 48, interpolation)
    assert np.array_equal(fitted(png, 48, interpolation), expected)
    monkeypatch.setattr(convolution, "_AT_ONCE", 1000)
    assert np.array_equal(fitted(png, 48, interpolation), expected)


def threads() -> int:
    tasks = Path("/proc/self/task")
    return len(list(tasks.iterdir())) if tasks.is_dir() else 0


def test_threads_give_the_same_bytes_and_no_more_threads_are_started() -> None:
    files = [image_file(noise(60 + 7 * i, 90 - 5 * i), "BMP") for i in range(8)]
    settings = ImageSettings(size=64)
    before = threads()
    expected = [ImageProcessor(settings)(data).image for data in files]
    assert threads() <= before
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda data: ImageProcessor(settings)(data).image, 4 * files))
    assert found == 4 * expected


# --- four bytes a pixel ---------------------------------------------------------------------------


def test_the_pixels_of_a_jpeg_have_four_bytes_all_the_way() -> None:
    data = simplejpeg.encode_jpeg(picture(90, 120), 90)
    decoded = Decoder(padded=True).decode(data).pixels
    assert rgbx_of(decoded) is not None
    assert np.array_equal(decoded, decode(data))
    processor = ImageProcessor(ImageSettings(size=48))
    pixels = processor.pixels(data)
    assert rgbx_of(pixels) is not None
    plain = simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), 90, "RGB", "420", fastdct=False)
    assert processor(data).image == plain


def test_a_pillow_whose_memory_is_not_read_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convolution, "RustResizer", Mock)
    with pytest.raises(PrepError, match=r"cykooz-resizer \d.* Pillow \d"):
        convolution.require_working.__wrapped__()
