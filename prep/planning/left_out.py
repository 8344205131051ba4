"""What a plan says of the images that it leaves out because others look alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class NamedImage(NamedTuple):
    """An image by its path in the source, with its class and split."""

    path: str
    class_name: str
    split: str


class LeftOut(NamedTuple):
    """An image that is left out.

    Attributes:
        image: the image.
        kept: the image that looks alike and stays.
        distance: number of bits in which their hashes differ.
        mirrored: whether one had to be mirrored for that.
    """

    image: NamedImage
    kept: NamedImage
    distance: int
    mirrored: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LookAlikes:
    """The images that a plan leaves out because others look alike.

    Attributes:
        compared: number of images that were compared.
        radius: the largest distance that counts.
        images: those that are left out.
    """

    compared: int
    radius: int
    images: tuple[LeftOut, ...]
