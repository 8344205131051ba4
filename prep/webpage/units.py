"""Sizes, in the unit that suits them."""

from __future__ import annotations

from prep.text import unit_of


def short_size(size: float) -> str:
    """A size, given in bytes, for a page: without a place where there are three digits before it.

    >>> short_size(512), short_size(21_500), short_size(2_160_000), short_size(141e9)
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
