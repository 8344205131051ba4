"""Errors at the command line: one line, and an exit code."""

from __future__ import annotations

import atexit
import gc
import signal
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from prep.errors import ClusterError, Interrupted, PrepError, UsageError
from prep.locations import hide_credentials
from prep.text import one_line, reason_and_file

_LONGEST = 2000  # characters of a message


class Errors(click.Group):
    """Turns errors that are meant for the user into one line and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        # To collect what the system frees in any case takes half a second.
        atexit.register(gc.freeze)
        # Batch systems end a job with SIGTERM: it is to stop in as good order as with Ctrl-C.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            return super().invoke(ctx)
        except ClusterError as error:
            fail(error.summary, error.exit_code, error.findings)
        except PrepError as error:
            fail(str(error), error.exit_code)
        except OSError as error:
            if error.filename is None:  # It is not about anything that was asked for.
                raise
            fail(reason_and_file(error), PrepError.exit_code)
        except click.UsageError as error:
            command = error.ctx.command_path if error.ctx else "prep"
            fail(f"{error.format_message()} ({command} -h lists all)", UsageError.exit_code)
        except (KeyboardInterrupt, click.Abort):
            fail("stopped", Interrupted.exit_code)


def fail(message: str, exit_code: int, findings: Sequence[str] = ()) -> NoReturn:
    """Print one line, and one for each finding, and exit."""
    click.echo(f"prep: {_shown(message)}", err=True)
    for finding in findings:
        click.echo(f"  {_shown(finding)}", err=True)
    sys.exit(exit_code)


def _shown(message: str) -> str:
    """Put a message on one line of bounded length, without secrets in URLs."""
    line = one_line(hide_credentials(message))
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST // 2]} … {line[-_LONGEST // 2 :]}"
