"""The style of figures. The page sets the colours of their text and lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bokeh.models import FixedTicker, HoverTool, NumeralTickFormatter
from bokeh.plotting import figure

from prep.text import unit_of

#: For splits and lines, in this order; distinct on white and on black.
PALETTE = ("#3b82f6", "#f59e0b", "#10b981", "#a855f7", "#ef4444", "#06b6d4", "#84cc16", "#ec4899")
CHANNEL_COLOURS = {"R": "#ef4444", "G": "#22c55e", "B": "#3b82f6", "gray": "#808080"}
#: Replaced by the page with the colour of its text.
INK = "#808080"
_INK_TAG = "ink"
_FONT = "system-ui, sans-serif"


def colour(number: int) -> str:
    """Return the colour of the split or line with this number."""
    return PALETTE[number % len(PALETTE)]


def make_figure(
    *, x: str, y: str, height: int = 240, tooltips: Sequence[tuple[str, str]] = (), **options: Any
) -> Any:
    """Return an empty figure as wide as the page, with tooltips as its only tool.

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
    """Show numbers in full, with commas, and as many decimal places as the ticks need."""
    axis.formatter = NumeralTickFormatter(format="0,0[.]0[00]")


def whole_numbers(axis: Any) -> None:
    """Show whole numbers only."""
    axis.formatter = NumeralTickFormatter(format="0,0")
    axis.ticker.min_interval = 1


def ticks(axis: Any, labels: dict[float, str]) -> None:
    """Set ticks at these values, with these texts."""
    axis.ticker = FixedTicker(ticks=list(labels))
    axis.major_label_overrides = labels


def in_ink(made: Any) -> Any:
    """Give a model the colour of the page's text."""
    made.tags = [_INK_TAG]
    return made


def tick_text(size: float) -> str:
    """Return a round size, without decimal places that say nothing.

    >>> tick_text(3000)
    '3 kB'
    """
    divisor, name = unit_of(size)
    return f"{size / divisor:g} {name}"
