"""Figures of how a run went: shards by worker, throughput, processor time."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from bokeh.models import ColumnDataSource, NumeralTickFormatter
from bokeh.models.annotations import Span

from prep.display.page.figures.style import colour, in_ink, make_figure, ticks
from prep.output.receipt import ShardReceipt
from prep.output.report.history import History, rates
from prep.text import duration, one_line, unit_of

# A longer time without a shard under way is a pause between two parts of a run. The figure keeps a
# small gap in its place.
_PAUSE = 30.0  # seconds
_GAP = 0.02
_MOST_NAMED_WORKERS = 32
_MOST_LINES = 8  # of workers, each with one of its own

Column = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """Times at which shards were under way, in seconds, without the pauses between parts of a run.

    Attributes:
        starts: of each shard.
        pauses: (where, how long in seconds) of what was cut out.
        length: of it all.
    """

    starts: tuple[float, ...]
    pauses: tuple[tuple[float, float], ...]
    length: float


def lay_out(receipts: Sequence[ShardReceipt]) -> Timeline:
    """Return the timeline of shards, in the given order."""
    order = sorted(range(len(receipts)), key=lambda number: receipts[number].began)
    first = receipts[order[0]].began
    under_way = sum(receipt.seconds for receipt in receipts)
    starts, pauses = [0.0] * len(receipts), []
    cut, end = 0.0, first
    for number in order:
        receipt = receipts[number]
        if receipt.began - end > _PAUSE:
            gap = _GAP * max(end - first - cut, min(under_way, _PAUSE))
            pauses.append((end - first - cut + gap / 2, receipt.began - end))
            cut += receipt.began - end - gap
        starts[number] = receipt.began - first - cut
        end = max(end, receipt.began + receipt.seconds)
    return Timeline(starts=tuple(starts), pauses=tuple(pauses), length=end - first - cut)


def shard_timeline(receipts: Sequence[ShardReceipt], splits: Sequence[str]) -> Any:
    """Return a row for each worker, with a bar for each shard that it wrote."""
    timeline = lay_out(receipts)
    workers = list(dict.fromkeys(r.worker for r in sorted(receipts, key=lambda r: r.began)))
    rows = {worker: len(workers) - place for place, worker in enumerate(workers)}
    plot = make_figure(
        x="seconds",
        y="",
        height=min(90 + 26 * len(workers), 560),
        y_range=(0.4, len(workers) + 0.6),
        tooltips=[("shard", "@name"), ("worker", "@worker"), ("took", "@took")],
    )
    for number, split in enumerate(splits):
        mine = [p for p in zip(receipts, timeline.starts, strict=True) if p[0].split == split]
        if not mine:
            continue
        source = ColumnDataSource(
            {
                "y": [rows[receipt.worker] for receipt, _ in mine],
                "left": [start for _, start in mine],
                "right": [start + receipt.seconds for receipt, start in mine],
                "name": [f"{one_line(split)} {receipt.index}" for receipt, _ in mine],
                "worker": [one_line(receipt.worker) for receipt, _ in mine],
                "took": [f"{receipt.seconds:.1f} s" for receipt, _ in mine],
            }
        )
        plot.hbar(
            y="y",
            left="left",
            right="right",
            height=0.72,
            source=source,
            color=colour(number),
            fill_alpha=0.8,
            line_color=None if len(receipts) > 400 else colour(number),
        )
    _name_rows(plot, rows)
    for place, _ in timeline.pauses:
        _mark_pause(plot, place)
    plot.x_range.start, plot.x_range.end = 0, timeline.length or 1
    return plot


def _name_rows(plot: Any, rows: Mapping[str, int]) -> None:
    plot.ygrid.grid_line_color = None
    if len(rows) > _MOST_NAMED_WORKERS:
        plot.yaxis.visible = False
        return
    names = short_names(list(rows))
    ticks(plot.yaxis[0], {place: names[worker] for worker, place in rows.items()})
    plot.yaxis.major_tick_line_color = None
    plot.yaxis.axis_line_color = None


def short_names(names: Sequence[str]) -> dict[str, str]:
    """Return names shortened, and without the host if all are on the same.

    >>> short_names(["node:71", "node:72"])
    {'node:71': '71', 'node:72': '72'}
    """
    hosts = {name.rpartition(":")[0] for name in names}
    shown = {name: one_line(name.rpartition(":")[2] if len(hosts) == 1 else name) for name in names}
    return {name: text if len(text) <= 18 else f"…{text[-17:]}" for name, text in shown.items()}


def _mark_pause(plot: Any, place: float) -> None:
    line = Span(location=place, dimension="height", line_dash="dotted", line_width=1.5)
    plot.add_layout(in_ink(line))


def describe_pauses(pauses: Sequence[tuple[float, float]]) -> str:
    """Return what the dotted lines stand for; empty if there are none."""
    if not pauses:
        return ""
    lengths = ", ".join(duration(seconds) for _, seconds in pauses[:5])
    more = " …" if len(pauses) > 5 else ""
    return f"Dotted lines stand for pauses between parts of the run ({lengths}{more})."


class _Part(NamedTuple):
    """One part of a run, at its place in a figure of all parts."""

    history: History
    seconds: Column


def _parts(histories: Sequence[History]) -> list[_Part]:
    """Return each part from its first sample on; before that, workers were starting."""
    parts, at = [], 0.0
    length = sum(history.seconds[-1] - history.seconds[0] for history in histories)
    for history in histories:
        seconds = np.asarray(history.seconds, float)
        seconds -= seconds[0]
        parts.append(_Part(history, seconds + at))
        at += float(seconds[-1]) + _GAP * length
    return parts


def usable(histories: Sequence[History]) -> list[History]:
    """Return the histories that can be drawn: those with two samples, and times that rise."""
    return [
        history
        for history in histories
        if len(history.seconds) > 1 and all(a < b for a, b in itertools.pairwise(history.seconds))
    ]


def image_rate(histories: Sequence[History]) -> Any:
    """Return images per second over time."""
    plot = make_figure(
        x="seconds",
        y="images/s",
        height=220,
        tooltips=[("images/s", "@y{0,0}"), ("at", "@x{0,0} s")],
    )
    for part in _parts(histories):
        y = rates(part.history.seconds, part.history.images)
        source = ColumnDataSource({"x": part.seconds, "y": y})
        plot.varea(x="x", y1=0, y2="y", source=source, color=colour(0), alpha=0.15)
        plot.line("x", "y", source=source, color=colour(0), line_width=2)
    return _over_time(plot, histories)


def byte_rates(histories: Sequence[History]) -> Any:
    """Return bytes read and written per second over time."""
    divisor, unit = unit_of(
        max(
            float(rates(history.seconds, total).max())
            for history in histories
            for total in (history.bytes_read, history.bytes_written)
        )
    )
    unit += "/s"
    plot = make_figure(
        x="seconds", y=unit, height=220, tooltips=[(unit, "@y{0,0.0}"), ("at", "@x{0,0} s")]
    )
    for part in _parts(histories):
        for number, total in enumerate((part.history.bytes_read, part.history.bytes_written)):
            y = rates(part.history.seconds, total) / divisor
            source = ColumnDataSource({"x": part.seconds, "y": y})
            plot.line("x", "y", source=source, color=colour(number), line_width=2)
    return _over_time(plot, histories)


def processor_time(histories: Sequence[History]) -> Any:
    """Return use of the cores by workers and hosts; of many workers, their middle and range."""
    plot = make_figure(
        x="seconds",
        y="%",
        height=240,
        tooltips=[("", "@name"), ("in use", "@y{0,0}%"), ("at", "@x{0,0} s")],
    )
    names = list(dict.fromkeys(name for history in histories for name in history.workers))
    for part in _parts(histories):
        if len(names) > _MOST_LINES:
            _draw_range(plot, part)
        else:
            labels = short_names(names)
            for number, name in enumerate(names):
                _draw_line(plot, part, part.history.workers.get(name), labels[name], colour(number))
        hosts = list(part.history.hosts)
        if len(hosts) <= _MOST_LINES // 3:
            for name in hosts:
                label = "all cores" if len(hosts) == 1 else f"{one_line(name)}, all cores"
                line = _draw_line(plot, part, part.history.hosts[name], label, None)
                if line is not None:
                    in_ink(line)
    columns = [c for h in histories for c in (*h.workers.values(), *h.hosts.values())]
    highest = max((v for column in columns for v in column if v is not None), default=0)
    plot.y_range.end = max(100, highest) * 1.02
    plot.yaxis.formatter = NumeralTickFormatter(format="0,0")
    return _over_time(plot, histories)


def worker_key(histories: Sequence[History]) -> list[tuple[str, int]]:
    """Return the legend of :func:`processor_time`."""
    names = short_names(list(dict.fromkeys(name for h in histories for name in h.workers)))
    if len(names) > _MOST_LINES:
        return [("the middle worker, and within which eight of ten are", 0)]
    return [(name, number) for number, name in enumerate(names.values())]


def _draw_line(
    plot: Any, part: _Part, values: Sequence[float | None] | None, name: str, shade: str | None
) -> Any:
    """Draw the known values; return the glyph, or None if there are no values."""
    if values is None:
        return None
    y = np.array([np.nan if value is None else value for value in values], float)
    source = ColumnDataSource({"x": part.seconds, "y": y, "name": [name] * len(y)})
    line = plot.line(
        "x",
        "y",
        source=source,
        color=shade or "#808080",
        line_width=1.5,
        line_dash="solid" if shade else "dashed",
        alpha=0.9,
    )
    return line.glyph


def _draw_range(plot: Any, part: _Part) -> None:
    columns = part.history.workers.values()
    table = np.array([[np.nan if v is None else v for v in column] for column in columns], float)
    here = ~np.isnan(table).all(axis=0)
    low, middle, high = np.nanpercentile(table[:, here], (10, 50, 90), axis=0)
    x = part.seconds[here]
    plot.varea(x=x, y1=low, y2=high, color=colour(0), alpha=0.2)
    source = ColumnDataSource({"x": x, "y": middle, "name": ["the middle worker"] * len(x)})
    plot.line("x", "y", source=source, color=colour(0), line_width=2)


def _over_time(plot: Any, histories: Sequence[History]) -> Any:
    parts = _parts(histories)
    for before, after in itertools.pairwise(parts):
        _mark_pause(plot, float(before.seconds[-1] + after.seconds[0]) / 2)
    plot.x_range.start, plot.x_range.end = 0, float(parts[-1].seconds[-1])
    plot.y_range.start = 0
    return plot
