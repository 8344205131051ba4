"""What suits where this runs: a terminal, a notebook, or a log."""

from __future__ import annotations

from rich.console import Console

from prep.notebook import in_notebook
from prep.progress.cell import InCells
from prep.progress.terminal import AsLines, AtTerminal
from prep.progress.work import Display, ShowWork, Stages, Work

#: Whether to show progress (if None, where somebody is looking), or what to show it on.
ShowOn = bool | None | ShowWork


def stages_for(title: str, progress: ShowOn) -> Stages:
    """Return what shows the stages of an operation.

    In a notebook, that is the output of the cell; else standard error: live at a terminal, plain
    lines elsewhere.

    Args:
        title: what the operation is called.
    """
    if isinstance(progress, Stages):
        return progress
    if callable(progress):
        return _ShowingWork(progress)
    if progress is False:
        return Stages()
    if in_notebook():
        return InCells()
    console = Console(stderr=True)
    if console.is_terminal and not console.is_dumb_terminal:
        return AtTerminal(title, console)
    return AsLines(title, console) if progress or console.is_terminal else Stages()


class _ShowingWork(Stages):
    """Shows work alone, on what is given for it."""

    def __init__(self, show: ShowWork) -> None:
        self._show = show

    def __call__(self, work: Work) -> Display:
        return self._show(work)
