"""Errors at the command line: one line, and an exit code."""

from __future__ import annotations

import contextlib
import errno
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from prep.cli.spelling import as_flags
from prep.cli.streams import drop_output, fit_streams
from prep.cli.talk import talk_of
from prep.errors import ClusterError, PrepError, UsageError
from prep.execution.interrupts import has_stopped, stopped_by, stopping_in_order
from prep.execution.local.own_process import collect_less, hide_pandas
from prep.storage.urls import hide_credentials
from prep.text import brief, one_line, reason_and_file, reason_of

_LONGEST = 2000  # characters of a message
_EXTRA = "unexpected extra argument"  # as click says it
_NOT_WRITTEN = (errno.ENOSPC, errno.EDQUOT, errno.EIO)


class Errors(click.Group):
    """Turns errors that are meant for the user into one line and an exit code."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.obj = talk_of(args)
        try:
            return super().parse_args(ctx, args)
        except OSError as error:  # It prints help and the version.
            if not _is_of_output(error):
                raise
            drop_output()
            fail(_not_written(error), exit_code_of(error))

    def invoke(self, ctx: click.Context) -> Any:
        hide_pandas()
        collect_less()
        fit_streams()
        try:
            with stopping_in_order():
                return super().invoke(ctx)
        except (click.exceptions.Exit, click.exceptions.NoArgsIsHelpError):
            raise  # It is no error.
        except (Exception, KeyboardInterrupt) as raised:
            error = _without_wrapping(raised)
            told = _told(error)
            message, findings = told or (type(error).__name__, ())
            code = exit_code_of(error)
            with contextlib.suppress(OSError):  # Standard output may be gone.
                if _is_of_output(error):
                    drop_output()
                ctx.obj.failed(error, _shown(message), [*map(_shown, findings)], code)
            if told is None:
                raise
            fail(message, code, findings)


def _without_wrapping(error: BaseException) -> BaseException:
    """Return KeyboardInterrupt for a fault that follows a signal to stop, or else the error itself.

    Python and libraries make other errors of a KeyboardInterrupt, above all while modules load.
    """
    return KeyboardInterrupt() if _told(error) is None and has_stopped() else error


def _told(error: BaseException) -> tuple[str, Sequence[str]] | None:
    """Return what to say of an error in one line, and what was found; None for a fault of ours."""
    if isinstance(error, ClusterError):
        return error.summary, error.findings
    if isinstance(error, PrepError):
        return str(error), ()
    if isinstance(error, click.UsageError):
        command = error.ctx.command_path if error.ctx else "prep"
        return f"{_usage(error)} ({command} -h lists all)", ()
    if isinstance(error, OSError) and error.filename is not None:  # Of what was asked for.
        return reason_and_file(error), ()
    if _is_of_output(error):
        return _not_written(error), ()
    return ("stopped", ()) if isinstance(error, KeyboardInterrupt | click.Abort) else None


def _usage(error: click.UsageError) -> str:
    """Return what is wrong, and where a shell may have made many paths of one, what to give."""
    message = error.format_message()
    hint = "; give the folder, not a pattern of what is in it" if _EXTRA in message else ""
    return f"{brief(message)}{hint}"


def _not_written(error: BaseException) -> str:
    return f"standard output can't be written: {reason_of(error)}"


def _is_of_output(error: BaseException) -> bool:
    """Return whether standard output could not be written; errors of other files name these."""
    return isinstance(error, OSError) and error.filename is None and error.errno in _NOT_WRITTEN


def exit_code_of(error: BaseException) -> int:
    """Return what to exit with: by convention, 128 and its number for a signal."""
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return 128 + stopped_by()
    if isinstance(error, click.UsageError):
        return UsageError.exit_code
    return error.exit_code if isinstance(error, PrepError) else PrepError.exit_code


def fail(message: str, exit_code: int, findings: Sequence[str] = ()) -> NoReturn:
    """Print one line, and one for each finding, and exit."""
    click.echo(f"prep: {_shown(message)}", err=True)
    for finding in findings:
        click.echo(f"  {_shown(finding)}", err=True)
    sys.exit(exit_code)


def _shown(message: str) -> str:
    """Put a message on one line of bounded length, with flags, and without secrets in URLs."""
    line = one_line(hide_credentials(as_flags(message)))
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST // 2]} … {line[-_LONGEST // 2 :]}"
