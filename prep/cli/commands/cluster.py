"""``prep cluster``."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from prep.cli.options import cluster_options, config_files_option, config_of, storage_option
from prep.cli.parameters import place
from prep.errors import PrepError

if TYPE_CHECKING:
    from prep.execution.clusters.choice import ClusterChoice


@click.group("cluster")
def cluster() -> None:
    """Check a cluster."""


@cluster.command()
@cluster_options
@place("source", help="The images: a folder, an archive or a list.", expected="", needed=False)
@place("output", "-o", "--output", help="The folder for the shards.", expected="", needed=False)
@config_files_option
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@storage_option
def check(
    choice: ClusterChoice,
    config_files: tuple[str, ...],
    source: str | None,
    output: str | None,
    as_json: bool,
    storage_options: Mapping[str, Any] | None,
) -> None:
    """Find out whether a cluster can do the work, and what to do about it if not.

    All workers report their versions and set-up. One worker per host reads an image of SOURCE, and
    writes a file to OUTPUT, which is removed again.

    Exits with 0 if the cluster can do the work, and with 1 if it can't.
    """
    from prep.cli.tables import print_cluster_check
    from prep.operations.tools.cluster_check import check_chosen_cluster

    given = {"source": source, "output": output, "storage_options": storage_options}
    given = {key: value for key, value in given.items() if value is not None}
    elsewhere = {} if config_files else {"source": os.curdir, "output": os.curdir}
    config = config_of(config_files, {**elsewhere, **given})
    asked = set(given) | ({"source", "output"} if config_files else set())
    found = check_chosen_cluster(choice, config, read="source" in asked, write="output" in asked)
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=2))
    else:
        print_cluster_check(found)
    if found.errors:
        sys.exit(PrepError.exit_code)
