"""What the pages show."""

from __future__ import annotations

from typing import NamedTuple

from prep.monitoring.dashboard.sheet import ContactSheet
from prep.monitoring.registry import Runs
from prep.monitoring.runwatch import RunWatch


class Shown(NamedTuple):
    """The runs of a scheduler, and squares that their workers have just written."""

    runs: Runs
    sheet: ContactSheet


class Choice:
    """Which run a page shows: the newest, unless somebody has chosen another one."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self._chosen = ""

    @property
    def watch(self) -> RunWatch | None:
        """The run; None before there is any."""
        return self._runs.get(self._chosen) or self._runs.current

    def choose(self, run: str) -> None:
        """Show the run with this id, or the newest from now on if it is that."""
        newest = self._runs.current
        self._chosen = "" if newest is not None and newest.info.run == run else run
