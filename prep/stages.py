"""What is seen of a run from its first moment to its last, before and after shards are written."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from prep.config import Config
from prep.live import Scene, Screen
from prep.notebook import in_notebook
from prep.progress import Display, ShowOn, Stages, Work, scene_of, stages_for
from prep.progress.committed import only_committed
from prep.receipts import SplitTotals
from prep.report import RunReport
from prep.verdict import RUNNING, Verdict
from prep.watching.counts import LiveCounts, SplitCounts

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
