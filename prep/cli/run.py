"""``prep run``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from prep.cli.options import cluster_options, config_options
from prep.cli.places import require_source
from prep.cli.talk import Talk, talk_options
from prep.errors import TooManyRefused

if TYPE_CHECKING:
    from prep.cluster_choice import ClusterChoice
    from prep.config import Config


@click.command()
@talk_options
@config_options
@cluster_options
@click.option("--overwrite", is_flag=True, help="Replace what an earlier run has put in OUTPUT.")
def run(config: Config, choice: ClusterChoice, overwrite: bool, talk: Talk) -> None:
    """Write shards, mean RGB and a report.

    A run that was stopped goes on where it was when the same command is given again.
    """
    require_source(config)
    from prep import runs
    from prep.terminal import print_report

    try:
        report = runs.run(
            config, overwrite=overwrite, cluster=choice, progress=talk.progress("preparing")
        )
    except TooManyRefused as error:
        if talk.to_people and error.report is not None:
            print_report(error.report)
        raise
    if talk.to_people:
        print_report(report)
    talk.ended(report.verdict, report.to_json())
