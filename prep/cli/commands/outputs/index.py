"""``prep index``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from prep.cli.options import storage_option
from prep.cli.parameters import place


@click.command()
@place(
    "output",
    "-o",
    "--output",
    help="Folder that prep run has written, or its URL.",
    expected="the folder, or the URL, that prep run has written",
)
@storage_option
def index(output: str, storage_options: Mapping[str, Any] | None) -> None:
    """Write the files that tell readers what is in the shards of OUTPUT.

    Every run writes them: images.parquet, the indexes in the folder index, and what TensorFlow
    Datasets needs. Use the command for the output of an earlier version, or if they are lost.
    """
    import prep

    click.echo(prep.index(output, storage_options).summary())
