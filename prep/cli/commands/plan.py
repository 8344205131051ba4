"""``prep plan``."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from prep.cli.options import config_options, workers_option
from prep.cli.parameters import require_source
from prep.cli.talk import Talk, talk_options
from prep.text import one_line

if TYPE_CHECKING:
    from prep.config import Config
    from prep.operations.plan import Estimate
    from prep.planning.plan import RunPlan


@click.command()
@talk_options
@config_options
@workers_option
def plan(config: Config, workers: int | None, talk: Talk) -> None:
    """Show what a run would do, and what it would find in OUTPUT; write nothing.

    Exits with the code that a run would end with at once: if it could not begin, or if too many
    images were refused of what is complete.
    """
    require_source(config)
    from prep.cli.tables import print_plan
    from prep.monitoring.callbacks import emitting
    from prep.operations import outlook
    from prep.operations.plan import estimate
    from prep.output.report.verdict import Verdict

    with emitting(talk.callbacks("planning")) as events:
        events.stage(f"listing {one_line(str(config.source))}")
        made = outlook.plan(config)
        events.stage("trying some images")
        guess = estimate(made, workers)
    if talk.to_people:
        print_plan(made, guess)
    if made.state is not None and made.state.obstacle is not None:
        raise made.state.obstacle
    talk.ended(Verdict("done"), _as_json(made, guess))


def _as_json(made: RunPlan, guess: Estimate) -> dict[str, Any]:
    from prep.planning.plan import OutputState

    state = made.state or OutputState()
    return {
        "source": made.source,
        "output": made.config.output,
        "images": made.images,
        "source_bytes": made.source_bytes,
        "splits": made.counts,
        "labels": made.labels.to_json(),
        "shards": len(made.shards),
        "images_per_shard": made.images_per_shard,
        "fingerprint": made.fingerprint.digest,
        "passed_over": [asdict(ignored) for ignored in made.ignored],
        "estimate": asdict(guess),
        "committed": state.committed,
        "images_left": state.images_left,
        "free": state.free,
    }
