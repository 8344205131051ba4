"""Pictures in a terminal: each character is two pixels, one above the other."""

from __future__ import annotations

from typing import Any

from rich.color import Color
from rich.console import Console
from rich.style import Style
from rich.text import Text

_COLUMNS = 48  # at most, of a picture


def print_picture(pixels: Any, console: Console | None = None) -> None:
    """Print a picture, if standard output is a terminal with colours.

    Args:
        pixels: uint8 (height, width, 3), RGB.
        console: where to; by default, standard output.
    """
    console = console or Console()
    if console.is_terminal and console.color_system in ("256", "truecolor"):
        console.print(half_blocks(pixels, min(_COLUMNS, console.width)))


def half_blocks(pixels: Any, columns: int) -> Text:
    """Return a picture as lines of upper half blocks, of at most so many columns.

    Args:
        pixels: uint8 (height, width, 3), RGB.
    """
    height, width = pixels.shape[:2]
    columns = min(columns, width)
    rows = max(1, round(columns * height / width / 2))
    small = _reduced(pixels, 2 * rows, columns)
    lines = Text(no_wrap=True)
    for row in range(rows):
        for upper, lower in zip(small[2 * row], small[2 * row + 1], strict=True):
            style = Style(color=Color.from_rgb(*upper), bgcolor=Color.from_rgb(*lower))
            lines.append("▀", style)
        lines.append("\n" if row < rows - 1 else "")
    return lines


def _reduced(pixels: Any, rows: int, columns: int) -> list[list[list[float]]]:
    """Return the mean of the pixels that lie in each of so many cells."""
    import numpy as np

    height, width = pixels.shape[:2]
    tall = np.repeat(pixels, -(-rows // height), axis=0)  # Where a picture is smaller.
    bounds = [
        np.linspace(0, of, n, endpoint=False).astype(int)
        for of, n in ((tall.shape[0], rows), (width, columns))
    ]
    sums = np.add.reduceat(np.add.reduceat(tall.astype(float), bounds[0], 0), bounds[1], 1)
    counts = [np.diff(bounds[0], append=tall.shape[0]), np.diff(bounds[1], append=width)]
    found: list[list[list[float]]] = (sums / np.outer(*counts)[..., None]).tolist()
    return found
