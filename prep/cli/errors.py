"""Errors at the command line: one line, and an exit code."""

from __future__ import annotations

import atexit
import gc
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from prep.cli.streams import fit_streams
from prep.errors import ClusterError, PrepError, UsageError
from prep.interrupts import stopped_by, stopping_in_order
from prep.locations import hide_credentials
from prep.spelling import as_flags
from prep.text import brief, one_line, reason_and_file

_COLLECT_AFTER = 50_000  # objects
_LONGEST = 2000  # characters of a message


class Errors(click.Group):
    """Turns errors that are meant for the user into one line and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        # What is loaded stays: to look for garbage among it takes a tenth of the start, and to
        # collect in the end what the system frees in any case, half a second.
        gc.set_threshold(_COLLECT_AFTER)
        atexit.register(gc.freeze)
        fit_streams()
        try:
            with stopping_in_order():
                return super().invoke(ctx)
        except ClusterError as error:
            fail(error.summary, error.exit_code, error.findings)
        except PrepError as error:
            fail(str(error), exit_code_of(error))
        except OSError as error:
            if error.filename is None:  # It is not about anything that was asked for.
                raise
            fail(reason_and_file(error), PrepError.exit_code)
        except click.exceptions.NoArgsIsHelpError:
            raise  # Its message is the help.
        except click.UsageError as error:
            command = error.ctx.command_path if error.ctx else "prep"
            fail(f"{brief(error.format_message())} ({command} -h lists all)", UsageError.exit_code)
        except (KeyboardInterrupt, click.Abort) as error:
            fail("stopped", exit_code_of(error))


def exit_code_of(error: BaseException) -> int:
    """Return what to exit with: by convention, 128 and its number for a signal."""
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return 128 + stopped_by()
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
