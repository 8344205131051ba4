"""How figures look. Their colours of text and lines are those of the page, which sets them.

Sizes, in the unit that suits them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bokeh.models import FixedTicker, HoverTool, NumeralTickFormatter
from bokeh.plotting import figure

from prep.text import unit_of

#: One after the other, for splits and lines; to be told apart on white and on black.
PALETTE = ("#3b82f6", "#f59e0b", "#10b981", "#a855f7", "#ef4444", "#06b6d4", "#84cc16", "#ec4899")
CHANNEL_COLOURS = {"R": "#ef4444", "G": "#22c55e", "B": "#3b82f6"}
#: Of what the page gives the colour of its text.
INK = "#808080"
_INK_TAG = "ink"
_FONT = "system-ui, sans-serif"


def colour(number: int) -> str:
    """The colour of the split or line with this number."""
    return PALETTE[number % len(PALETTE)]


def make_figure(
    *, x: str, y: str, height: int = 240, tooltips: Sequence[tuple[str, str]] = (), **options: Any
) -> Any:
    """An empty figure as wide as there is room, without tools but for what is shown on hovering.

    Args:
        x, y: titles of the axes.
        height: in pixels.
        tooltips: pairs of a name and a Bokeh template.
        options: for ``bokeh.plotting.figure``.
    """
    made = figure(
        height=height,
        sizing_mode="stretch_width",
        min_width=200,
        tools="",
        toolbar_location=None,
        x_axis_label=x,
        y_axis_label=y,
        background_fill_color=None,
        border_fill_color=None,
        outline_line_color=None,
        **options,
    )
    if tooltips:
        made.add_tools(HoverTool(tooltips=list(tooltips)))
    for axis in made.axis:
        axis.axis_label_text_font_style = "normal"
        axis.axis_label_text_font_size = "12px"
        axis.major_label_text_font_size = "12px"
        axis.minor_tick_line_color = None
        axis.major_tick_in = 0
        axis.axis_label_text_font = axis.major_label_text_font = _FONT
    made.xgrid.grid_line_color = None
    if options.get("x_axis_type") != "log":
        numbers(made.xaxis)
    numbers(made.yaxis)
    return made


def numbers(axis: Any) -> None:
    """Numbers in full, with commas, and no more places than their ticks need."""
    axis.formatter = NumeralTickFormatter(format="0,0[.]0[00]")


def whole_numbers(axis: Any) -> None:
    """The same for what is counted: no ticks in between."""
    axis.formatter = NumeralTickFormatter(format="0,0")
    axis.ticker.min_interval = 1


def ticks(axis: Any, labels: dict[float, str]) -> None:
    """Ticks at these values, and their texts."""
    axis.ticker = FixedTicker(ticks=list(labels))
    axis.major_label_overrides = labels


def in_ink(made: Any) -> Any:
    """Has the page give this the colour of its text."""
    made.tags = [_INK_TAG]
    return made


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
