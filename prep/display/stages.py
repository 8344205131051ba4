"""Live counts → the output of a notebook's cell.

What suits where this runs: a terminal, a notebook, or a log.

What is seen of a run from its first moment to its last, before and after shards are written.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from rich.console import Console

from prep.config import Config
from prep.display.links import dashboard_links
from prep.display.live import Scene, Screen
from prep.display.progress import Display, ShowWork, Stages, Work, only_committed
from prep.display.terminal import AsLines, AtTerminal
from prep.execution.clusters.choice import in_notebook
from prep.monitoring.counts import LiveCounts, SplitCounts
from prep.output.receipt import SplitTotals
from prep.output.report.report import RunReport
from prep.output.report.verdict import RUNNING, Verdict


class InCells(Stages):
    """Shows each piece of work in the cell that runs."""

    def __call__(self, work: Work) -> Display:
        return NotebookDisplay(work)


class NotebookDisplay:
    """Bars and numbers in the output of the cell that runs."""

    def __init__(self, work: Work) -> None:
        self._screen = Screen(scene_of(work))

    def __enter__(self) -> NotebookDisplay:
        self._screen.show()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._screen.conclude(Verdict.of_error(error) if error else Verdict("done"))

    def update(self, counts: LiveCounts) -> None:
        self._screen.advance(counts)


def scene_of(work: Work) -> Scene:
    """What is to be seen of work that has just begun."""
    return Scene(
        title=work.title,
        verdict=RUNNING,
        planned=work.planned,
        unit=work.unit,
        shards=work.shards,
        note=work.note or "",
        links=dashboard_links(work.dashboard, work.page) if work.dashboard else {},
    )


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


STARTING = "starting the cluster"
COMPLETE = "already complete, nothing to do"


class StagesOnScreen(Stages):
    """Shows them in the cells of a notebook.

    Args:
        check: called now and then; what it raises stops the run.
    """

    def __init__(self, screen: Screen, check: Callable[[], None] = lambda: None) -> None:
        self._screen = screen
        self._check = check

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self._screen.conclude(Verdict.of_error(error))

    def doing(self, what: str) -> None:
        self._check()
        self._screen.change(verdict=Verdict(), doing=what)

    def __call__(self, work: Work) -> Display:
        return _OnScreen(self._screen, self._check, work)

    def stopped(self, shards: int, totals: SplitTotals | None) -> None:
        self._screen.change(counts=only_committed(self._screen.scene.counts, shards, totals))

    def finish(self, report: RunReport, *, complete: bool) -> None:
        scene = self._screen.scene
        self._screen.change(
            counts=_final(report, scene.counts),
            note=COMPLETE if complete else scene.note,
            report=report.page or "",
        )
        self._screen.conclude(report.verdict)


def stages_of(config: Config, progress: ShowOn) -> Stages:
    """Return what shows the stages of a run where this runs: at once, in the cell of a notebook.

    Args:
        progress: whether to show them; if None, where somebody is looking; or what to show them on.
    """
    if progress is False or callable(progress) or not in_notebook():
        return stages_for("preparing", progress)
    screen = Screen(opening_scene(config))
    screen.show()
    return StagesOnScreen(screen)


def opening_scene(config: Config) -> Scene:
    """Return what is to be seen of a run that has just been asked for."""
    return Scene(title=f"{config.source} → {config.output}", doing=f"listing {config.source}")


class _OnScreen:
    """Shows how the shards get on."""

    def __init__(self, screen: Screen, check: Callable[[], None], work: Work) -> None:
        self._screen = screen
        self._check = check
        self._work = work

    def __enter__(self) -> _OnScreen:
        self._check()
        scene = scene_of(self._work)
        self._screen.change(
            verdict=RUNNING,
            planned=scene.planned,
            shards=scene.shards,
            links=scene.links,
            note=scene.note,
        )
        return self

    def __exit__(self, *_: object) -> None: ...

    def update(self, counts: LiveCounts) -> None:
        self._screen.advance(counts)
        if counts.images < counts.planned:  # Or else there is nothing left to stop.
            self._check()


def _final(report: RunReport, last: LiveCounts) -> LiveCounts:
    """What it has come to: what was shown last, or what the report says where nothing was done."""
    images = report.images
    if last.planned == last.images == images["planned"]:
        return last
    return LiveCounts(
        planned=images["planned"],
        images=images["planned"],
        refused=images["refused"],
        shards=report.shards,
        bytes_read=report.source_bytes,
        bytes_written=report.bytes,
        splits={
            name: SplitCounts(
                planned=split["planned"], done=split["planned"], refused=split["refused"]
            )
            for name, split in report.splits.items()
        },
        shard_states={"resumed": report.shards},
        reasons=report.refused_by_reason(),
        mean=report.mean,
        std=report.std,
    )
