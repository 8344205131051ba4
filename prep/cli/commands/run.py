"""``prep run``, and with ``--dashboard-keep`` a dashboard that stays up until told."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import sys
import termios
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from prep.cli.options import cluster_options, config_options, growth_options
from prep.cli.talk import Talk, talk_options
from prep.errors import NotAsAsked

if TYPE_CHECKING:
    from prep.config.model import Config
    from prep.execution.clusters.choice import ClusterChoice
    from prep.output.report.report import RunReport


def _wait(link: str | None, *, quiet: bool) -> None:
    """Keep a dashboard up until told to end it: by Enter, Ctrl-C, or a signal."""
    from prep.display.links import page_link

    if link is None:
        _say("no dashboard was started, for there was nothing to do", quiet=quiet)
        return
    at_terminal = _is_ours_to_read()
    told = "Enter or Ctrl-C ends it" if at_terminal else "SIGTERM or SIGINT ends it"
    with contextlib.suppress(KeyboardInterrupt):
        if at_terminal:
            termios.tcflush(sys.stdin, termios.TCIFLUSH)  # Keys that were meant for the run.
        _say(f"the dashboard stays up at {page_link(link, 'prep')}; {told}", quiet=quiet)
        if at_terminal:
            sys.stdin.readline()
        else:
            while True:
                signal.pause()


def _is_ours_to_read() -> bool:
    """Return whether somebody at a terminal types for this process; not in the background."""
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
@growth_options
@click.option(
    "--dashboard-keep",
    "keep_dashboard",
    is_flag=True,
    help="Use a Dask cluster, and keep its dashboard up after the run, until Enter or Ctrl-C.",
)
def run(
    config: Config,
    choice: ClusterChoice,
    overwrite: bool,
    append: bool,
    compact: bool,
    keep_dashboard: bool,
    talk: Talk,
) -> None:
    """Write shards, mean RGB and a report.

    The same command continues a run that was stopped.
    """
    config.require_source()  # Before all that takes long to load.
    aim: dict[str, Any] = {"overwrite": overwrite, "append": append, "compact": compact}
    if not keep_dashboard:
        import prep

        run_it = functools.partial(prep.run, config, cluster=choice, progress=False, **aim)
        _run_and_tell(run_it, talk)
        return
    from prep.operations.tools.kept_dashboard import KeptDashboard

    with KeptDashboard(choice) as kept:
        try:
            _run_and_tell(functools.partial(kept.run, config, **aim), talk)
        except NotAsAsked:
            _wait(kept.link, quiet=not talk.to_people)
            raise
        _wait(kept.link, quiet=not talk.to_people)


def _run_and_tell(run_it: Callable[..., RunReport], talk: Talk) -> None:
    try:
        report = run_it(callbacks=talk.callbacks("preparing"))
    except NotAsAsked as error:
        if error.report is not None:
            _tell(error.report, talk)
        raise
    _tell(report, talk)
    talk.ended(report.to_json(), report.verdict)


def _tell(report: RunReport, talk: Talk) -> None:
    if talk.to_people:
        from prep.cli.tables import print_report  # Once the work is done: it takes long to load.

        print_report(report)
