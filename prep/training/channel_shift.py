"""The arithmetic on the channels of images that an augmentation asks for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from prep.errors import SourceError
from prep.settings.choices import RGB
from prep.settings.image_settings import ImageSettings
from prep.text import quoted
from prep.training.augmentation import Augmentation
from prep.training.colour_stats import colour_statistics, lighting_basis


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelShift:
    """The arithmetic on the channels of images: ``(image + shift + basis @ light) / std``.

    Attributes:
        shift: float32 (channels,), what is added to each pixel: the mean, negative.
        std: float32 (channels,), what it is divided by; None for nothing.
        basis: float32 (3, 3), from three standard normal numbers to a change of light, in levels;
            None for none.
    """

    shift: npt.NDArray[np.float32]
    std: npt.NDArray[np.float32] | None = None
    basis: npt.NDArray[np.float32] | None = None


def channel_shift(
    settings: ImageSettings, output: str, augmentation: Augmentation
) -> ChannelShift | None:
    """Return the arithmetic that an augmentation asks for; None if there is none.

    Args:
        settings: of the images.
        output: a folder or its URL, for its statistics.
        augmentation: what is done to each image.

    Raises:
        SourceError: the output has no such statistics.
    """
    if not augmentation.needs_statistics:
        return None
    channels, wanted = settings.channels, augmentation.normalize
    shift, std, basis = np.zeros(channels), None, None
    if wanted is not None:
        found = colour_statistics(output)
        # Images in float32 have a mean subtracted already, which may be another one.
        shift = np.array(settings.mean or (0.0,) * 3)[:channels] - found.mean[:channels]
        if wanted == "mean_std":
            std = np.array(_known(found.std, output), np.float32)[:channels]
    if augmentation.lighting:
        basis = (augmentation.lighting * np.array(lighting_basis(output))).astype(np.float32)
    return ChannelShift(shift=shift.astype(np.float32), std=std, basis=basis)


def _known(std: RGB | None, output: str) -> RGB:
    if std is None or not all(std):
        raise SourceError(
            f"output: expected a standard deviation of each channel in {quoted(output)}, found "
            "none or 0; use normalize='mean'"
        )
    return std
