"""``prep plan``."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from prep.cli.options import config_options, growth_options, workers_option
from prep.cli.talk import Talk, talk_options
from prep.text import one_line

if TYPE_CHECKING:
    from prep.config.model import Config
    from prep.operations.tools.estimating import Estimate
    from prep.planning.plan import RunPlan


@click.command()
@talk_options
@config_options
@growth_options
@workers_option
def plan(config: Config, append: bool, compact: bool, workers: int | None, talk: Talk) -> None:
    """Show what a run would do, and what it would find in OUTPUT; write nothing.

    Exits with the code of a run that would fail at once: because it can't begin, or because a
    complete OUTPUT has too many refused images or leaks.
    """
    config.require_source()  # Before all that takes long to load.
    from prep.cli.tables import print_plan
    from prep.monitoring.events import emitting
    from prep.operations.growth.appending import aim_of
    from prep.operations.outlook import look_ahead
    from prep.operations.tools.estimating import estimate

    with emitting(talk.callbacks("planning")) as events:
        events.stage(f"listing {one_line(str(config.source))}")
        found = look_ahead(config, aim_of(append=append, compact=compact), events.stage)
        events.stage("trying some images")
        guess = estimate(found, workers)
    if talk.to_people:
        print_plan(found, guess)
    if found.state is not None and found.state.obstacle is not None:
        raise found.state.obstacle
    talk.ended(_as_json(found, guess))


def _as_json(plan: RunPlan, guess: Estimate) -> dict[str, Any]:
    state = plan.state
    assert state is not None  # The output was looked at.
    return {
        "source": plan.shown_source,
        "read_as": plan.read_as,
        "output": plan.config.output,
        "images": plan.images,
        "source_bytes": plan.source_bytes,
        "splits": plan.counts,
        "balance": {split: of.to_json() for split, of in plan.balance.items()},
        "labels": plan.labels.to_json(),
        "class_names": dict(plan.class_names),
        "doubts": list(plan.doubts),
        "shards": len(plan.shards),
        "images_per_shard": plan.images_per_shard,
        "fingerprint": plan.fingerprint.digest,
        "passed_over": [asdict(ignored) for ignored in plan.ignored],
        "estimate": asdict(guess),
        "committed": state.committed,
        "images_left": state.images_left,
        "free": state.free,
        "growth": state.growth,
        "outdated": [image._asdict() for image in plan.outdated],
    }
