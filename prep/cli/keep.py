"""``--dashboard-keep``: a cluster and its dashboard that stay up after the run, until told."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import termios
from collections.abc import Callable
from contextlib import AbstractContextManager

import click

from prep.addresses import page_link
from prep.executors import Executor, Workload
from prep.runs import Start


class Keep(contextlib.ExitStack):
    """Has what a run starts stay until the end of the block.

    Args:
        start: starts it.
    """

    def __init__(self, start: Start) -> None:
        super().__init__()
        self._start = start
        self._executor: Executor | None = None

    def start(
        self, workload: Workload, tell: Callable[[str], None]
    ) -> AbstractContextManager[Executor]:
        """Start it, for the run to use."""
        self._executor = self.enter_context(self._start(workload, tell))
        return contextlib.nullcontext(self._executor)

    def wait(self, *, quiet: bool) -> None:
        """Wait until told to end: by Enter, Ctrl-C, or a signal."""
        if self._executor is None:
            _say("no dashboard was started, for there was nothing to do", quiet=quiet)
            return
        at_terminal = _is_ours_to_read()
        told = "Enter or Ctrl-C ends it" if at_terminal else "SIGTERM or SIGINT ends it"
        address = page_link(self._executor.dashboard, "prep")
        with contextlib.suppress(KeyboardInterrupt):
            if at_terminal:
                termios.tcflush(sys.stdin, termios.TCIFLUSH)  # Keys that were meant for the run.
            _say(f"the dashboard stays up at {address}; {told}", quiet=quiet)
            if at_terminal:
                sys.stdin.readline()
            else:
                while True:
                    signal.pause()


def _is_ours_to_read() -> bool:
    """Whether somebody at a terminal types for this process; not in the background."""
    stdin = sys.stdin
    return stdin is not None and stdin.isatty() and os.tcgetpgrp(stdin.fileno()) == os.getpgrp()


def _say(what: str, *, quiet: bool) -> None:
    if not quiet:
        click.echo(f"prep: {what}", err=True)
