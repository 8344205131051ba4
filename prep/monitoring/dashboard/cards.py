"""The colours of the pages.

A figure under its heading, or a word in its place while there is too little to be drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bokeh.models import BasicTicker, Column, NumeralTickFormatter, Range1d
from bokeh.models.css import InlineStyleSheet
from bokeh.models.widgets import Div
from bokeh.plotting import figure

from prep.monitoring.counts import ShardState
from prep.output.report.verdict import State

TEXT = "#333333"
GREY = "#8a8f98"
PALE = "#d9dee5"
BLUE = "#2374ab"
ORANGE = "#d9822b"
GREEN = "#2e8b50"
RED = "#c0392b"

#: Green is for what is good; a shard that is committed may be one of a run that has failed.
STATE_COLOURS: Mapping[State, str] = {
    "starting": GREY,
    "running": BLUE,
    "done": GREEN,
    "done with refusals": ORANGE,
    "too many refused": RED,
    "failed": RED,
    "stopped": GREY,
}

SHARD_COLOURS: Mapping[ShardState, str] = {
    "waiting": PALE,
    "running": ORANGE,
    "committed": BLUE,
    "failed": RED,
    "resumed": "#9cc3e0",
}

FEWEST_SAMPLES = 5  # of which a line is drawn
_STYLE = f"""
:host {{ color: {TEXT}; font: 14px Helvetica, Arial, sans-serif; width: 100%; }}
.bk-clearfix {{ width: 100%; }}
h2 {{ font-size: 14px; margin: 0 0 8px; overflow-wrap: anywhere; }}
p {{ margin: 0; line-height: 1.5; color: #666; }}
i {{ display: inline-block; width: 14px; height: 3px; margin: 0 5px 3px 12px; }}
"""


def make_figure(**options: Any) -> Any:
    """A figure in the style of the page.

    Its ranges are ours to set: one that follows the data is found out by the browser, which then
    tells the server of it at every change.
    """
    made: Any = figure(
        x_range=Range1d(start=0, end=1),
        y_range=Range1d(start=0, end=1),
        sizing_mode="stretch_both",
        min_height=240,
        toolbar_location=None,
        tools="",
        outline_line_color=None,
        **options,
    )
    made.grid.grid_line_color = "#e8e8e8"
    made.axis.axis_line_color = GREY
    made.axis.major_tick_line_color = GREY
    made.axis.minor_tick_line_color = None
    made.axis.major_label_text_color = TEXT
    made.axis.axis_label_text_font_style = "normal"
    made.axis.axis_label_text_color = TEXT
    made.axis.formatter = NumeralTickFormatter(format="0,0")
    # Whole numbers only: "0 1 1 2" would be those of every half.
    made.axis.ticker = BasicTicker(min_interval=1, desired_num_ticks=6)
    return made


class Card:
    """What is on the page of a figure.

    Attributes:
        root: the model to place.
    """

    def __init__(self, made: Any, *, drawn: bool = True) -> None:
        sheet = InlineStyleSheet(css=_STYLE)
        self._head = Div(sizing_mode="stretch_width", margin=0, stylesheets=[sheet])
        self._made = made
        made.visible = drawn
        self.root = Column(children=[self._head, made], sizing_mode="stretch_both", margin=0)

    def draw(self, heading: str) -> None:
        """Show the figure.

        Args:
            heading: as HTML.
        """
        self._set(f"<h2>{heading}</h2>", drawn=True)

    def say(self, heading: str, word: str) -> None:
        """Say why there is no figure."""
        self._set(f"<h2>{heading}</h2><p>{word}</p>", drawn=False)

    def _set(self, text: str, *, drawn: bool) -> None:
        if self._head.text != text:
            self._head.text = text
        if self._made.visible != drawn:
            self._made.visible = drawn


def show_times(made: Any, seconds: Sequence[float]) -> None:
    """Set the horizontal axis to these times."""
    if seconds:
        made.x_range.update(start=seconds[0], end=max(seconds[-1], seconds[0] + 1))


def some_ticks(count: int, most: int) -> list[int]:
    """All of ``range(count)``, or a part at regular distances.

    Tickers are given other ticks, and are not exchanged: Bokeh goes through all models of a page
    for a new one.

    >>> some_ticks(3, 4), some_ticks(100, 4)
    ([0, 1, 2], [0, 25, 50, 75])
    """
    return list(range(0, count, -(-count // most) or 1))
