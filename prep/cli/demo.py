"""``prep demo``."""

from __future__ import annotations

import click

from prep.admission import Stored
from prep.cli.files import local_path
from prep.cli.options import workers_option
from prep.config import Config


@click.command()
@click.option(
    "-o",
    "--output",
    default="demo",
    show_default=True,
    metavar="DIR",
    help="Folder for the images and the shards.",
)
@click.option(
    "--images",
    type=click.IntRange(min=30),
    default=600,
    show_default=True,
    metavar="N",
    help="How many images to make.",
)
@workers_option
def demo(output: str, images: int, workers: int | None) -> None:
    """Make a small set of photos, a few of them broken, and prepare it."""
    from prep import demo as demonstration
    from prep import runs
    from prep.terminal import print_report

    root = local_path(output)
    demonstration.require_free(root)
    source = root / "images"
    click.echo(f"making {images} images in {source} …")
    demonstration.make_images(source, images)
    config = Config(source=Stored(source), output=Stored(root / "shards"), images_per_shard=50)
    report = runs.run(config, workers=workers, overwrite=True, progress=True)
    print_report(report)
    click.echo(demonstration.where_to_look(root))
