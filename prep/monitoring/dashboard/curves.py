"""The figures of what is measured over time."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import numpy.typing as npt
from bokeh.models import (
    BasicTicker,
    ColumnDataSource,
    FixedTicker,
    HoverTool,
    LinearColorMapper,
    NumeralTickFormatter,
    PrintfTickFormatter,
)
from bokeh.models.annotations import ColorBar

from prep.monitoring.dashboard.cards import (
    BLUE,
    FEWEST_SAMPLES,
    ORANGE,
    Card,
    live_figure,
    show_times,
    some_ticks,
)
from prep.monitoring.runwatch import RunWatch
from prep.output.report.history import rates

_MOST_ROWS_NAMED = 12  # workers whose names there is room for
_CPU_COLOURS = ("#f3f5f7", "#dcebf7", "#b5d4ec", "#86b8dd", "#4f97c9", "#2374ab", "#0f5488")
_PERCENTS = [0, 25, 50, 75, 100]


class Samples:
    """The samples that a figure has drawn; a new one comes once a second."""

    def __init__(self) -> None:
        self._seen: tuple[str, bool, int, int] = ("", False, 0, 0)

    def changed(self, watch: RunWatch) -> bool:
        """Return whether there are others since the last call."""
        recorder = watch.recorder
        now = (watch.info.run, watch.verdict.ended, len(recorder.samples), recorder.every)
        before, self._seen = self._seen, now
        return now != before


class RatesFigure:
    """Images per second, and bytes read and written per second, over time."""

    def __init__(self) -> None:
        self._samples = Samples()
        self._source = ColumnDataSource({"seconds": [], "images": [], "read": [], "written": []})
        self._images = live_figure(x_axis_label="seconds", y_axis_label="images/s")
        self._images.line("seconds", "images", source=self._source, color=BLUE, line_width=2)
        self._images.varea("seconds", 0, "images", source=self._source, fill_color=BLUE, alpha=0.12)
        self._bytes = live_figure(x_axis_label="seconds", y_axis_label="MB/s")
        self._bytes.yaxis.formatter = NumeralTickFormatter(format="0,0.[0]")
        self._bytes.yaxis.ticker = BasicTicker(min_interval=0.1, desired_num_ticks=6)
        for name, colour in (("read", BLUE), ("written", ORANGE)):
            self._bytes.line("seconds", name, source=self._source, color=colour, line_width=2)
        self.images = Card(self._images, drawn=False)
        self.bytes = Card(self._bytes, drawn=False)

    def update(self, watch: RunWatch) -> None:
        """Show the state of a run."""
        if not self._samples.changed(watch):
            return
        samples = watch.recorder.samples
        if len(samples) < FEWEST_SAMPLES or samples[0].images == samples[-1].images:
            self.images.say("Images per second", _too_few(watch))
            self.bytes.say("Megabytes per second", _too_few(watch))
            return
        seconds = [sample.seconds for sample in samples]
        data = {
            "images": rates(seconds, [s.images for s in samples]),
            "read": rates(seconds, [s.bytes_read / 1e6 for s in samples]),
            "written": rates(seconds, [s.bytes_written / 1e6 for s in samples]),
        }
        self._source.data = {"seconds": np.array(seconds), **data}
        for plot, names in ((self._images, ["images"]), (self._bytes, ["read", "written"])):
            show_times(plot, seconds)
            highest = max(float(data[name].max(initial=0)) for name in names)
            plot.y_range.end = max(1.1 * highest, 1)
        self.images.draw("Images per second")
        self.bytes.draw("Megabytes per second", {"read": BLUE, "written": ORANGE})


def _too_few(watch: RunWatch) -> str:
    """Return why there is no figure."""
    if watch.verdict.ended:
        return "The run was too short to tell."
    return "Waiting for a few more measurements; there is one per second."


class HostsFigure:
    """Use of all cores of each host, over time."""

    def __init__(self) -> None:
        self._samples = Samples()
        self._source = ColumnDataSource({"xs": [], "ys": [], "name": []})
        self._plot = live_figure(x_axis_label="seconds", y_axis_label="of all cores")
        self._plot.y_range.end = 103
        self._plot.yaxis.ticker = FixedTicker(ticks=_PERCENTS)
        self._plot.yaxis.formatter = _percent_labels()
        self._plot.multi_line("xs", "ys", source=self._source, color=BLUE, line_width=2, alpha=0.8)
        self._plot.add_tools(HoverTool(tooltips=[("host", "@name")]))
        self._card = Card(self._plot, drawn=False)
        self.root = self._card.root

    def update(self, watch: RunWatch) -> None:
        """Show the state of a run."""
        if not self._samples.changed(watch):
            return
        samples = [sample for sample in watch.recorder.samples if sample.hosts]
        if len(samples) < FEWEST_SAMPLES:
            self._card.say("CPU of hosts", _too_few(watch))
            return
        lines: defaultdict[str, tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))
        for sample in samples:
            for name, percent in sample.hosts.items():
                xs, ys = lines[name]
                xs.append(sample.seconds)
                ys.append(percent)
        self._source.data = {
            "xs": [np.array(xs) for xs, _ in lines.values()],
            "ys": [np.array(ys) for _, ys in lines.values()],
            "name": list(lines),
        }
        show_times(self._plot, [sample.seconds for sample in samples])
        used = watch.recorder.mean_percent(list(lines)) or 0
        self._card.draw(f"CPU of hosts: {used:.0f}% of all cores in use, on average")


def _percent_labels() -> PrintfTickFormatter:
    return PrintfTickFormatter(format="%d%%")


class WorkersFigure:
    """Use of the processor by each worker, over time: a row per worker, dark where it is busy."""

    def __init__(self) -> None:
        self._samples = Samples()
        self._names: list[str] = []
        self._rows: list[npt.NDArray[np.uint8]] = []
        self._drawn: tuple[str, int] = ("", 0)
        self._source = ColumnDataSource({"image": [], "x": [], "y": [], "dw": [], "dh": []})
        colours = LinearColorMapper(palette=_CPU_COLOURS, low=0, high=100)
        self._plot = live_figure(x_axis_label="seconds")
        self._plot.image(
            image="image",
            x="x",
            y="y",
            dw="dw",
            dh="dh",
            source=self._source,
            color_mapper=colours,
        )
        scale = ColorBar(
            color_mapper=colours,
            ticker=FixedTicker(ticks=_PERCENTS),
            formatter=_percent_labels(),
            width=12,
            padding=4,
        )
        self._plot.add_layout(scale, "right")
        self._plot.grid.grid_line_color = None
        self._ticker = FixedTicker(ticks=[])
        self._plot.yaxis.ticker = self._ticker
        self._plot.add_tools(HoverTool(tooltips=[("second", "$x{0}"), ("CPU", "@image%")]))
        self._card = Card(self._plot, drawn=False)
        self.root = self._card.root

    def update(self, watch: RunWatch) -> None:
        """Show the state of a run."""
        if not self._samples.changed(watch):
            return
        samples = [sample for sample in watch.recorder.samples if sample.workers]
        if len(samples) < FEWEST_SAMPLES:
            self._card.say("CPU of workers", _too_few(watch))
            return
        names = list(dict.fromkeys((*self._names, *samples[-1].workers)))
        of = (watch.info.run, watch.recorder.every)
        if of != self._drawn or names != self._names or len(self._rows) > len(samples):
            names = list(dict.fromkeys(name for s in samples for name in s.workers))
            self._drawn, self._names, self._rows = of, names, []
            self._name_rows()
        for sample in samples[len(self._rows) :]:
            percents = [min(sample.workers.get(name, 0), 100) for name in names]
            self._rows.append(np.array(percents, np.uint8))
        end = samples[-1].seconds
        show_times(self._plot, [sample.seconds for sample in samples])
        self._plot.y_range.update(start=-0.5, end=len(names) - 0.5)
        self._source.data = {
            "image": [np.stack(self._rows, axis=1)],
            "x": [samples[0].seconds],
            "y": [-0.5],
            "dw": [max(end - samples[0].seconds, 1)],
            "dh": [len(names)],
        }
        used = watch.recorder.mean_percent(names) or 0
        self._card.draw(f"CPU of workers: {used:.0f}% of a core each, on average")

    def _name_rows(self) -> None:
        self._ticker.ticks = some_ticks(len(self._names), _MOST_ROWS_NAMED)
        self._plot.yaxis.major_label_overrides = dict(enumerate(self._names))
