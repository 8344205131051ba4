"""``prep mean``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from prep.cli.files import writable, write_json
from prep.cli.options import cluster_options, storage_option

if TYPE_CHECKING:
    from prep.clusters import ClusterChoice


@click.command()
@click.option(
    "-i",
    "--image_dir",
    "--image-dir",
    "inputs",
    required=True,
    metavar="GLOB|DIR",
    help="Images or shards: a folder, or a quoted pattern (** for any depth).",
)
@click.option(
    "-o",
    "--output_file_name",
    "--output",
    "output",
    required=True,
    metavar="FILE",
    help="JSON file to write.",
)
@click.option(
    "-tf",
    "--use_tfrecord",
    "--use-tfrecord",
    "tfrecord",
    type=bool,
    default=None,
    is_flag=False,
    flag_value=True,
    metavar="BOOL",
    help="Whether the input is TFRecord shards. [whether it is named so]",
)
@click.option(
    "--weight",
    type=click.Choice(["image", "pixel"]),
    default="image",
    show_default=True,
    help="What weighs the same: each image, or each pixel.",
)
@cluster_options
@storage_option
def mean(
    inputs: str,
    output: str,
    tfrecord: bool | None,
    weight: str,
    choice: ClusterChoice,
    storage_options: Mapping[str, Any] | None,
) -> None:
    """Compute the mean RGB of images, or of the images in shards."""
    from prep import means
    from prep.terminal import print_mean

    file = writable(output)
    report = means.mean_rgb(
        inputs,
        weight=weight,  # type: ignore[arg-type]
        tfrecord=tfrecord,
        cluster=choice,
        progress=True,
        storage_options=storage_options,
    )
    write_json(file, report.to_json())
    print_mean(report, str(file))
