"""The texts on the pages. Each is a Bokeh model, filled from a macro in ``templates/tiles``."""

from __future__ import annotations

import base64

from bokeh.models.widgets import Div

from prep.monitoring.dashboard.cards import fill, stylesheet
from prep.monitoring.dashboard.sheet import ContactSheet
from prep.monitoring.runwatch import RunWatch


class Tile:
    """A text about a run.

    Args:
        macro: the name of its macro.
    """

    def __init__(self, macro: str) -> None:
        self._macro = macro
        self.root = Div(sizing_mode="stretch_width", margin=0, stylesheets=[stylesheet()])

    def update(self, watch: RunWatch) -> None:
        """Show the state of a run."""
        text = fill(self._macro, watch)
        if text != self.root.text:
            self.root.text = text


class FixedTile(Tile):
    """A text that no run changes."""

    def __init__(self, macro: str) -> None:
        super().__init__(macro)
        self.root.text = fill(macro)

    def update(self, watch: RunWatch) -> None:
        """Change nothing."""


class EmptyTile(FixedTile):
    """Instructions, until there is a run to show."""

    def __init__(self) -> None:
        super().__init__("empty")

    def update(self, watch: RunWatch) -> None:
        """Hide the instructions."""
        self.root.visible = False


class SheetTile(Tile):
    """The images written last."""

    def __init__(self, sheet: ContactSheet) -> None:
        super().__init__("sheet")
        self._sheet = sheet
        self._shown = ("", False, -1)

    def update(self, watch: RunWatch) -> None:
        """Show the images of a run, if there are new ones."""
        crops = self._sheet.look()
        shown = (watch.info.run, watch.verdict.ended, self._sheet.version)
        if shown == self._shown:
            return
        self._shown = shown
        pictures = [
            (crop["class_name"], base64.b64encode(crop["jpeg"]).decode())
            for crop in crops
            if crop["run"] == watch.info.run
        ]
        self.root.text = fill(self._macro, pictures, watch.verdict.ended)
