"""``prep demo``."""

from __future__ import annotations

from pathlib import Path

import click

from prep.cli.files import require_local
from prep.cli.options import workers_option
from prep.cli.parameters import Count, place
from prep.settings.distribution import install_command


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
    from prep.operations.tools.first_steps import run_demo

    root = require_local("demo" if output is None else output)
    print_report(run_demo(root, images, workers, click.echo))
    click.echo(_where_to_look(root))


def _where_to_look(root: Path) -> str:
    shards = root / "shards"
    places = {
        f"{shards}/train/": "the shards",
        f"{shards}/mean_rgb.json": "the mean to subtract in training",
        f"{shards}/report.html": "the result, to look at in a browser",
        f"{shards}/report.json": "all numbers, and each refused image with its reason",
        f"{root}/images/": "the images",
    }
    width = max(map(len, places))
    return (
        "\nLook at:\n"
        + "".join(f"  {place:{width}}  {what}\n" for place, what in places.items())
        + f"\nTrain on it ({install_command('tensorflow')}):\n"
        "  import prep\n"
        f'  dataset = prep.load("{shards}", "train", shuffle=True, batch=32)\n'
    )
