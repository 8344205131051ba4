"""Figures of what is in an output: classes, sources, channels, shards."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from bokeh.models import ColumnDataSource
from bokeh.models.annotations import BoxAnnotation, Span

from prep.display.page.figures.style import (
    CHANNEL_COLOURS,
    INK,
    colour,
    in_ink,
    make_figure,
    tick_text,
    ticks,
    whole_numbers,
)
from prep.display.page.samples import Counts
from prep.images.dimensions import ASPECTS_PER_OCTAVE, SIDES_PER_OCTAVE
from prep.output.receipt import ShardReceipt
from prep.text import one_line, size_text, unit_of

_ASPECTS = {
    **{1 / 3: "1:3", 1 / 2: "1:2", 9 / 16: "9:16", 2 / 3: "2:3", 3 / 4: "3:4", 1: "1:1"},
    **{4 / 3: "4:3", 3 / 2: "3:2", 16 / 9: "16:9", 2: "2:1", 3: "3:1"},
}
#: Aspects beyond this bin, either way, are counted and not drawn: 4:1.
WIDEST = 2 * ASPECTS_PER_OCTAVE
_SIZES_PER_OCTAVE = 3
_MOST_BARS = 2000


def class_profile(counts: Sequence[tuple[str, int]]) -> Any:
    """Return images per class, the largest first.

    Args:
        counts: (class, images), in that order.
    """
    plot = make_figure(
        x="classes, the largest first",
        y="images",
        tooltips=[("class", "@name"), ("images", "@images{0,0}")],
    )
    source = ColumnDataSource(
        {
            "x": np.arange(len(counts)) + 1,
            "images": [images for _, images in counts],
            "name": [one_line(name) for name, _ in counts],
        }
    )
    plot.vbar(x="x", top="images", width=1, source=source, color=colour(0), line_color=None)
    plot.y_range.start = 0
    whole_numbers(plot.yaxis)
    whole_numbers(plot.xaxis)
    return plot


def side_histogram(bins: Mapping[int, int]) -> Any:
    """Return images by their shorter side; see :class:`prep.images.dimensions.Dimensions`."""
    edges = {number: 2 ** (number / SIDES_PER_OCTAVE) for number in range(min(bins), max(bins) + 2)}
    plot = _histogram(
        "shorter side, in pixels",
        [(edges[number], edges[number + 1], images) for number, images in sorted(bins.items())],
        "@left{0,0} to @right{0,0} pixels",
    )
    low, high = edges[min(bins)], edges[max(bins) + 1]
    ticks(plot.xaxis[0], {value: f"{value:,.0f}" for value in _doublings(low, high)})
    return plot


def aspect_histogram(bins: Mapping[int, int]) -> Any:
    """Return images by width over height; see :class:`prep.images.dimensions.Dimensions`."""
    halves = 2 * ASPECTS_PER_OCTAVE
    rows = [
        (2 ** ((2 * number - 1) / halves), 2 ** ((2 * number + 1) / halves), images)
        for number, images in sorted(bins.items())
        if abs(number) <= WIDEST
    ] or [(1.0, 1.0, 0)]
    plot = _histogram("width : height", rows, "@left{0.00} to @right{0.00}")
    low, high = min(rows[0][0], 0.7), max(rows[-1][1], 1.45)
    plot.x_range.start, plot.x_range.end = low, high
    ticks(plot.xaxis[0], _thinned({v: t for v, t in _ASPECTS.items() if low <= v <= high}))
    return plot


def _thinned(labels: dict[float, str]) -> dict[float, str]:
    """Leave out labels that would overlap in a narrow figure."""
    if len(labels) <= 5:
        return labels
    return {
        value: text for value, text in labels.items() if text not in ("3:4", "3:2", "9:16", "16:9")
    }


def file_sizes(sizes: npt.NDArray[np.int64]) -> Any:
    """Return images by the size of their files in bytes, none of them 0."""
    bins = np.floor(_SIZES_PER_OCTAVE * np.log2(sizes)).astype(int)
    numbers, images = np.unique(bins, return_counts=True)
    low, high = (2 ** (number / _SIZES_PER_OCTAVE) for number in (numbers[0], numbers[-1] + 1))
    rows = [
        (2 ** (n / _SIZES_PER_OCTAVE), 2 ** ((n + 1) / _SIZES_PER_OCTAVE), int(count))
        for n, count in zip(numbers.tolist(), images, strict=True)
    ]
    plot = _histogram("size of the file", rows, "@left{0.0b} to @right{0.0b}")
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    bases = (1, 3) if high / low < 1000 else (1,)
    values = [base * 10.0**d for d in decades for base in bases]
    within = [value for value in values if low <= value <= high]
    labels = {value: tick_text(value) for value in within}
    ticks(plot.xaxis[0], labels if len(labels) > 1 else {v: size_text(v) for v in (low, high)})
    return plot


def _doublings(low: float, high: float) -> list[float]:
    """Return the powers of two in a range, or every second one if there are many."""
    powers = list(range(math.ceil(math.log2(low) - 1e-9), math.floor(math.log2(high) + 1e-9) + 1))
    step = 1 + len(powers) // 9
    return [2.0**power for power in powers[::step]] if len(powers) > 1 else [low, high]


def _histogram(x: str, rows: Sequence[tuple[float, float, int]], shown: str) -> Any:
    """Return bars of (left, right, images) on a logarithmic axis."""
    plot = make_figure(
        x=x,
        y="images",
        height=220,
        x_axis_type="log",
        tooltips=[("", shown), ("images", "@top{0,0}")],
    )
    left, right, top = (list(column) for column in zip(*rows, strict=True))
    source = ColumnDataSource({"left": left, "right": right, "top": top})
    plot.quad(
        left="left", right="right", top="top", bottom=0, source=source, color=colour(0), alpha=0.85
    )
    plot.y_range.start = 0
    whole_numbers(plot.yaxis)
    return plot


def channel_histogram(channel: str, counts: Counts, of_all: tuple[float, float] | None) -> Any:
    """Return how frequent each value is.

    Args:
        channel: ``R``, ``G``, ``B`` or ``gray``.
        counts: int64 (256,).
        of_all: mean and standard deviation of all images, if known.
    """
    plot = make_figure(
        x=f"{channel}, 0 to 255",
        y="% of pixels",
        height=180,
        x_range=(0, 255),
        tooltips=[("value", "@x"), ("share", "@share{0.00}%")],
    )
    share = 100 * counts / max(int(counts.sum()), 1)
    source = ColumnDataSource({"x": np.arange(256), "share": share})
    if of_all is not None:
        mean, std = of_all
        plot.add_layout(
            BoxAnnotation(
                left=max(mean - std, 0),
                right=min(mean + std, 255),
                fill_color=INK,
                fill_alpha=0.14,
                line_color=None,
                level="underlay",
            )
        )
        line = Span(location=mean, dimension="height", line_width=1.5, line_dash="dashed")
        plot.add_layout(in_ink(line))
    shade = CHANNEL_COLOURS[channel]
    plot.varea(x="x", y1=0, y2="share", source=source, color=shade, alpha=0.35)
    plot.line("x", "share", source=source, color=shade, line_width=1.5)
    # Overexposed and black pixels can be many times as frequent as all others.
    plot.y_range.start, plot.y_range.end = 0, 1.3 * float(np.quantile(share, 0.97)) or 1
    ticks(plot.xaxis[0], {value: str(value) for value in (0, 64, 128, 192, 255)})
    return plot


def shard_images(receipts: Sequence[ShardReceipt], splits: Sequence[str]) -> Any:
    """Return images per shard, in order."""
    plot = _shard_bars(receipts, splits, [receipt.images for receipt in receipts], "images")
    whole_numbers(plot.yaxis)
    return plot


def shard_bytes(receipts: Sequence[ShardReceipt], splits: Sequence[str]) -> Any:
    """Return the size of each shard, in order and in the unit that suits the largest."""
    divisor, name = unit_of(max(receipt.bytes for receipt in receipts))
    return _shard_bars(receipts, splits, [receipt.bytes / divisor for receipt in receipts], name)


def bars_shown(shards: int) -> int:
    """Return the distance between shards that have a bar.

    >>> [bars_shown(n) for n in (10, 2000, 2001, 10_000)]
    [1, 1, 2, 5]
    """
    return max(1, -(-shards // _MOST_BARS))


def _shard_bars(
    receipts: Sequence[ShardReceipt], splits: Sequence[str], values: Sequence[float], y: str
) -> Any:
    plot = make_figure(
        x="shards, in their order",
        y=y,
        height=220,
        tooltips=[("shard", "@name"), ("images", "@images{0,0}"), ("size", "@size")],
    )
    every = bars_shown(len(receipts))
    rows = list(enumerate(zip(receipts, values, strict=True), 1))[::every]
    for number, split in enumerate(splits):
        mine = [(x, *row) for x, row in rows if row[0].split == split]
        if not mine:
            continue
        source = ColumnDataSource(
            {
                "x": [x for x, _, _ in mine],
                "top": [value for _, _, value in mine],
                "name": [f"{one_line(split)} {receipt.index}" for _, receipt, _ in mine],
                "images": [receipt.images for _, receipt, _ in mine],
                "size": [size_text(receipt.bytes) for _, receipt, _ in mine],
            }
        )
        plot.vbar(
            x="x",
            top="top",
            width=0.8 * every if len(rows) < 300 else every,
            source=source,
            color=colour(number),
            line_color=None,
        )
    plot.y_range.start = 0
    whole_numbers(plot.xaxis)
    return plot
