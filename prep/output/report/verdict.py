"""The state of a run, as one value for terminal, notebook, dashboard, report and metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from prep.errors import ClusterError, LeaksFound, PrepError, TooManyRefused
from prep.parsing import Fields, refuse
from prep.text import counted, failure, one_line

State = Literal[
    "starting",
    "running",
    "done",
    "done with refusals",
    "too many refused",
    "leaks",
    "failed",
    "stopped",
]
STATES: tuple[State, ...] = get_args(State)

_UNDER_WAY: tuple[State, ...] = ("starting", "running")
_GOOD: tuple[State, ...] = ("done", "done with refusals")
#: States in which everything is written but what was refused.
WRITTEN: tuple[State, ...] = (*_GOOD, "too many refused", "leaks")


@dataclass(frozen=True, slots=True)
class Verdict:
    """The state of a run.

    Attributes:
        state: one of ``STATES``.
        reason: why, in one line; empty if the state needs no reason.
    """

    state: State = "starting"
    reason: str = ""

    @property
    def ended(self) -> bool:
        """True if the run has ended."""
        return self.state not in _UNDER_WAY

    @property
    def good(self) -> bool:
        """True if the run has ended as asked: done, or done with refusals."""
        return self.state in _GOOD

    def __str__(self) -> str:
        return f"{self.state}: {self.reason}" if self.reason else self.state

    @classmethod
    def of_error(cls, error: BaseException) -> Verdict:
        """Return the verdict on a run that has raised this.

        >>> str(Verdict.of_error(KeyboardInterrupt())), str(Verdict.of_error(OSError("disk full")))
        ('stopped', 'failed: disk full')
        """
        if isinstance(error, TooManyRefused):
            return cls("too many refused", one_line(error.summary))
        if isinstance(error, LeaksFound):
            return cls("leaks", one_line(error.summary))
        if isinstance(error, KeyboardInterrupt) or not isinstance(error, Exception):
            return cls("stopped", one_line(str(error).removeprefix("stopped: ")))
        return cls("failed", _reason_of(error))

    @classmethod
    def of_counts(cls, planned: int, refused: int, allowed: int) -> Verdict:
        """Return the verdict on a run all of whose shards are committed.

        >>> Verdict.of_counts(40, 3, allowed=2)
        Verdict(state='too many refused', reason='3 of 40 images were refused (7.5%), more than \
max_refused allows (2)')
        """
        if not refused:
            return cls("done")
        were = "was" if refused == 1 else "were"
        share = f"{refused / planned:.1%}" if refused / planned >= 0.0005 else "less than 0.1%"
        reason = f"{refused:,} of {counted(planned, 'image')} {were} refused ({share})"
        if refused > allowed:
            return cls("too many refused", f"{reason}, more than max_refused allows ({allowed:,})")
        return cls("done with refusals", reason)

    def unless_leaking(self, leaks: Sequence[str], config: Mapping[str, Any]) -> Verdict:
        """Return the verdict on the same run if its splits leak, and it was asked to fail then.

        Args:
            leaks: which splits hold images of others, a phrase each.
            config: of the run, by key.

        >>> str(Verdict("done").unless_leaking(["1 of 9 val images leaks"], {"leaks": "fail"}))
        "leaks: 1 of 9 val images leaks, and leaks is 'fail'"
        """
        if not leaks or not self.good or config.get("leaks") != "fail":
            return self
        return Verdict("leaks", f"{'; '.join(leaks)}, and leaks is 'fail'")

    def to_json(self) -> dict[str, str]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: object) -> Verdict:
        """Read what :meth:`to_json` gave; raise ValueError if it is not that."""
        fields = Fields(value, "a verdict")
        state, reason = fields.any("state"), fields.text("reason")
        fields.end()
        return cls(state if state in STATES else refuse("state", ", ".join(STATES), state), reason)


RUNNING = Verdict("running")


def _reason_of(error: Exception) -> str:
    if isinstance(error, ClusterError):
        return " ".join(one_line(str(part)) for part in error.args)
    if isinstance(error, PrepError):
        return one_line(str(error)) or type(error).__name__
    return failure(error)
