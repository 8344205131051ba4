"""``prep merge``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from prep.cli.options import cluster_options, storage_option, trust_option
from prep.cli.parameters import Path
from prep.cli.talk import Talk, talk_options
from prep.errors import ConfigError, NotAsAsked

if TYPE_CHECKING:
    from prep.execution.clusters.choice import ClusterChoice
    from prep.output.plan_file import Trust


@click.command()
@talk_options
@click.argument("outputs", metavar="OUTPUT OUTPUT…", nargs=-1, type=Path(folder=True))
@click.option(
    "-o",
    "--output",
    type=Path(folder=True),
    metavar="PATH",
    help="New folder that gets the shards of all of them, or its URL.",
)
@click.option("--overwrite", is_flag=True, help="Replace what the new folder holds.")
@trust_option("Whether a repair of the new output may read the sources that the plans name.")
@cluster_options
@storage_option
def merge(
    outputs: tuple[str, ...],
    output: str | None,
    overwrite: bool,
    trust_plan: Trust,
    choice: ClusterChoice,
    storage_options: Mapping[str, Any] | None,
    talk: Talk,
) -> None:
    """Merge complete outputs of equal settings into a new one.

    Shards are copied as they are; no image is decoded. The same command continues a merge that was
    stopped.
    """
    import prep
    from prep.cli.tables import print_report

    if output is None:
        raise ConfigError("output: missing; expected the path or URL of a new folder")
    try:
        report = prep.merge(
            outputs,
            output,
            overwrite=overwrite,
            trust_plan=trust_plan,
            cluster=choice,
            progress=False,
            callbacks=talk.callbacks("merging"),
            storage_options=storage_options,
        )
    except NotAsAsked as error:
        if talk.to_people and error.report is not None:
            print_report(error.report)
        raise
    if talk.to_people:
        print_report(report)
    talk.ended(report.to_json(), report.verdict)
