"""``prep run``, and with ``--dashboard-keep`` a dashboard that stays up until told."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import signal
import sys
import termios
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import click

from prep.cli.options import cluster_options, config_options
from prep.cli.parameters import require_source
from prep.cli.talk import Talk, talk_options
from prep.errors import TooManyRefused

if TYPE_CHECKING:
    from prep.config import Config
    from prep.execution.clusters.choice import ClusterChoice
    from prep.execution.executor import Executor, Workload
    from prep.operations.run import Start
    from prep.output.report.report import RunReport


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
        from prep.display.links import page_link

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


@click.command()
@talk_options
@config_options
@cluster_options
@click.option("--overwrite", is_flag=True, help="Replace what earlier runs have written to OUTPUT.")
@click.option(
    "--dashboard-keep",
    "keep_dashboard",
    is_flag=True,
    help="Use a Dask cluster, and keep its dashboard up after the run, until Enter or Ctrl-C.",
)
def run(
    config: Config, choice: ClusterChoice, overwrite: bool, keep_dashboard: bool, talk: Talk
) -> None:
    """Write shards, mean RGB and a report.

    A run that was stopped goes on where it was when the same command is given again.
    """
    require_source(config)
    if not keep_dashboard:
        from prep.operations import run as runs

        run_it = functools.partial(runs.run, config, cluster=choice, progress=False)
        _run_and_tell(run_it, overwrite, talk)
        return
    from prep.execution.placing import placed, require_usable
    from prep.operations.run import carry_out

    choice = dataclasses.replace(choice, dashboard=True)
    require_usable(None, choice)
    with Keep(functools.partial(placed, None, choice)) as keep:
        try:
            _run_and_tell(functools.partial(carry_out, config, keep.start), overwrite, talk)
        except TooManyRefused:
            keep.wait(quiet=not talk.to_people)
            raise
        keep.wait(quiet=not talk.to_people)


def _run_and_tell(run_it: Callable[..., RunReport], overwrite: bool, talk: Talk) -> None:
    from prep.cli.tables import print_report

    try:
        report = run_it(overwrite=overwrite, callbacks=talk.callbacks("preparing"))
    except TooManyRefused as error:
        if talk.to_people and error.report is not None:
            print_report(error.report)
        raise
    if talk.to_people:
        print_report(report)
    talk.ended(report.verdict, report.to_json())
