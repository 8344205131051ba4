"""Embedded colour profiles (ICC) → sRGB."""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

from prep.images.decoded import Pixels

_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}


def square_to_srgb(square: Pixels, profile: bytes) -> Pixels:
    """Converts RGB pixels from ``profile`` to sRGB; those of a broken profile stay as they are."""
    transform = _transform(profile)
    if transform is None or transform.input_mode == "CMYK":
        return square
    image = Image.fromarray(square)
    if transform.input_mode == "L":
        image = image.getchannel(0)
    return np.asarray(transform.apply(image))


def image_to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Converts a whole image, its transparency kept; one that the profile is not for stays as is.

    The mode of the result is RGB, or RGBA.
    """
    transform = _transform(profile)
    if image.mode == "P":
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    alpha = image.getchannel("A") if image.mode in ("RGBA", "LA") else None
    colours = image.convert({"RGBA": "RGB", "LA": "L"}[image.mode]) if alpha else image
    if transform is None or colours.mode != transform.input_mode:
        return image
    converted = transform.apply(colours)
    if alpha is not None:
        converted.putalpha(alpha)
    return converted


@lru_cache(maxsize=16)  # Cameras and programs have few profiles.
def _transform(profile: bytes) -> ImageCms.ImageCmsTransform | None:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = _MODES.get(source.profile.xcolor_space.strip())
        if mode is None:
            return None
        srgb = ImageCms.createProfile("sRGB")
        return ImageCms.ImageCmsTransform(source, ImageCms.ImageCmsProfile(srgb), mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
