"""Output of a command for people, for a log, or for another program."""

from __future__ import annotations

import contextlib
import functools
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from prep.cli.spelling import as_flags

if TYPE_CHECKING:
    from prep.monitoring.events import Callback
    from prep.output.report.verdict import Verdict


Command = Callable[..., Any]

_JSON = "--json"
_COMMANDS = ("run", "plan", "verify", "merge", "mean", "labels", "export")


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """The output of a command.

    Attributes:
        quiet: nothing but errors and warnings.
        as_json: one JSON object a line on standard output, and nothing else there.
    """

    quiet: bool = False
    as_json: bool = False

    @property
    def to_people(self) -> bool:
        """True if results are to be printed for people to read."""
        return not (self.quiet or self.as_json)

    def callbacks(self, title: str) -> Iterator[Callback]:
        """Yield what shows an operation to people or programs, if anything does.

        It is only loaded then, for that takes a while.

        Args:
            title: what the operation is called.
        """
        if self.as_json and not self.quiet:
            from prep.display.callbacks import CommandEvents

            yield CommandEvents(title, sys.stdout)
        elif not self.quiet:
            from prep.display.displays import display_for

            yield from display_for(title, progress=True)

    def started(self, command: str) -> None:
        from prep.settings.distribution import version

        self.tell("started", {"command": command, "version": version()})

    def ended(
        self, report: Mapping[str, Any], verdict: Verdict | None = None, exit_code: int = 0
    ) -> None:
        """Tell programs how a command has ended, and with what result.

        Args:
            verdict: by default, that it is done.
        """
        from prep.output.report.verdict import Verdict

        values = {"verdict": (verdict or Verdict("done")).to_json(), "exit_code": exit_code}
        self.tell("ended", {**values, "error": None, "report": report})

    def failed(
        self, error: BaseException, message: str, findings: Sequence[str], exit_code: int
    ) -> None:
        """Tell programs which error a command has ended with.

        Args:
            error: which may have the report of a run that has written all it could.
        """
        from prep.output.report.verdict import Verdict

        report = getattr(error, "report", None)
        kind = type(error).__name__
        verdict = Verdict(Verdict.of_error(error).state, message.removeprefix("stopped: "))
        self.tell(
            "ended",
            {
                "verdict": (verdict if report is None else report.verdict).to_json(),
                "exit_code": exit_code,
                "error": {"type": kind, "message": message, "findings": list(findings)},
                "report": None if report is None else report.to_json(),
            },
        )

    def tell(self, event: str, values: Mapping[str, Any]) -> None:
        """Tell programs of an event, if any listens."""
        if self.as_json:
            from prep.display.callbacks import JsonLinesCallback

            JsonLinesCallback(sys.stdout).write(event, values)


def talk_options(command: Command) -> Command:
    """Add ``-q``, ``-v`` and ``--json``, and hand them on as ``talk``; the outermost decorator."""

    @click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors and warnings.")
    @click.option("-v", "--verbose", is_flag=True, help="Log each step, with its time.")
    @click.option(
        _JSON,
        "as_json",
        is_flag=True,
        help="For programs: print one JSON object per line, and nothing else.",
    )
    @functools.wraps(command)
    def wrapped(*, quiet: bool, verbose: bool, as_json: bool, **values: Any) -> Any:
        if quiet and verbose:
            raise click.UsageError("expected -q or -v, got both")
        talk = Talk(quiet=quiet, as_json=as_json)
        with _logging(talk, verbose=verbose):
            talk.started(str(click.get_current_context().info_name))
            return command(talk=talk, **values)

    return wrapped


def talk_of(arguments: Sequence[str]) -> Talk:
    """Tell how to report an error, whatever of the arguments is in error.

    Args:
        arguments: those of ``prep``.
    """
    return Talk(as_json=_JSON in arguments and arguments[0] in _COMMANDS)


@contextlib.contextmanager
def _logging(talk: Talk, *, verbose: bool) -> Iterator[None]:
    """Print what this package logs in the block, and tell programs of warnings."""
    logger = logging.getLogger("prep")
    handlers: list[logging.Handler] = [_OnStandardError(verbose=verbose)]
    level = logger.level
    if verbose:
        logger.setLevel(logging.DEBUG)
    if talk.as_json:
        handlers.append(_AsEvents(talk))
    for handler in handlers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        logger.setLevel(level)
        for handler in handlers:
            logger.removeHandler(handler)


class _OnStandardError(logging.Handler):
    """Prints records on what standard error is then: a display puts itself in its place."""

    def __init__(self, *, verbose: bool) -> None:
        super().__init__(logging.DEBUG if verbose else logging.WARNING)
        if verbose:
            self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        print(as_flags(self.format(record)), file=sys.stderr)


class _AsEvents(logging.Handler):
    """Tells programs of warnings."""

    def __init__(self, talk: Talk) -> None:
        super().__init__(logging.WARNING)
        self._talk = talk

    def emit(self, record: logging.LogRecord) -> None:
        self._talk.tell(
            "warning", {"message": as_flags(record.getMessage()).removeprefix("prep: ")}
        )
