"""The parts of the pages that are text: each is a Bokeh model, and brings itself up to date."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from html import escape

from bokeh.models.css import InlineStyleSheet
from bokeh.models.widgets import Div

from prep.monitoring.counts import LiveCounts, SplitCounts
from prep.monitoring.dashboard.cards import (
    BLUE,
    GREY,
    PALE,
    RED,
    SHARD_COLOURS,
    STATE_COLOURS,
    TEXT,
)
from prep.monitoring.dashboard.sheet import ContactSheet
from prep.monitoring.runwatch import RunWatch
from prep.output.report.verdict import WRITTEN
from prep.text import duration, size_text

_STYLE = f"""
:host {{ color: {TEXT}; font: 14px Helvetica, Arial, sans-serif; width: 100%; }}
.bk-clearfix {{ width: 100%; }}
h2 {{ font-size: 14px; margin: 0 0 8px; }}
p {{ margin: 0 0 8px; max-width: 60em; line-height: 1.5; overflow-wrap: anywhere; }}
code {{ background: #eee; padding: 2px 5px; border-radius: 3px; overflow-wrap: anywhere; }}
code.all {{ user-select: all; cursor: copy; }}
h2 {{ overflow-wrap: anywhere; }}
h2 b {{ color: #fff; border-radius: 4px; padding: 2px 7px; margin-right: 8px;
  white-space: nowrap; }}
.quiet {{ color: #666; }}
.numbers {{ display: flex; flex-wrap: wrap; gap: 4px 32px; margin: 0 0 12px; }}
.numbers div {{ min-width: 84px; }}
.numbers b {{ display: block; font-size: 22px; font-variant-numeric: tabular-nums; }}
.splits {{ display: grid; grid-template-columns: fit-content(30%) minmax(40px, 1fr) max-content;
  grid-auto-flow: dense; gap: 6px 12px; align-items: center; font-variant-numeric: tabular-nums; }}
.splits .name {{ grid-column: 1; overflow-wrap: anywhere; }}
.splits .number {{ grid-column: 3; text-align: right; }}
.splits .bar {{ grid-column: 2; display: flex; height: 14px; border-radius: 7px;
  background: {PALE}; overflow: hidden; }}
.splits .bar i {{ height: 100%; }}
.bad {{ color: {RED}; }}
@media (max-width: 600px) {{
  .splits {{ grid-template-columns: minmax(0, 1fr) max-content; gap: 2px 12px; }}
  .splits .number {{ grid-column: 2; }}
  .splits .bar {{ grid-column: 1 / 3; margin-bottom: 6px; }}
}}
table {{ border-collapse: collapse; width: 100%; font-size: 13px; }}
td {{ padding: 2px 12px 2px 0; vertical-align: top; overflow-wrap: anywhere; }}
td.n {{ text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; width: 1%; }}
td.why {{ white-space: nowrap; width: 1%; padding-right: 0; }}
.sheet {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(88px, 1fr)); gap: 8px; }}
figure {{ margin: 0; min-width: 0; }}
figure img {{ display: block; width: 100%; aspect-ratio: 1; object-fit: contain;
  background: {PALE}; }}
figcaption {{ font-size: 11px; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }}
.mean {{ display: flex; gap: 16px; align-items: center; }}
.swatch {{ width: 88px; height: 88px; border-radius: 6px; border: 1px solid {GREY}; flex: none; }}
.two {{ display: flex; flex-wrap: wrap; gap: 12px 32px; }}
.two div:last-child {{ flex: 1; min-width: 240px; }}
.legend {{ display: flex; flex-wrap: wrap; gap: 4px 16px; font-size: 12px; }}
.legend i {{ display: inline-block; width: 10px; height: 10px; margin-right: 5px; }}
"""

EMPTY = """
<h2>No run yet</h2>
<p>This page shows what <b>prep</b> does on this cluster, as soon as a run begins: from a notebook
or a script, <code>prep.run(prep.Config(source="photos", output="shards"), client)</code> with a
client of this scheduler; or at a terminal where <code>DASK_SCHEDULER_ADDRESS</code> is its address,
<code>prep run photos shards --cluster cluster.yaml --profile existing</code>.</p>
"""


class Tile:
    """Text, as HTML."""

    def __init__(self) -> None:
        sheet = InlineStyleSheet(css=_STYLE)
        self.root = Div(sizing_mode="stretch_width", margin=0, stylesheets=[sheet])

    def update(self, watch: RunWatch) -> None:
        text = self.text(watch)
        if text != self.root.text:
            self.root.text = text

    def text(self, watch: RunWatch) -> str:
        """What it is to show."""
        raise NotImplementedError


class WaitingTile(Tile):
    """What to do for there to be something to see; gone once there is."""

    def __init__(self) -> None:
        super().__init__()
        self.root.text = EMPTY

    def update(self, watch: RunWatch) -> None:
        self.root.visible = False


class ProgressTile(Tile):
    """How the run stands, how much is done of each split, how fast, and how long it will take."""

    def text(self, watch: RunWatch) -> str:
        counts, verdict = watch.counts, watch.verdict
        state = f'<b style="background: {STATE_COLOURS[verdict.state]}">{verdict.state}</b>'
        why = f"<p>{escape(verdict.reason)}</p>" if verdict.reason else ""
        numbers = "".join(f"<div><b>{n}</b>{text}</div>" for n, text in _numbers(counts))
        splits = "".join(_split(name, split) for name, split in counts.splits.items())
        return (
            f"<h2>{state}{escape(watch.info.output)}</h2>{why}{_report(watch)}"
            f"<div class=numbers>{numbers}</div><div class=splits>{splits}</div>"
        )


def _split(name: str, split: SplitCounts) -> str:
    """A bar in two parts: what is written, and what was refused."""
    parts = "".join(
        f'<i style="background: {colour}; width: {100 * images / max(split.planned, 1):.2f}%"></i>'
        for images, colour in ((split.written, BLUE), (split.refused, RED))
    )
    refused = f", <span class=bad>{split.refused:,} refused</span>" if split.refused else ""
    return (
        f"<span class=name>{escape(name)}</span>"
        f"<span class=number>{split.done:,} of {split.planned:,}{refused}</span>"
        f"<div class=bar>{parts}</div>"
    )


def _report(watch: RunWatch) -> str:
    """Where to look at what has come of a run that has written all it can.

    No link: browsers follow none from here to a file.
    """
    if not watch.info.page or watch.verdict.state not in WRITTEN:
        return ""
    return f"<p>Report: <code class=all>{escape(watch.info.page)}</code></p>"


def _numbers(counts: LiveCounts) -> Iterable[tuple[str, str]]:
    yield f"{counts.images:,}", f"of {counts.planned:,} images"
    if counts.images_per_second is not None:
        yield f"{counts.images_per_second:,.0f}", "images/s"
        yield size_text(counts.read_per_second or 0), "read a second"
        yield size_text(counts.written_per_second or 0), "written a second"
    yield f"{counts.shards:,}", f"of {sum(counts.shard_states.values()):,} shards"
    yield f"{counts.refused:,}", "refused"
    yield duration(counts.seconds), "elapsed"
    if counts.seconds_left is not None:
        yield duration(counts.seconds_left), "left"


class GoneTile(Tile):
    """What a page says that is no longer fed; the page itself shows it then."""

    def text(self, watch: RunWatch) -> str:
        report = f"<code class=all>{escape(watch.info.page)}</code>"
        if watch.verdict.state in WRITTEN:
            where = f"The report of this run is {report}."
        elif watch.verdict.ended:
            where = "This run has no report: run the same command again to continue it."
        else:
            where = f"This run was still going; once it has finished, its report is {report}."
        return (
            "<p><b>The scheduler has gone or cannot be reached: this page shows the last data "
            f"that it sent.</b></p><p>{where}</p><p class=quiet>The dashboard closes with its "
            "cluster, such as when <code>prep run</code> ends. If the cluster still runs, reload "
            "this page.</p>"
        )


class RefusedTile(Tile):
    """Refused images by reason, and the names of the last ones."""

    def text(self, watch: RunWatch) -> str:
        counts = watch.counts
        if not counts.refused:
            none = "None." if watch.verdict.ended else "None so far."
            return f"<h2>Refused images</h2><p class=quiet>{none}</p>"
        reasons = "".join(
            f"<tr><td class=n>{n:,}</td><td>{escape(reason)}</td></tr>"
            for reason, n in counts.reasons.items()
        )
        latest = "".join(
            f"<tr><td>{escape(image.path)}</td><td class=why>{escape(image.reason)}</td></tr>"
            for image in counts.latest
        )
        return (
            f"<div class=two><div><h2>{counts.refused:,} refused</h2><table>{reasons}</table></div>"
            f"<div><h2>The last of them</h2><table>{latest}</table></div></div>"
        )


class MeanTile(Tile):
    """The mean RGB of what is written so far, as numbers and as a colour."""

    def text(self, watch: RunWatch) -> str:
        mean, std = watch.counts.mean, watch.counts.std
        if mean is None or std is None:
            word = "was written" if watch.verdict.ended else "has been written yet"
            return f"<h2>Mean RGB</h2><p class=quiet>Nothing {word}.</p>"
        rows = "".join(
            f"<tr><td>{channel}</td><td class=n>{value:.3f}</td>"
            f"<td class=n>± {std[channel]:.3f}</td></tr>"
            for channel, value in mean.items()
        )
        colour = "rgb({R:.0f}, {G:.0f}, {B:.0f})".format(**mean)
        return (
            "<h2>Mean RGB</h2><div class=mean>"
            f'<div class=swatch style="background: {colour}"></div>'
            f"<table style='width: auto'>{rows}</table></div>"
        )


class LegendTile(Tile):
    """What the colours of the shards mean."""

    def text(self, watch: RunWatch) -> str:
        entries = "".join(
            f'<span><i style="background: {colour}"></i>{state}</span>'
            for state, colour in SHARD_COLOURS.items()
        )
        return f"<div class=legend>{entries}</div>"


_TO_COME = "Pictures appear while images are being written."
_NO_MORE = "No pictures were taken."


class SheetTile(Tile):
    """The squares that were written last."""

    def __init__(self, sheet: ContactSheet) -> None:
        super().__init__()
        self._sheet = sheet
        self._shown = ("", False, -1)

    def update(self, watch: RunWatch) -> None:
        squares = self._sheet.look()
        shown = (watch.info.run, watch.verdict.ended, self._sheet.version)
        if shown == self._shown:
            return
        self._shown = shown
        pictures = "".join(
            f'<figure><img alt="" src="data:image/jpeg;base64,{_base64(square["jpeg"])}">'
            f"<figcaption>{escape(square['class_name'])}</figcaption></figure>"
            for square in squares
            if square["run"] == watch.info.run
        )
        title = "<h2>Just written</h2>"
        ended = watch.verdict.ended
        none = f"<p class=quiet>{_NO_MORE if ended else _TO_COME}</p>"
        self.root.text = f"{title}<div class=sheet>{pictures}</div>" if pictures else title + none


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
