"""``prep plan``."""

from __future__ import annotations

import click

from prep.cli.options import config_options, workers_option
from prep.config import Config


@click.command()
@config_options
@workers_option
def plan(config: Config, workers: int | None) -> None:
    """Show what a run would do; write nothing."""
    from prep import plans
    from prep.estimate import estimate
    from prep.terminal_plan import print_plan

    made = plans.plan(config)
    print_plan(made, estimate(made, workers))
