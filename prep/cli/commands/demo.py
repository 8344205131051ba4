"""``prep demo``."""

from __future__ import annotations

import click

from prep.cli.files import local_path
from prep.cli.options import workers_option
from prep.cli.parameters import Count, place
from prep.config import Config
from prep.storage.arguments import Stored


@click.command()
@place(
    "output",
    "-o",
    "--output",
    help="Folder for the images and the shards. [demo]",
    expected="the path of a folder",
    needed=False,
)
@click.option(
    "--images",
    type=Count(min=30),
    default=600,
    show_default=True,
    metavar="N",
    help="How many images to make.",
)
@workers_option
def demo(output: str | None, images: int, workers: int | None) -> None:
    """Make a small set of photos, a few of them broken, and prepare it."""
    from prep.cli.tables import print_report
    from prep.operations import run
    from prep.sources import demo as demonstration

    root = local_path("demo" if output is None else output)
    demonstration.require_free(root)
    source = root / "images"
    click.echo(f"making {images} images in {source} …")
    demonstration.make_images(source, images)
    config = Config(source=Stored(source), output=Stored(root / "shards"), images_per_shard=50)
    report = run.run(config, workers=workers, overwrite=True, progress=True)
    print_report(report)
    click.echo(demonstration.where_to_look(root))
