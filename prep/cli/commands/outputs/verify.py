"""``prep verify``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from prep.cli.options import cluster_options, storage_option, trust_option
from prep.cli.parameters import place
from prep.cli.talk import Talk, talk_options
from prep.errors import PrepError

if TYPE_CHECKING:
    from prep.execution.clusters.choice import ClusterChoice
    from prep.output.plan_file import Trust


@click.command()
@talk_options
@place(
    "output",
    "-o",
    "--output",
    help="Folder that prep run has written, or its URL.",
    expected="the folder, or the URL, that prep run has written",
)
@click.option("--repair", is_flag=True, help="Write broken shards and files again.")
@trust_option("Whether a repair may read the source that OUTPUT's plan names.")
@cluster_options
@storage_option
def verify(
    output: str,
    repair: bool,
    trust_plan: Trust,
    choice: ClusterChoice,
    storage_options: Mapping[str, Any] | None,
    talk: Talk,
) -> None:
    """Read all of OUTPUT again, and list what is wrong with it.

    Exits with 0 if nothing is wrong (any more), and with 1 if something is, or if the run was
    stopped.
    """
    import prep
    from prep.cli.tables import print_verification

    report = prep.verify(
        output,
        repair=repair,
        trust_plan=trust_plan,
        cluster=choice,
        progress=False,
        callbacks=talk.callbacks("verifying"),
        storage_options=storage_options,
    )
    if talk.to_people or not (report.clean or talk.as_json):
        print_verification(report)
    exit_code = 0 if report.clean else PrepError.exit_code
    talk.ended(report.to_json(), report.verdict, exit_code)
    if exit_code:
        sys.exit(exit_code)
