"""The figures of the pages: each is a Bokeh model, and brings itself up to date."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from bokeh.models import (
    ColumnDataSource,
    FixedTicker,
    HoverTool,
    LinearColorMapper,
    NumeralTickFormatter,
    Range1d,
)
from bokeh.models.annotations import Span
from bokeh.plotting import figure

from prep.dashboard.colours import BLUE, GREY, ORANGE, PALE, SHARD_COLOURS, TEXT
from prep.watching.history import BUSY, Recorder, rates
from prep.watching.runwatch import SHARD_STATES, RunWatch

_MOST_ROWS_NAMED = 12  # workers whose names there is room for
_MOST_CLASSES_NAMED = 24
_MOST_CELLS_SEPARATED = 60  # in a row of shards
_CPU_COLOURS = ("#f3f5f7", "#dcebf7", "#b5d4ec", "#86b8dd", "#4f97c9", "#2374ab", "#0f5488")


def _figure(title: str, **options: Any) -> Any:
    """A figure in the style of the page.

    Its ranges are ours to set: one that follows the data is found out by the browser, which then
    tells the server of it at every change.
    """
    made: Any = figure(
        x_range=Range1d(start=0, end=1),
        y_range=Range1d(start=0, end=1),
        title=title,
        sizing_mode="stretch_both",
        min_height=220,
        toolbar_location=None,
        tools="",
        outline_line_color=None,
        **options,
    )
    made.title.text_font_size = "14px"
    made.title.text_color = TEXT
    made.grid.grid_line_color = "#e8e8e8"
    made.axis.axis_line_color = GREY
    made.axis.major_tick_line_color = GREY
    made.axis.minor_tick_line_color = None
    made.axis.major_label_text_color = TEXT
    made.axis.axis_label_text_font_style = "normal"
    made.axis.axis_label_text_color = TEXT
    return made


def _legend(made: Any) -> None:
    made.legend.location = "bottom_left"
    made.legend.orientation = "horizontal"
    made.legend.background_fill_alpha = 0.7
    made.legend.border_line_color = None
    made.legend.label_text_color = TEXT
    made.legend.padding = 4


def _some(count: int, most: int) -> list[int]:
    """All of ``range(count)``, or a part at regular distances.

    Tickers are given other ticks, and are not exchanged: Bokeh goes through all models of a page
    for a new one.

    >>> _some(3, 4), _some(100, 4)
    ([0, 1, 2], [0, 25, 50, 75])
    """
    return list(range(0, count, -(-count // most) or 1))


def _show_times(made: Any, seconds: Sequence[float]) -> None:
    if seconds:
        made.x_range.update(start=seconds[0], end=max(seconds[-1], seconds[0] + 1))


class Samples:
    """Tells whether there is anything new to be drawn: measurements come once a second."""

    def __init__(self) -> None:
        self._seen: tuple[str, int, int] = ("", 0, 0)

    def changed(self, watch: RunWatch) -> bool:
        recorder = watch.recorder
        now = (watch.info.run, len(recorder.samples), recorder.every)
        before, self._seen = self._seen, now
        return now != before


class RatesFigure:
    """Images a second, and megabytes a second in and out, over time."""

    def __init__(self) -> None:
        self._samples = Samples()
        self._source = ColumnDataSource({"seconds": [], "images": [], "read": [], "written": []})
        self.images = _figure("Images a second", x_axis_label="seconds", y_axis_label="images/s")
        self.images.line("seconds", "images", source=self._source, color=BLUE, line_width=2)
        self.images.varea("seconds", 0, "images", source=self._source, fill_color=BLUE, alpha=0.12)
        self.bytes = _figure("Megabytes a second", x_axis_label="seconds", y_axis_label="MB/s")
        for name, colour, label in (("read", BLUE, "read"), ("written", ORANGE, "written")):
            self.bytes.line(
                "seconds", name, source=self._source, color=colour, line_width=2, legend_label=label
            )
        _legend(self.bytes)
        self.images.yaxis.formatter = NumeralTickFormatter(format="0,0")

    def update(self, watch: RunWatch) -> None:
        if not self._samples.changed(watch):
            return
        samples = watch.recorder.samples
        seconds = [sample.seconds for sample in samples]
        data = {
            "images": rates(seconds, [s.images for s in samples]),
            "read": rates(seconds, [s.bytes_read / 1e6 for s in samples]),
            "written": rates(seconds, [s.bytes_written / 1e6 for s in samples]),
        }
        self._source.data = {"seconds": np.array(seconds), **data}
        for made, names in ((self.images, ["images"]), (self.bytes, ["read", "written"])):
            _show_times(made, seconds)
            highest = max(float(data[name].max(initial=0)) for name in names)
            made.y_range.end = max(1.1 * highest, 1)


class HostsFigure:
    """Processor time in use on each host, over time."""

    def __init__(self) -> None:
        self._samples = Samples()
        self._source = ColumnDataSource({"xs": [], "ys": [], "name": []})
        self.root = _figure("CPU of hosts", x_axis_label="seconds", y_axis_label="% of all cores")
        self.root.y_range.end = 103
        self.root.multi_line("xs", "ys", source=self._source, color=BLUE, line_width=2, alpha=0.8)
        self.root.add_layout(
            Span(location=BUSY, dimension="width", line_color=GREY, line_dash="dashed")
        )
        self.root.add_tools(HoverTool(tooltips=[("host", "@name")]))

    def update(self, watch: RunWatch) -> None:
        if not self._samples.changed(watch):
            return
        names = list(dict.fromkeys(n for s in watch.recorder.samples for n in s.hosts))
        lines = [
            [(s.seconds, s.hosts[n]) for s in watch.recorder.samples if n in s.hosts] for n in names
        ]
        self._source.data = {
            "xs": [np.array([x for x, _ in line]) for line in lines],
            "ys": [np.array([y for _, y in line]) for line in lines],
            "name": names,
        }
        _show_times(self.root, [sample.seconds for sample in watch.recorder.samples])
        self.root.title.text = f"CPU of hosts: {_busy(watch.recorder, names)}"


class WorkersFigure:
    """Processor time that each worker takes, over time: a row a worker, dark where it is busy."""

    def __init__(self) -> None:
        self._samples = Samples()
        self._names: list[str] = []
        self._rows: list[npt.NDArray[np.uint8]] = []
        self._drawn: tuple[str, int] = ("", 0)
        self._source = ColumnDataSource({"image": [], "x": [], "y": [], "dw": [], "dh": []})
        self.root = _figure("CPU of workers", x_axis_label="seconds")
        self.root.image(
            image="image",
            x="x",
            y="y",
            dw="dw",
            dh="dh",
            source=self._source,
            color_mapper=LinearColorMapper(palette=_CPU_COLOURS, low=0, high=100),
        )
        self.root.grid.grid_line_color = None
        self._ticker = FixedTicker(ticks=[])
        self.root.yaxis.ticker = self._ticker
        self.root.add_tools(HoverTool(tooltips=[("second", "$x{0}"), ("CPU", "@image %")]))

    def update(self, watch: RunWatch) -> None:
        if not self._samples.changed(watch):
            return
        samples = watch.recorder.samples
        names = list(dict.fromkeys((*self._names, *(samples[-1].workers if samples else ()))))
        of = (watch.info.run, watch.recorder.every)
        if of != self._drawn or names != self._names or len(self._rows) > len(samples):
            names = list(dict.fromkeys(name for s in samples for name in s.workers))
            self._drawn, self._names, self._rows = of, names, []
            self._name_rows()
        for sample in samples[len(self._rows) :]:
            percents = [min(sample.workers.get(name, 0), 100) for name in names]
            self._rows.append(np.array(percents, np.uint8))
        if not names:  # A run that has just begun.
            self._source.data = {name: [] for name in self._source.data}
            self.root.title.text = "CPU of workers"
            return
        end = samples[-1].seconds
        _show_times(self.root, [sample.seconds for sample in samples])
        self.root.y_range.update(start=-0.5, end=len(names) - 0.5)
        self._source.data = {
            "image": [np.stack(self._rows, axis=1)],
            "x": [samples[0].seconds],
            "y": [-0.5],
            "dw": [max(end - samples[0].seconds, 1)],
            "dh": [len(names)],
        }
        self.root.title.text = f"CPU of workers: {_busy(watch.recorder, names)}"

    def _name_rows(self) -> None:
        self._ticker.ticks = _some(len(self._names), _MOST_ROWS_NAMED)
        self.root.yaxis.major_label_overrides = dict(enumerate(self._names))


def _busy(recorder: Recorder, names: list[str]) -> str:
    """``95 % or more in 98.9 % of the time``."""
    shares = [share for name, share in recorder.busy().items() if name in names]
    if not shares:
        return "nothing measured yet"
    share = 100 * sum(shares) / len(shares)
    return f"at {BUSY:.0f} % or above for {share:.1f} % of the time"


class ShardsFigure:
    """All shards, in their order, as a grid of cells that are coloured by their states."""

    def __init__(self) -> None:
        self._seen = b""
        self._shape = (0, 0)
        self._source = ColumnDataSource({"image": [], "dw": [], "dh": []})
        self.root = _figure("Shards")
        self.root.image(
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
        self.root.axis.visible = False
        self.root.grid.grid_line_color = "#ffffff"
        self.root.grid.level = "overlay"
        self._tickers = FixedTicker(ticks=[]), FixedTicker(ticks=[])
        self.root.xgrid.ticker, self.root.ygrid.ticker = self._tickers

    def update(self, watch: RunWatch) -> None:
        states = watch.shard_states
        if states.tobytes() == self._seen:
            return
        self._seen = states.tobytes()
        grid = shard_grid(states)
        rows, columns = grid.shape
        self._source.data = {"image": [grid], "dw": [columns], "dh": [rows]}
        if grid.shape != self._shape:
            self._shape = grid.shape
            self.root.x_range.update(start=-0.02 * columns, end=1.02 * columns)
            self.root.y_range.update(start=-0.02 * rows, end=1.02 * rows)
            self._separate(rows, columns)
        counts = np.bincount(states, minlength=len(SHARD_STATES)).tolist()
        named = (f"{n:,} {state}" for n, state in zip(counts, SHARD_STATES, strict=True) if n)
        self.root.title.text = f"Shards: {', '.join(named)}"

    def _separate(self, rows: int, columns: int) -> None:
        """Draws lines between cells, where there are not too many."""
        for ticker, cells in zip(self._tickers, (columns, rows), strict=True):
            ticker.ticks = list(range(cells + 1)) if cells <= _MOST_CELLS_SEPARATED else []


def shard_grid(states: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """States as rows of cells, the first on top at the left; NaN where there is no shard.

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
    """Images written of each class, the largest first, before the number that is planned."""

    def __init__(self) -> None:
        self._run = ""
        self._order: list[int] = []
        self._source = ColumnDataSource({"x": [], "name": [], "planned": [], "done": []})
        self.root = _figure("Classes", y_axis_label="images")
        for name, colour in (("planned", PALE), ("done", BLUE)):
            self.root.vbar("x", 0.9, name, source=self._source, color=colour, line_color=None)
        self.root.xgrid.visible = False
        self._ticker = FixedTicker(ticks=[])
        self.root.xaxis.ticker = self._ticker
        self.root.yaxis.formatter = NumeralTickFormatter(format="0,0")
        self.root.add_tools(
            HoverTool(
                mode="vline",
                tooltips=[("class", "@name"), ("written", "@done{0,0} of @planned{0,0}")],
            )
        )

    def update(self, watch: RunWatch) -> None:
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
        self.root.x_range.update(start=-0.5, end=max(len(names), 1) - 0.5)
        self.root.y_range.end = 1.05 * max(planned.values(), default=1)
        few = len(names) <= _MOST_CLASSES_NAMED
        self._ticker.ticks = _some(len(names), _MOST_CLASSES_NAMED)
        self.root.xaxis.major_label_overrides = {
            tick: names[self._order[tick]] if few else f"{tick + 1:,}" for tick in ticks
        }
        self.root.xaxis.major_label_orientation = 0.6 if few else 0
        self.root.title.text = f"Classes: images written of {len(names):,}"
