"""``prep mean``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from prep.cli.files import writable, write_json
from prep.cli.options import cluster_options, storage_option
from prep.cli.parameters import Path
from prep.cli.talk import Talk, talk_options
from prep.errors import ConfigError
from prep.text import counted

if TYPE_CHECKING:
    from prep.execution.clusters.choice import ClusterChoice


@click.command()
@talk_options
@click.argument("arguments", nargs=-1, type=Path(), metavar="[INPUT]...")
@click.option(
    "-i",
    "--image_dir",
    "--image-dir",
    "flagged",
    type=Path(),
    multiple=True,
    metavar="PATH",
    help="The same as INPUT. Takes many paths, such as those of an unquoted pattern.",
)
@click.option(
    "-o",
    "--output_file_name",
    "--output",
    "output",
    type=Path(),
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
    help="Whether INPUT holds shards (TFRecord or WebDataset). [by its name]",
)
@click.option(
    "--weight",
    type=click.Choice(["image", "pixel"]),
    default="image",
    show_default=True,
    help="What has equal weight: each image, or each pixel.",
)
@click.option(
    "--scale",
    type=click.Choice(["1", "255"]),
    default="255",
    show_default=True,
    help="Largest sample that the results are for; 1 as torchvision expects.",
)
@click.option(
    "--sample",
    type=float,
    metavar="FRACTION",
    help="Look at a random part of the images, such as 0.1, and give the standard error.",
)
@click.option(
    "--seed",
    type=int,
    default=0,
    show_default=True,
    metavar="N",
    help="Seed of the sample.",
)
@click.option(
    "--approximate",
    is_flag=True,
    help="Decode JPEGs at an eighth of their size, and give the standard error; no std.",
)
@click.option(
    "--std/--no-std",
    default=True,
    help="Whether to compute std and covariance, too; without, it is faster.  [default: std]",
)
@cluster_options
@storage_option
def mean(
    arguments: tuple[str, ...],
    flagged: tuple[str, ...],
    output: str | None,
    tfrecord: bool | None,
    weight: str,
    scale: str,
    sample: float | None,
    seed: int,
    approximate: bool,
    std: bool,
    choice: ClusterChoice,
    storage_options: Mapping[str, Any] | None,
    talk: Talk,
) -> None:
    """Compute the mean RGB of images, or of the images in shards, with std and covariance.

    INPUT is one or more folders, files, or patterns (** for any depth).
    """
    import prep
    from prep.cli.tables import print_mean

    if not (inputs := (*flagged, *arguments)):
        raise ConfigError("input: missing; expected a folder, files or a pattern")
    if output is None and len(inputs) > 1:  # As where a shell has expanded a pattern.
        raise ConfigError(
            f"input: got {counted(len(inputs), 'path')} and no JSON file to write; name it after "
            "-o, as in prep mean 'photos/*/*' -o mean.json"
        )
    if output is None:
        raise ConfigError("output: missing; expected the path of a JSON file to write, after -o")
    file = writable(output)
    report = prep.mean_rgb(
        inputs,
        weight=weight,  # type: ignore[arg-type]
        scale=int(scale),  # type: ignore[arg-type]
        sample=sample,
        seed=seed,
        approximate=approximate,
        std=std,
        tfrecord=tfrecord,
        cluster=choice,
        progress=False,
        callbacks=talk.callbacks("mean RGB"),
        storage_options=storage_options,
    )
    write_json(file, report.to_json())
    if talk.to_people:
        print_mean(report, str(file))
    talk.ended(report.to_json(), report.verdict)
