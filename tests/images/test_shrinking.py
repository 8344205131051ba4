"""JPEGs that are shrunk while they are decoded: where their pixels lie, and what is lost."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import cv2
import numpy as np
import pytest
import simplejpeg

from prep.images.fitting.fitter import make_fitter
from prep.images.fitting.framing import Framing
from prep.images.processor import ImageProcessor
from prep.settings.choices import Interpolation
from prep.settings.image_settings import ImageSettings
from tests.support.pictures import Pixels, image_file, stored

#: For ``cubic`` and ``lanczos`` see test_crop.py.
KERNELS: tuple[Interpolation, ...] = ("bilinear", "bicubic")


def square(data: bytes, size: int, interpolation: Interpolation) -> Pixels:
    return ImageProcessor(ImageSettings(size=size, interpolation=interpolation)).pixels(data).copy()


@pytest.mark.parametrize("interpolation", KERNELS)
@pytest.mark.parametrize("factor", [2, 4, 8])
def test_the_centre_of_a_shrunk_image_is_that_of_the_image(
    factor: int, interpolation: Interpolation
) -> None:
    # No side is a multiple of 8, so the last pixels of a shrunk image are only partly covered.
    height, width, size = 403, 605, 403 // (2 * factor)
    assert make_fitter(Framing(size, size), interpolation).factor(height, width, 1) == factor
    down, across = np.mgrid[:height, :width]
    ramps = np.stack([down / 2, across / 3, (down + across) / 5], axis=2).astype(np.uint8)
    expected = square(image_file(ramps, "PNG"), size, interpolation).astype(int)
    for orientation in range(1, 9):
        data = stored(ramps, orientation, "JPEG", quality=100, subsampling=0)
        off = square(data, size, interpolation) - expected
        # Half a pixel of the shrunk image would be half a level of red at least, and a third of
        # green; twice and four times as much with greater factors.
        assert np.abs(off.mean(axis=(0, 1))).max() < 0.06 * factor
        assert np.abs(off).max() <= 2


def shrunk_photos(folder: Path, factor: int) -> Iterator[tuple[bytes, int]]:
    """Photos, each with the size of a result for which a decoder shrinks it by ``factor``.

    It leaves two pixels for each of the result, which is the least, or up to four.
    """
    rests = cycle((2, 2.5, 3, 3.5))
    for path in sorted(folder.glob("*/*/*.JPEG"))[::12]:
        data = path.read_bytes()
        height, width, *_ = simplejpeg.decode_jpeg_header(data)
        if min(height, width) >= 330:
            yield data, int(min(height, width) / factor / next(rests))


@pytest.mark.parametrize("interpolation", KERNELS)
@pytest.mark.parametrize("factor", [2, 4, 8])
def test_shrinking_costs_less_than_a_level_on_average(
    factor: int, interpolation: Interpolation, photos: Path
) -> None:
    off = []
    for data, size in shrunk_photos(photos, factor):
        whole = cv2.cvtColor(simplejpeg.decode_jpeg(data, "RGB"), cv2.COLOR_RGB2BGR)
        expected = square(cv2.imencode(".bmp", whole)[1].tobytes(), size, interpolation)
        off.append(np.abs(expected.astype(int) - square(data, size, interpolation)).mean())
    assert len(off) > 20
    assert 0 < np.mean(off) < 1
