"""Transparency over the background; colour profiles, ignored or converted to sRGB."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from prep.images.processor import ImageProcessor
from prep.settings.image_settings import ImageSettings
from tests.support.pictures import Pixels, image_file, jpeg, picture, psnr

PICTURE = picture(48, 48)


def square(data: bytes, **settings: Any) -> Pixels:
    return ImageProcessor(ImageSettings(size=48, **settings)).pixels(data)


def profile_with_swapped_primaries() -> bytes:
    """SRGB with the names of its red and blue primaries exchanged: what was red is blue."""
    data = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return (
        data.replace(b"rXYZ", b"tmp1", 1).replace(b"bXYZ", b"rXYZ", 1).replace(b"tmp1", b"bXYZ", 1)
    )


SWAPPED = profile_with_swapped_primaries()
LAB = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()


@pytest.mark.parametrize("colour", [(255, 255, 255), (0, 0, 0), (10, 200, 30)])
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "GIF"])
def test_what_is_clear_shows_the_background(kind: str, colour: tuple[int, int, int]) -> None:
    clear = Image.new("RGBA", (48, 48), (1, 2, 3, 0))
    clear.paste((255, 0, 0, 255), (24, 0, 48, 48))
    options = {"lossless": True} if kind == "WEBP" else {}
    found = square(image_file(clear, kind, **options), background=colour)
    assert tuple(found[10, 5]) == colour
    assert tuple(found[10, 40]) == (255, 0, 0)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_profile_is_ignored_or_converted_as_asked_for(kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {"quality": 95} if kind == "JPEG" else {}
    data = image_file(PICTURE, kind, icc_profile=SWAPPED, **options)
    assert psnr(square(data), PICTURE) > 30
    assert psnr(square(data, icc="convert"), PICTURE[:, :, ::-1]) > 25


def test_converting_the_crop_is_as_good_as_converting_the_whole_image() -> None:
    large = picture(480, 480)
    before, after = (
        ImageCms.ImageCmsProfile(io.BytesIO(SWAPPED)),
        ImageCms.createProfile("sRGB"),
    )
    converted = ImageCms.profileToProfile(Image.fromarray(large), before, after)
    assert converted is not None
    first = square(jpeg(large, quality=95, icc_profile=SWAPPED), icc="convert")
    assert psnr(first, square(jpeg(np.asarray(converted), quality=95))) > 38


@pytest.mark.parametrize("profile", [b"no profile", SWAPPED[:200], LAB, b"\0" * 200])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_broken_profile_is_ignored(kind: str, profile: bytes) -> None:
    data = image_file(PICTURE, kind, icc_profile=profile)
    assert np.array_equal(square(data, icc="convert"), square(data))


def test_the_background_is_not_converted() -> None:
    clear = Image.new("RGBA", (48, 48), (255, 0, 0, 0))
    data = image_file(clear, "PNG", icc_profile=SWAPPED)
    assert tuple(square(data, icc="convert", background=(200, 10, 20))[9, 9]) == (200, 10, 20)


def test_a_profile_that_is_not_for_the_image_is_ignored() -> None:
    cmyk = image_file(Image.fromarray(PICTURE).convert("CMYK"), "JPEG", icc_profile=SWAPPED)
    assert np.array_equal(square(cmyk, icc="convert"), square(cmyk))
