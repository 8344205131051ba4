"""What the pages show."""

from __future__ import annotations

from typing import NamedTuple

from prep.dashboard.sheet import ContactSheet
from prep.watching.registry import Runs


class Shown(NamedTuple):
    """The runs of a scheduler, and squares that their workers have just written."""

    runs: Runs
    sheet: ContactSheet
