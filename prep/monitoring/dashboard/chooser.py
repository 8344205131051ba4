"""The choice of the run that a page shows."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from bokeh.models import Column
from bokeh.models.widgets import Div, RadioGroup

from prep.monitoring.dashboard.cards import stylesheet
from prep.monitoring.runwatch import RunWatch
from prep.monitoring.watches import Runs
from prep.output.report.verdict import State

_MARKS: Mapping[State, str] = {
    "starting": "…",
    "running": "▶",
    "done": "✓",
    "done with refusals": "✓",
    "too many refused": "✗",
    "leaks": "✗",
    "failed": "✗",
    "stopped": "■",
}


class Choice:
    """The run that a page shows: the newest, unless somebody has chosen another one."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self._chosen = ""

    @property
    def watch(self) -> RunWatch | None:
        """The run; None if there is none yet."""
        return self._runs.get(self._chosen) or self._runs.current

    def choose(self, run: str) -> None:
        """Show the run with this id; if it is the newest, follow the newest from now on."""
        newest = self._runs.current
        self._chosen = "" if newest is not None and newest.info.run == run else run


class Chooser:
    """A list of the runs and their states, the newest first; hidden while there is only one."""

    def __init__(self, runs: Runs, choice: Choice, chosen: Callable[[], None]) -> None:
        self._runs = runs
        self._choice = choice
        self._chosen = chosen
        self._order: list[str] = []
        sheet = stylesheet()
        title = Div(text="<h2>Runs, the newest first</h2>", margin=0, stylesheets=[sheet])
        self._group = RadioGroup(labels=[], margin=(0, 0, 12, 0), stylesheets=[sheet])
        self._group.on_change("active", self._clicked)
        self.root = Column(children=[title, self._group], sizing_mode="stretch_width", margin=0)
        self.root.visible = False

    def update(self, watch: RunWatch) -> None:
        """List the runs, with the one that is shown chosen."""
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
