"""Sizes, in the unit that suits them."""

from __future__ import annotations

_UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1, "B"))


def unit_of(size: float) -> tuple[float, str]:
    """The unit that suits a size, given in bytes, and how many bytes it is.

    >>> unit_of(25_000), unit_of(0)
    ((1000.0, 'kB'), (1, 'B'))
    """
    return next((unit for unit in _UNITS if size >= unit[0]), _UNITS[-1])


def size_text(size: float) -> str:
    """A size, given in bytes.

    >>> size_text(512), size_text(21_500), size_text(2_160_000), size_text(141e9)
    ('512 B', '21.5 kB', '2.2 MB', '141 GB')
    """
    divisor, name = unit_of(size)
    value = size / divisor
    return f"{value:.1f} {name}" if divisor > 1 and value < 100 else f"{value:.0f} {name}"


def tick_text(size: float) -> str:
    """The same for a round value, without places that say nothing.

    >>> tick_text(3000)
    '3 kB'
    """
    divisor, name = unit_of(size)
    return f"{size / divisor:g} {name}"
