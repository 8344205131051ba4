"""The list of runs, of which one can be chosen."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from bokeh.models import Column
from bokeh.models.css import InlineStyleSheet
from bokeh.models.widgets import Div, RadioGroup

from prep.monitoring.dashboard.cards import TEXT
from prep.monitoring.dashboard.shown import Choice
from prep.monitoring.registry import Runs
from prep.monitoring.runwatch import RunWatch
from prep.output.report.verdict import State

_STYLE = f"""
:host {{ color: {TEXT}; font: 14px Helvetica, Arial, sans-serif; width: 100%; }}
h2 {{ font-size: 14px; margin: 0 0 4px; }}
label {{ white-space: normal; padding-left: 20px; text-indent: -20px; margin-bottom: 3px; }}
label span {{ overflow-wrap: anywhere; }}
"""
_MARKS: Mapping[State, str] = {
    "starting": "…",
    "running": "▶",
    "done": "✓",
    "done with refusals": "✓",
    "too many refused": "✗",
    "failed": "✗",
    "stopped": "■",
}


class Chooser:
    """Runs, the newest first, with what has come of them; nothing where there is but one."""

    def __init__(self, runs: Runs, choice: Choice, chosen: Callable[[], None]) -> None:
        self._runs = runs
        self._choice = choice
        self._chosen = chosen
        self._order: list[str] = []
        sheet = InlineStyleSheet(css=_STYLE)
        title = Div(text="<h2>Runs, the newest first</h2>", margin=0, stylesheets=[sheet])
        self._group = RadioGroup(labels=[], margin=(0, 0, 12, 0), stylesheets=[sheet])
        self._group.on_change("active", self._clicked)
        self.root = Column(children=[title, self._group], sizing_mode="stretch_width", margin=0)
        self.root.visible = False

    def update(self, watch: RunWatch) -> None:
        watches = self._runs.newest_first
        self._order = [each.info.run for each in watches]
        labels = [_label(each) for each in watches]
        active = self._order.index(watch.info.run)
        if labels != self._group.labels:
            self._group.labels = labels
        if active != self._group.active:
            self._group.active = active
        if self.root.visible != (len(watches) > 1):
            self.root.visible = len(watches) > 1

    def _clicked(self, attribute: str, before: int | None, active: int | None) -> None:
        if active is not None and active < len(self._order):
            self._choice.choose(self._order[active])
            self._chosen()


def _label(watch: RunWatch) -> str:
    began = time.strftime("%H:%M:%S", time.localtime(watch.info.began))
    state = watch.verdict.state
    return f"{_MARKS[state]} {state} · begun at {began} · {watch.info.output}"
