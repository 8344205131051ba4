"""``prep init``."""

from __future__ import annotations

import os

import click

from prep.admission import typed
from prep.cli.files import writable, write
from prep.cli.parameters import Path
from prep.cli.places import place
from prep.errors import ConfigError
from prep.locations import absolute
from prep.text import counted, one_line, quoted


@click.command()
@place("source", help="Folder of images. [this folder]", expected="", needed=False)
@place(
    "output",
    "-o",
    "--output",
    help="Folder for the shards, as FILE will name it. [shards]",
    expected="",
    needed=False,
)
@click.option(
    "-c",
    "--config",
    "config_file",
    type=Path(),
    metavar="FILE",
    default="config.yaml",
    show_default=True,
    help="YAML file to write.",
)
@click.option("--overwrite", is_flag=True, help="Replace FILE if it exists.")
def init(source: str | None, output: str | None, config_file: str, overwrite: bool) -> None:
    """Write a configuration for SOURCE, every setting explained.

    Without SOURCE, this folder is looked at, or the only folder of images in it.
    """
    from prep.starter import find_source, starter_config

    file = writable(config_file)
    if file.suffix.lower() not in (".yaml", ".yml"):
        raise ConfigError(f"config: got {quoted(file)}; expected a name that ends in .yaml")
    if os.path.lexists(file) and not overwrite:
        raise ConfigError(
            f"config: {quoted(file)} exists; pass `overwrite=True` to replace it, or give another "
            "name with `config`"
        )
    folder = os.curdir if source is None else typed("source", source)
    catalog = find_source(folder)
    found = folder if catalog.root == absolute(folder) else os.path.relpath(catalog.root)
    shards = "shards" if output is None else typed("output", output)
    write(file, starter_config(catalog, found, shards).encode())
    images, classes = catalog.images.num_rows, len(catalog.classes)
    written = one_line(str(file))
    what = f"{counted(images, 'image')} of {counted(classes, 'class')} in {one_line(found)}"
    click.echo(f"{what}: wrote {written}\nnext: prep plan -c {written}")
