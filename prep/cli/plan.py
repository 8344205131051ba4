"""``prep plan``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from prep.cli.options import config_options, workers_option
from prep.cli.places import require_source

if TYPE_CHECKING:
    from prep.config import Config


@click.command()
@config_options
@workers_option
def plan(config: Config, workers: int | None) -> None:
    """Show what a run would do, and what it would find in OUTPUT; write nothing.

    Exits with the code that a run would end with at once, if it could not begin.
    """
    require_source(config)
    from prep import outlook
    from prep.estimate import estimate
    from prep.terminal_plan import print_plan

    made = outlook.plan(config)
    print_plan(made, estimate(made, workers))
    if made.state is not None and made.state.obstacle is not None:
        raise made.state.obstacle
