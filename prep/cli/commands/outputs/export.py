"""``prep export``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import click

from prep.cli.options import cluster_options, storage_option
from prep.cli.parameters import Path, Word
from prep.cli.talk import Talk, talk_options
from prep.errors import ConfigError
from prep.text import one_line

if TYPE_CHECKING:
    from prep.execution.clusters.choice import ClusterChoice
    from prep.shards.exports.base import ExportName

_FORMATS = ("webdataset", "parquet", "mds", "array_record")


@click.command()
@talk_options
@click.argument("output", metavar="OUTPUT", type=Path(folder=True))
@click.argument("folder", metavar="FOLDER", type=Path(folder=True))
@click.option(
    "--to",
    type=Word(_FORMATS),
    metavar="FORMAT",
    help=f"Format of the export: {', '.join(_FORMATS)}.",
)
@click.option(
    "--split",
    "splits",
    multiple=True,
    metavar="NAME",
    help="Split to export; may be given several times. [all]",
)
@cluster_options
@storage_option
def export(
    output: str,
    folder: str,
    to: str | None,
    splits: Sequence[str],
    choice: ClusterChoice,
    storage_options: Mapping[str, Any] | None,
    talk: Talk,
) -> None:
    """Export OUTPUT to another format, without decoding its images.

    FOLDER is a new folder. The same command continues an export that was stopped.
    """
    import prep

    if to is None:
        raise ConfigError(f"to: missing; expected one of {', '.join(_FORMATS)}")
    report = prep.export(
        output,
        folder,
        cast("ExportName", to),
        splits=splits or None,
        cluster=choice,
        progress=False,
        callbacks=talk.callbacks("exporting"),
        storage_options=storage_options,
    )
    if talk.to_people:
        click.echo(one_line(report.summary()))
    talk.ended(report.to_json(), report.verdict)
