"""The settings of the processing of an image, as workers have them."""

from __future__ import annotations

from dataclasses import dataclass

from prep.settings.choices import RGB, Damaged, Encoding, Icc, Interpolation
from prep.settings.keys import KEYS


def rgb_of(colour: str) -> tuple[int, int, int]:
    """Return R, G and B, 0 to 255, of a colour as ``#rrggbb``.

    >>> rgb_of("#ff0080")
    (255, 0, 128)
    """
    r, g, b = bytes.fromhex(colour.removeprefix("#"))
    return r, g, b


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSettings:
    """Settings of the processing of an image; see :class:`prep.Config` for each.

    ``mean`` is what encoding ``float32`` subtracts, per channel, 0 to 255; ``background`` is what
    transparent images are laid over, R, G and B.
    """

    size: int = KEYS["size"].default
    interpolation: Interpolation = KEYS["interpolation"].default
    encoding: Encoding = KEYS["encoding"].default
    quality: int = KEYS["quality"].default
    mean: RGB | None = None
    damaged: Damaged = KEYS["damaged"].default
    max_pixels: int = KEYS["max_pixels"].default
    max_aspect: float = KEYS["max_aspect"].default
    min_size: int = KEYS["min_size"].default
    background: tuple[int, int, int] = rgb_of(KEYS["background"].default)
    icc: Icc = KEYS["icc"].default
    depth: int = KEYS["depth"].default
