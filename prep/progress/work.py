"""What is to be done, and the interfaces of what shows how it gets on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from prep.addresses import page_link
from prep.watching.counts import LiveCounts

if TYPE_CHECKING:
    from prep.receipts import SplitTotals
    from prep.report import RunReport


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is to be done.

    Attributes:
        title: what it is called.
        planned: how many images, or whatever ``unit`` says.
        shards: how many shards are to be written, if any.
        dashboard: where the Dask dashboard is to be seen; empty where there is none.
        note: what a user should know beforehand, if anything.
        page: which page of the dashboard shows this work best.
    """

    title: str
    planned: int
    unit: str = "images"
    shards: int | None = None
    dashboard: str = ""
    note: str | None = None
    page: str = "status"

    @property
    def address(self) -> str:
        """Of that page."""
        return page_link(self.dashboard, self.page)

    @property
    def noun(self) -> str:
        """One of what is counted."""
        return self.unit.removesuffix("s")


class Display(Protocol):
    """Shows how far work has come."""

    def __enter__(self) -> Display: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
    def update(self, counts: LiveCounts) -> None: ...


#: Gives what shows how some work gets on.
ShowWork = Callable[[Work], Display]


class Silent:
    """Shows nothing."""

    def __enter__(self) -> Silent:
        return self

    def __exit__(self, *_: object) -> None: ...

    def update(self, counts: LiveCounts) -> None: ...


class Stages:
    """Shows what an operation does, from its first moment to its last; this one shows nothing.

    As a context, it ends with the operation, and sees the error that this ends with.
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def doing(self, what: str) -> None:
        """Say what is done, while there is no work to count."""

    def __call__(self, work: Work) -> Display:
        """Return what shows how this work gets on."""
        return Silent()

    def stopped(self, shards: int, totals: SplitTotals | None) -> None:
        """Show what stays of a run that was stopped.

        Args:
            shards: how many are committed.
            totals: what these add up to, by split as it is shown, if that could be read.
        """

    def finish(self, report: RunReport, *, complete: bool) -> None:
        """Show what a run has come to.

        Args:
            complete: whether the output was complete before it began.
        """
