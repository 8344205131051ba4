"""Things that all parts of the pages share: colours, style, templates, figures and headings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from bokeh.models import BasicTicker, Column, NumeralTickFormatter, Range1d
from bokeh.models.css import InlineStyleSheet
from bokeh.models.widgets import Div
from bokeh.plotting import figure
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from prep.monitoring.counts import ShardState
from prep.output.report.verdict import WRITTEN, State
from prep.text import duration, one_line, size_text

TEMPLATES = Path(__file__).parent / "templates"

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
    "leaks": RED,
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


@cache
def _macros() -> Any:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        finalize=lambda value: one_line(value) if type(value) is str else value,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "thousands": "{:,.0f}".format,
        "size": size_text,
        "duration": duration,
    }
    environment.globals |= {
        "state_colours": STATE_COLOURS,
        "shard_colours": SHARD_COLOURS,
        "blue": BLUE,
        "red": RED,
        "written": WRITTEN,
    }
    return environment.get_template("tiles.html.j2").module


def fill(macro: str, /, *values: object) -> str:
    """Return the HTML of a macro in ``templates/tiles``; all text in it is escaped."""
    return str(getattr(_macros(), macro)(*values))


@cache
def _css() -> str:
    return (TEMPLATES / "tiles.css").read_text()


def stylesheet() -> InlineStyleSheet:
    """Return the style of all texts, for a model that is not yet in a document."""
    return InlineStyleSheet(css=_css())


def live_figure(**options: Any) -> Any:
    """Return a figure in the style of the page.

    Its ranges are ours to set: a range that follows the data is computed by the browser, which
    then reports each change to the server.
    """
    plot: Any = figure(
        x_range=Range1d(start=0, end=1),
        y_range=Range1d(start=0, end=1),
        sizing_mode="stretch_both",
        min_height=240,
        toolbar_location=None,
        tools="",
        outline_line_color=None,
        **options,
    )
    plot.grid.grid_line_color = "#e8e8e8"
    plot.axis.axis_line_color = GREY
    plot.axis.major_tick_line_color = GREY
    plot.axis.minor_tick_line_color = None
    plot.axis.major_label_text_color = TEXT
    plot.axis.axis_label_text_font_style = "normal"
    plot.axis.axis_label_text_color = TEXT
    plot.axis.formatter = NumeralTickFormatter(format="0,0")
    # Whole numbers only: "0 1 1 2" would be those of every half.
    plot.axis.ticker = BasicTicker(min_interval=1, desired_num_ticks=6)
    return plot


class Card:
    """A figure under its heading, or a word in its place while there is too little to draw.

    Attributes:
        root: the model to place.
    """

    def __init__(self, plot: Any, *, drawn: bool = True) -> None:
        self._head = Div(sizing_mode="stretch_width", margin=0, stylesheets=[stylesheet()])
        self._said = ("", "")
        self._plot = plot
        plot.visible = drawn
        self.root = Column(children=[self._head, plot], sizing_mode="stretch_both", margin=0)

    def draw(self, heading: str, key: Mapping[str, str] | None = None) -> None:
        """Show the figure.

        Args:
            key: colours by what they stand for.
        """
        self._set(heading, key, "")

    def say(self, heading: str, word: str) -> None:
        """Say why there is no figure."""
        self._set(heading, None, word)

    def _set(self, heading: str, key: Mapping[str, str] | None, word: str) -> None:
        if (heading, word) == self._said:
            return
        self._said = heading, word
        self._head.text = fill("head", heading, key, word)
        self._plot.visible = not word


def show_times(plot: Any, seconds: Sequence[float]) -> None:
    """Set the horizontal axis to these times."""
    if seconds:
        plot.x_range.update(start=seconds[0], end=max(seconds[-1], seconds[0] + 1))


def some_ticks(count: int, most: int) -> list[int]:
    """Return ``range(count)``, or a part of it at regular distances.

    Set the ticks of a ticker rather than replace it: for a new one, Bokeh goes through all models
    of a page.

    >>> some_ticks(3, 4), some_ticks(100, 4)
    ([0, 1, 2], [0, 25, 50, 75])
    """
    return list(range(0, count, -(-count // most) or 1))
