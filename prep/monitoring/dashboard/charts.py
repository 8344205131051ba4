"""The figures of shards and of classes."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from bokeh.models import ColumnDataSource, FixedTicker, HoverTool, LinearColorMapper

from prep.monitoring.dashboard.cards import BLUE, PALE, SHARD_COLOURS, Card, live_figure, some_ticks
from prep.monitoring.runwatch import SHARD_STATES, RunWatch

_MOST_CLASSES_NAMED = 24
_MOST_NUMBERS = 8  # of more classes, on the axis of a narrow page
_MOST_CELLS_SEPARATED = 60  # in a row of shards


class ShardsFigure:
    """All shards in their order, as a grid of cells coloured by state."""

    def __init__(self) -> None:
        self._seen = b""
        self._shape = (0, 0)
        self._source = ColumnDataSource({"image": [], "dw": [], "dh": []})
        self._plot = live_figure()
        self._plot.image(
            image="image",
            x=0,
            y=0,
            dw="dw",
            dh="dh",
            source=self._source,
            color_mapper=LinearColorMapper(
                palette=[SHARD_COLOURS[state] for state in SHARD_STATES],
                low=-0.5,
                high=len(SHARD_STATES) - 0.5,
                nan_color="rgba(0, 0, 0, 0)",
            ),
        )
        self._plot.axis.visible = False
        self._plot.grid.grid_line_color = "#ffffff"
        self._plot.grid.level = "overlay"
        self._tickers = FixedTicker(ticks=[]), FixedTicker(ticks=[])
        self._plot.xgrid.ticker, self._plot.ygrid.ticker = self._tickers
        self._card = Card(self._plot)
        self.root = self._card.root

    def update(self, watch: RunWatch) -> None:
        """Show the state of a run."""
        states = watch.shard_states
        if states.tobytes() == self._seen:
            return
        self._seen = states.tobytes()
        grid = shard_grid(states)
        rows, columns = grid.shape
        self._source.data = {"image": [grid], "dw": [columns], "dh": [rows]}
        if grid.shape != self._shape:
            self._shape = grid.shape
            self._plot.x_range.update(start=0, end=columns)
            self._plot.y_range.update(start=0, end=rows)
            self._separate(rows, columns)
        counts = np.bincount(states, minlength=len(SHARD_STATES)).tolist()
        named = (f"{n:,} {state}" for n, state in zip(counts, SHARD_STATES, strict=True) if n)
        self._card.draw(f"Shards: {', '.join(named)}")

    def _separate(self, rows: int, columns: int) -> None:
        """Draw lines between cells, unless there are too many."""
        for ticker, cells in zip(self._tickers, (columns, rows), strict=True):
            ticker.ticks = list(range(cells + 1)) if cells <= _MOST_CELLS_SEPARATED else []


def shard_grid(states: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Return states as rows of cells, the first at the top left; NaN where there is no shard.

    >>> shard_grid(np.array([0, 1, 2, 2], np.uint8))
    array([[ 2., nan, nan],
           [ 0.,  1.,  2.]], dtype=float32)
    """
    columns = max(1, math.ceil(math.sqrt(2 * len(states) * 0.9)))
    rows = max(1, math.ceil(len(states) / columns))
    cells = np.full(rows * columns, np.nan, np.float32)
    cells[: len(states)] = states
    return cells.reshape(rows, columns)[::-1]


class ClassesFigure:
    """Images written and planned of each class, the largest first."""

    def __init__(self) -> None:
        self._run = ""
        self._order: list[int] = []
        self._source = ColumnDataSource({"x": [], "name": [], "planned": [], "done": []})
        self._plot = live_figure(y_axis_label="images")
        for name, colour in (("planned", PALE), ("done", BLUE)):
            self._plot.vbar("x", 0.9, name, source=self._source, color=colour, line_color=None)
        self._plot.xgrid.visible = False
        self._ticker = FixedTicker(ticks=[])
        self._plot.xaxis.ticker = self._ticker
        self._plot.add_tools(
            HoverTool(
                mode="vline",
                tooltips=[("class", "@name"), ("written", "@done{0,0} of @planned{0,0}")],
            )
        )
        self._card = Card(self._plot)
        self.root = self._card.root

    def update(self, watch: RunWatch) -> None:
        """Show the state of a run."""
        if watch.info.run != self._run:
            self._begin(watch)
        done = watch.classes_done[self._order]
        if not np.array_equal(done, self._source.data["done"]):
            self._source.patch({"done": [(slice(0, len(done)), done)]})

    def _begin(self, watch: RunWatch) -> None:
        self._run = watch.info.run
        planned: Mapping[str, int] = watch.info.classes
        names = list(planned)
        self._order = sorted(range(len(names)), key=lambda number: -planned[names[number]])
        ticks = range(len(names))
        self._source.data = {
            "x": np.array(ticks),
            "name": [names[number] for number in self._order],
            "planned": np.array([planned[names[number]] for number in self._order]),
            "done": np.zeros(len(names), np.int64),
        }
        self._plot.x_range.update(start=-0.5, end=max(len(names), 1) - 0.5)
        self._plot.y_range.end = 1.05 * max(planned.values(), default=1)
        few = len(names) <= _MOST_CLASSES_NAMED
        self._ticker.ticks = some_ticks(len(names), len(names) if few else _MOST_NUMBERS)
        self._plot.xaxis.major_label_overrides = {
            tick: names[self._order[tick]] if few else f"{tick + 1:,}" for tick in ticks
        }
        self._plot.xaxis.major_label_orientation = 0.6 if few else 0
        self._card.draw(f"Classes: images written of {len(names):,}")
