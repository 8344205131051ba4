"""The parts of the pages that are text: each is a Bokeh model, and brings itself up to date."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from html import escape

from bokeh.models.css import InlineStyleSheet
from bokeh.models.widgets import Div

from prep.dashboard.colours import BLUE, GREY, PALE, SHARD_COLOURS, TEXT
from prep.dashboard.sheet import ContactSheet
from prep.text import duration, megabytes
from prep.verdict import State
from prep.watching.counts import LiveCounts
from prep.watching.registry import Runs
from prep.watching.runwatch import RunWatch

_STYLE = f"""
:host {{ color: {TEXT}; font: 14px Helvetica, Arial, sans-serif; width: 100%; }}
.bk-clearfix {{ width: 100%; }}
h2 {{ font-size: 14px; margin: 0 0 8px; }}
p {{ margin: 0 0 8px; max-width: 60em; line-height: 1.5; }}
code {{ background: #eee; padding: 2px 5px; border-radius: 3px; }}
.quiet {{ color: #666; }}
.numbers {{ display: flex; flex-wrap: wrap; gap: 4px 32px; margin: 0 0 12px; }}
.numbers div {{ min-width: 84px; }}
.numbers b {{ display: block; font-size: 22px; font-variant-numeric: tabular-nums; }}
.split {{ display: grid; grid-template-columns: minmax(60px, max-content) 1fr 150px; gap: 12px;
  align-items: center; margin: 4px 0; font-variant-numeric: tabular-nums; }}
.split i {{ display: block; height: 14px; border-radius: 7px; background: {PALE};
  overflow: hidden; }}
.split i i {{ background: {BLUE}; border-radius: 0; }}
.split span:last-child {{ text-align: right; }}
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
client of this scheduler; or at a terminal, <code>prep run --source photos --output shards</code>,
which starts a cluster of its own and shows the address of its dashboard.</p>
"""


class Tile:
    """Text, as HTML."""

    def __init__(self) -> None:
        sheet = InlineStyleSheet(css=_STYLE)
        self.root = Div(sizing_mode="stretch_width", stylesheets=[sheet])

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
    """How much is done of each split, how fast, and how long it will take."""

    def __init__(self, runs: Runs) -> None:
        super().__init__()
        self._runs = runs

    def text(self, watch: RunWatch) -> str:
        counts = watch.counts
        where = f"<h2>{escape(_TITLES[watch.verdict.state])} {escape(watch.info.output)}</h2>"
        numbers = "".join(f"<div><b>{n}</b>{text}</div>" for n, text in _numbers(counts))
        bars = "".join(
            f"<div class=split><span>{escape(name)}</span>"
            f'<i><i style="width: {100 * split.done / max(split.planned, 1):.1f}%">&nbsp;</i></i>'
            f"<span>{split.done:,} of {split.planned:,}</span></div>"
            for name, split in counts.splits.items()
        )
        return f"{where}<div class=numbers>{numbers}</div>{bars}{self._others(watch)}"

    def _others(self, watch: RunWatch) -> str:
        """Runs that began before this one, and go on."""
        others = [
            f"{escape(other.info.output)} ({other.counts.images:,} of {other.counts.planned:,})"
            for other in self._runs.running
            if other is not watch
        ]
        return f"<p class=quiet>Also at work: {', '.join(others)}</p>" if others else ""


_TITLES: Mapping[State, str] = {
    "starting": "Starting",
    "running": "Writing",
    "done": "Done:",
    "done with refusals": "Done:",
    "too many refused": "Too many refused:",
    "failed": "Failed:",
    "stopped": "Stopped:",
}


def _numbers(counts: LiveCounts) -> Iterable[tuple[str, str]]:
    yield f"{counts.images:,}", f"of {counts.planned:,} images"
    if counts.images_per_second is not None:
        yield f"{counts.images_per_second:,.0f}", "images/s"
        yield megabytes(counts.read_per_second or 0), "read a second"
        yield megabytes(counts.written_per_second or 0), "written a second"
    yield f"{counts.shards:,}", f"of {sum(counts.shard_states.values()):,} shards"
    yield f"{counts.refused:,}", "refused"
    yield duration(counts.seconds), "elapsed"
    if counts.seconds_left is not None:
        yield duration(counts.seconds_left), "left"


class RefusedTile(Tile):
    """Refused images by reason, and the names of the last ones."""

    def text(self, watch: RunWatch) -> str:
        counts = watch.counts
        if not counts.refused:
            return "<h2>Refused images</h2><p class=quiet>None so far.</p>"
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
            return "<h2>Mean RGB</h2><p class=quiet>Nothing is written yet.</p>"
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


class SheetTile(Tile):
    """The squares that were written last."""

    def __init__(self, sheet: ContactSheet) -> None:
        super().__init__()
        self._sheet = sheet
        self._shown = ("", -1)

    def update(self, watch: RunWatch) -> None:
        squares = self._sheet.look()
        shown = (watch.info.run, self._sheet.version)
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
        none = "<p class=quiet>Pictures come while images are being written.</p>"
        self.root.text = f"{title}<div class=sheet>{pictures}</div>" if pictures else title + none


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
