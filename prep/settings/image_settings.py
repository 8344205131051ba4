"""The settings of the processing of an image, as workers have them."""

from __future__ import annotations

import math
import re
from dataclasses import asdict, dataclass
from typing import Any

from prep.settings.choices import (
    LOSSY,
    RGB,
    Damaged,
    Encoding,
    Enlarge,
    Fit,
    Geometry,
    Icc,
    Interpolation,
    Mode,
)
from prep.settings.keys import KEYS

#: The largest height and width that can be asked for, in pixels.
MOST_SIDE = 4096
#: The longest side of a result, in pixels: that of WebP (RFC 9649, section 2.5). Only results of
#: fit ``shorter`` can be longer than what was asked for.
LONGEST_SIDE = 16_383
# Settings that the plans of early versions do not have.
_LATER = ("fit", "enlarge", "geometry", "mode", "keep_fitting")
_HEIGHT_X_WIDTH = re.compile(r"\s*([0-9]{1,5})\s*[x×X]\s*([0-9]{1,5})\s*")


def rgb_of(colour: str) -> tuple[int, int, int]:
    """Return R, G and B, 0 to 255, of a colour as ``#rrggbb``.

    >>> rgb_of("#ff0080")
    (255, 0, 128)
    """
    r, g, b = bytes.fromhex(colour.removeprefix("#"))
    return r, g, b


@dataclass(frozen=True, slots=True)
class Size:
    """A height and a width in pixels, in the order in which arrays and tensors have them.

    >>> str(Size(224, 336))
    '224x336'
    """

    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.height}x{self.width}"


def read_size(value: Any) -> int | Size:
    """Return a size; one number stands for a square.

    Args:
        value: a number, ``HEIGHTxWIDTH``, or a list of height and width.

    Raises:
        ValueError: it is none of these, or not from 1 to :data:`MOST_SIDE`.

    >>> read_size("224x336"), read_size([256, 128]), read_size("64x64")
    (Size(height=224, width=336), Size(height=256, width=128), 64)
    """
    if isinstance(value, Size):
        value = [value.height, value.width]
    elif isinstance(value, str) and (found := _HEIGHT_X_WIDTH.fullmatch(value)):
        value = [int(side) for side in found.groups()]
    height, width = value if _is_pair(value) else (value, value)
    for side in (height, width):
        if type(side) is not int or not 1 <= side <= MOST_SIDE:
            raise ValueError("expected one or two sides")
    return height if height == width else Size(height, width)


def _is_pair(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSettings:
    """Settings of the processing of an image; see :class:`prep.Config` for each.

    ``mean`` is what encoding ``float32`` subtracts, per channel, 0 to 255; ``background`` is what
    transparent and padded images are laid over, R, G and B.
    """

    size: int | Size = KEYS["size"].default
    fit: Fit = KEYS["fit"].default
    enlarge: Enlarge = KEYS["enlarge"].default
    geometry: Geometry = KEYS["geometry"].default
    mode: Mode = KEYS["mode"].default
    interpolation: Interpolation = KEYS["interpolation"].default
    encoding: Encoding = KEYS["encoding"].default
    quality: int = KEYS["quality"].default
    keep_fitting: bool = KEYS["keep_fitting"].default
    mean: RGB | None = None
    damaged: Damaged = KEYS["damaged"].default
    max_pixels: int = KEYS["max_pixels"].default
    max_aspect: float = KEYS["max_aspect"].default
    min_size: int = KEYS["min_size"].default
    background: tuple[int, int, int] = rgb_of(KEYS["background"].default)
    icc: Icc = KEYS["icc"].default
    depth: int = KEYS["depth"].default

    def to_json(self) -> dict[str, Any]:
        """Return the settings as plans store them: those that came later only if not as by default.

        >>> ImageSettings(size=Size(224, 336), fit="pad").to_json()["size"]
        '224x336'
        """
        values = {
            **asdict(self),
            "size": str(self.size) if self.width != self.height else self.size,
        }
        return {
            name: value
            for name, value in values.items()
            if name not in _LATER or value != KEYS[name].default
        }

    @property
    def height(self) -> int:
        """The height that was asked for, in pixels; results may have another."""
        return self.size.height if isinstance(self.size, Size) else self.size

    @property
    def width(self) -> int:
        """The width that was asked for, in pixels; results may have another."""
        return self.size.width if isinstance(self.size, Size) else self.size

    @property
    def channels(self) -> int:
        """The number of channels of the results: 3 for RGB, 1 for gray."""
        return 1 if self.mode == "gray" else 3

    @property
    def same_size(self) -> bool:
        """True if each result has the ``height`` and the ``width`` that were asked for.

        >>> ImageSettings(enlarge="never").same_size, ImageSettings(fit="pad").same_size
        (False, True)
        """
        return self.fit == "pad" or (self.fit != "shorter" and self.enlarge == "always")

    @property
    def lossy(self) -> bool:
        """True if records hold other pixels than were encoded."""
        return self.encoding in LOSSY

    @property
    def largest(self) -> tuple[int, int]:
        """Two sides, in pixels, of which no result exceeds the product, nor its sides the longer.

        >>> ImageSettings().largest, ImageSettings(fit="shorter", max_aspect=3).largest
        ((256, 256), (256, 768))
        """
        if self.fit != "shorter":
            return self.height, self.width
        side = max(self.height, self.width)
        return side, max(side, min(LONGEST_SIDE, math.ceil(side * self.max_aspect)))

    def may_have(self, height: int, width: int) -> bool:
        """Return whether a result can have this size, in pixels.

        >>> ImageSettings().may_have(256, 256), ImageSettings().may_have(256, 300)
        (True, False)
        >>> ImageSettings(fit="shorter").may_have(256, 300)
        True
        """
        if self.same_size:
            return (height, width) == (self.height, self.width)
        taller, wider = height > self.height, width > self.width
        beyond = taller and wider if self.fit == "shorter" else taller or wider
        return not beyond and 0 < height * width <= math.prod(self.largest)
