"""Live counts → the output of a notebook's cell."""

from __future__ import annotations

from types import TracebackType

from prep.addresses import dashboard_links
from prep.live import Scene, Screen
from prep.progress.work import Display, Stages, Work
from prep.verdict import RUNNING, Verdict
from prep.watching.counts import LiveCounts


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
