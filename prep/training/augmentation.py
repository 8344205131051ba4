"""Augmentation of images as AlexNet's article has it, for readers of any framework.

Source: Krizhevsky, Sutskever and Hinton, "ImageNet Classification with Deep Convolutional Neural
Networks", section 4.1, https://doi.org/10.1145/3065386
"""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from prep.errors import UsageError
from prep.settings.image_settings import ImageSettings, Size, read_size
from prep.text import shown
from prep.training.orders.permutation import key

#: What is done to the channels of an image: the mean is subtracted; it is divided by ``std``, too.
Normalize = Literal["mean", "mean_std"]
#: Where a crop lies in its image.
CropAt = Literal["random", "centre"]

_BITS = 24
_PURPOSE = 0x41756760  # Keeps these draws apart from those of an order with the same seed.
_FLIP, _LIGHT = 2, 3  # the first two are of the place
#: Normal numbers for an image: one for each eigenvector of the colours.
LIGHTS = 3


class Draws(NamedTuple):
    """The random choices for n images.

    Attributes:
        places: int64 (n, 2), of a crop: the row and column of its corner, in units of 2**-24 of
            the rows and columns that it may begin in.
        flips: bool (n,), whether an image is mirrored.
        lights: float32 (n, 3), standard normal, one number for each eigenvector.
    """

    places: npt.NDArray[np.int64]
    flips: npt.NDArray[np.bool_]
    lights: npt.NDArray[np.float32]


def draw(seed: int, positions: npt.ArrayLike) -> Draws:
    """Return the random choices for images at some positions of an order.

    They depend on the seed and the position alone, so a run that is resumed makes the same ones.

    Args:
        seed: of the order.
        positions: of n images, from 0.
    """
    at = np.asarray(positions, np.int64)
    bits = key(seed, _PURPOSE, at[:, None], np.arange(_LIGHT + 2 * LIGHTS)[None, :])
    whole = (bits >> np.uint64(64 - _BITS)).astype(np.int64)
    return Draws(
        places=whole[:, :_FLIP],
        flips=whole[:, _FLIP] >= 1 << (_BITS - 1),
        lights=_normal(whole[:, _LIGHT:]),
    )


def _normal(whole: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Return a normal number for each two uniform ones: the transform of Box and Muller."""
    uniform = (whole + 0.5) * 2.0**-_BITS
    length = np.sqrt(-2 * np.log(uniform[:, 0::2]))
    normal: npt.NDArray[np.float64] = length * np.cos(2 * np.pi * uniform[:, 1::2])
    return normal.astype(np.float32)


def corner(place: int, side: int, crop: int) -> int:
    """Return the first row or column of a crop.

    Args:
        place: as in :class:`Draws`.
        side: of the image, in pixels.
        crop: the side of the crop.

    >>> corner(0, 256, 227), corner((1 << 24) - 1, 256, 227)
    (0, 29)
    """
    return place * (side - crop + 1) // (1 << _BITS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """The changes that a reader makes to each image.

    Attributes:
        crop: size of the part that is kept; None for all of an image.
        crop_at: where it lies.
        flip: whether every other image is mirrored, at random.
        lighting: standard deviation of the numbers that the eigenvalues are multiplied by; 0 for
            no change of the light. The article has 0.1.
        ten_crop: whether an image becomes ten: the crops in its corners and its centre, and the
            same mirrored.
        normalize: what is done to the channels; None to leave them.
    """

    crop: Size | None = None
    crop_at: CropAt = "centre"
    flip: bool = False
    lighting: float = 0.0
    ten_crop: bool = False
    normalize: Normalize | None = None

    @classmethod
    def read(
        cls,
        settings: ImageSettings,
        *,
        crop: int | tuple[int, int] | None = None,
        crop_at: str = "centre",
        flip: bool = False,
        lighting: float = 0.0,
        ten_crop: bool = False,
        normalize: str | None = None,
    ) -> Augmentation:
        """Return the augmentation that a user asks for.

        Args:
            settings: of the images in the records.
            crop: a side, or height and width.
            crop_at, flip, lighting, ten_crop, normalize: see the attributes.

        Raises:
            UsageError: a value is not possible, or not together with others or with these images.
        """
        size = None if crop is None else _crop_size(crop, settings)
        _require_word("crop_at", crop_at, get_args(CropAt))
        if normalize is not None:
            _require_word("normalize", normalize, get_args(Normalize))
        _require_bool("flip", flip)
        _require_bool("ten_crop", ten_crop)
        is_number = isinstance(lighting, Real) and not isinstance(lighting, bool)
        if not is_number or not 0 <= lighting <= 1:
            raise UsageError(f"lighting: expected 0 to 1, such as 0.1, found {shown(lighting)}")
        if size is None and crop_at == "random":
            raise UsageError("crop_at: expected a crop; add crop=227, or leave it out")
        if ten_crop and size is None:
            raise UsageError("ten_crop: expected the size of the ten crops; add crop=227")
        if ten_crop and (flip or lighting or crop_at == "random"):
            raise UsageError(
                "ten_crop: expected nothing random beside it, because it is for testing; "
                "leave out flip, lighting, crop_at and shuffle"
            )
        if lighting and settings.channels == 1:
            raise UsageError("lighting: expected RGB images, found gray ones; leave it out")
        return cls(
            crop=size,
            crop_at=crop_at,  # type: ignore[arg-type]
            flip=flip,
            lighting=float(lighting),
            ten_crop=ten_crop,
            normalize=normalize,  # type: ignore[arg-type]
        )

    @property
    def is_random(self) -> bool:
        """True if it draws anything at random."""
        crops = self.crop is not None and self.crop_at == "random"
        return crops or self.flip or self.lighting > 0

    @property
    def needs_statistics(self) -> bool:
        """True if it takes the mean or the covariance of the training images."""
        return self.normalize is not None or self.lighting > 0


def _crop_size(crop: int | tuple[int, int], settings: ImageSettings) -> Size:
    try:
        size = read_size(crop)
    except ValueError:
        raise UsageError(f"crop: expected a side or (height, width), found {shown(crop)}") from None
    if not isinstance(size, Size):
        size = Size(size, size)
    if settings.same_size and (size.height > settings.height or size.width > settings.width):
        images = Size(settings.height, settings.width)
        raise UsageError(f"crop: expected at most {images}, as images are, found {size}")
    return size


def _require_word(name: str, value: object, words: tuple[str, ...]) -> None:
    if value not in words:
        raise UsageError(f"{name}: expected {' or '.join(words)}, found {shown(value)}")


def _require_bool(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise UsageError(f"{name}: expected True or False, found {shown(value)}")
