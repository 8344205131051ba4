"""``prep cluster``."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from prep.cli.options import cluster_options, storage_option
from prep.config import Config
from prep.errors import PrepError

if TYPE_CHECKING:
    from prep.clusters import ClusterChoice

_JOIN_WITHIN = 60.0  # seconds for workers to join before a cluster is looked at


@click.group("cluster")
def cluster() -> None:
    """Look at a cluster."""


@cluster.command()
@cluster_options
@click.option("-c", "--config", "config_file", metavar="FILE", help="As of prep run.")
@click.option("--source", metavar="PATH", help="The folder of images.")
@click.option("--output", metavar="PATH", help="The folder for the shards.")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
@storage_option
def check(
    choice: ClusterChoice,
    config_file: str | None,
    source: str | None,
    output: str | None,
    as_json: bool,
    storage_options: Mapping[str, Any] | None,
) -> None:
    """Find out whether a cluster can do the work, and what to do about it if not.

    All workers are asked for their versions and set-up; one of each host reads an image of SOURCE,
    and writes a file to OUTPUT, which is removed again.

    Exits with 0 if a run would not fail for what the cluster lacks, and with 1 if it would.
    """
    from prep import checks
    from prep.clusters import opened
    from prep.locations import absolute
    from prep.terminal import print_cluster_check

    given = {"source": source, "output": output, "storage_options": storage_options}
    given = {key: value for key, value in given.items() if value is not None}
    if config_file is None:
        config = Config(**{"source": os.curdir, "output": os.curdir, **given})
    else:
        config = Config.from_file(config_file, **given)
    config.grant()
    whole = config_file is not None
    readable = checks.samples_of(config.source) if whole or "source" in given else []
    writable = absolute(config.output) if whole or "output" in given else None
    with opened(choice) as client:
        wanted = choice.workers or choice.spec().workers or 1
        checks.await_workers(client, wanted, _JOIN_WITHIN)
        found = checks.check_cluster(client, readable=readable, writable=writable, workers=wanted)
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=2))
    else:
        print_cluster_check(found)
    if found.errors:
        sys.exit(PrepError.exit_code)
