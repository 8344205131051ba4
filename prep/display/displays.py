"""The display that suits where an operation runs: a terminal, a notebook, or a log."""

from __future__ import annotations

from rich.console import Console

from prep.config.model import Config
from prep.display.live import Panel, Scene, Screen
from prep.display.terminal import AsLines, AtTerminal
from prep.execution.clusters.choice import in_notebook
from prep.monitoring.events import Callback


def display_for(title: str, progress: bool | None) -> list[Callback]:
    """Return what shows an operation: nothing, or one display.

    In a notebook, that is a panel in the output of the cell; else it is standard error, live at a
    terminal, and with plain lines elsewhere.

    Args:
        title: what the operation is called.
        progress: whether to show it; if None, only in a notebook and at a terminal.
    """
    return _display(Scene(title=title), title, progress)


def display_of_run(config: Config, progress: bool | None) -> list[Callback]:
    """Return what shows a run, as :func:`display_for`."""
    return _display(opening_scene(config), "preparing", progress)


def opening_scene(config: Config) -> Scene:
    """Return what a panel shows of a run that has not begun yet."""
    return Scene(title=f"{config.source} → {config.output}", doing=f"listing {config.source}")


def _display(scene: Scene, title: str, progress: bool | None) -> list[Callback]:
    if progress is False:
        return []
    if in_notebook():
        screen = Screen(scene)
        screen.show()
        return [Panel(screen)]
    console = Console(stderr=True)
    if console.is_terminal and not console.is_dumb_terminal:
        return [AtTerminal(title, console)]
    return [AsLines(title, console)] if progress or console.is_terminal else []
