"""``prep run``."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from prep.cli.options import cluster_options, config_options
from prep.cli.places import require_source
from prep.cli.talk import Talk, talk_options
from prep.errors import TooManyRefused

if TYPE_CHECKING:
    from prep.cluster_choice import ClusterChoice
    from prep.config import Config
    from prep.report import RunReport


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
        from prep import runs

        run_it = functools.partial(runs.run, config, cluster=choice)
        _run_and_tell(run_it, overwrite, talk)
        return
    from prep.cli.keep import Keep
    from prep.placing import placed, require_usable
    from prep.runs import carry_out

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
    from prep.terminal import print_report

    try:
        report = run_it(overwrite=overwrite, progress=talk.progress("preparing"))
    except TooManyRefused as error:
        if talk.to_people and error.report is not None:
            print_report(error.report)
        raise
    if talk.to_people:
        print_report(report)
    talk.ended(report.verdict, report.to_json())
