"""What is done to one image on its way to a tensor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from prep.errors import UsageError
from prep.settings.image_settings import Size
from prep.training.augmentation import Augmentation, Draws, corner
from prep.training.channel_shift import ChannelShift

Image: TypeAlias = npt.NDArray[Any]
#: A function of a tensor that returns one, such as a transform of torchvision.
Transform: TypeAlias = Callable[[torch.Tensor], torch.Tensor]


def shifted(
    image: torch.Tensor, change: ChannelShift, light: npt.NDArray[np.float32]
) -> torch.Tensor:
    """Return an image of shape (…, channels, height, width) as float32, its channels changed.

    Args:
        image: a tensor of any type.
        change: the arithmetic.
        light: float32 (3,), standard normal numbers.
    """
    shift = change.shift if change.basis is None else change.shift + light @ change.basis.T
    result = image.to(torch.float32, copy=True)
    result += torch.from_numpy(shift)[:, None, None]
    if change.std is not None:
        result /= torch.from_numpy(change.std)[:, None, None]
    return result


def cropped_tensor(
    image: Image, augmentation: Augmentation, draws: Draws, number: int
) -> torch.Tensor:
    """Return an image cropped and mirrored, or its ten crops: (…, channels, height, width).

    Args:
        image: (height, width, channels).
        augmentation: what is asked for.
        draws: what was drawn at random for some images.
        number: of this image among them.
    """
    size = augmentation.crop
    if size is not None:
        row, column = _corner(image, size, augmentation, draws.places[number])
        if augmentation.ten_crop:
            return _ten_crops(image, size)
        image = image[row : row + size.height, column : column + size.width]
    # torch copies to another order of axes in a third of the time that numpy takes.
    tensor = torch.from_numpy(image).permute(2, 0, 1).contiguous()
    return tensor.flip(-1) if augmentation.flip and draws.flips[number] else tensor


def _corner(
    image: Image, size: Size, augmentation: Augmentation, places: npt.NDArray[np.int64]
) -> tuple[int, int]:
    """Return the first row and column of a crop."""
    height, width = image.shape[:2]
    if height < size.height or width < size.width:
        raise UsageError(
            f"crop: expected images of at least {size}, found one of {Size(height, width)}; "
            "crop less"
        )
    if augmentation.crop_at == "random":
        return corner(int(places[0]), height, size.height), corner(
            int(places[1]), width, size.width
        )
    return (height - size.height) // 2, (width - size.width) // 2


def _ten_crops(image: Image, size: Size) -> torch.Tensor:
    """Return the crops in the corners and the centre, and the same mirrored: (10, …)."""
    tensor = torch.from_numpy(image).permute(2, 0, 1)
    down, right = image.shape[0] - size.height, image.shape[1] - size.width
    corners = [(0, 0), (0, right), (down, 0), (down, right), (down // 2, right // 2)]
    five = torch.stack(
        [tensor[:, row : row + size.height, col : col + size.width] for row, col in corners]
    )
    return torch.cat([five, five.flip(-1)])
