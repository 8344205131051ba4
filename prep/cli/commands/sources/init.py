"""``prep init``."""

from __future__ import annotations

import os

import click

from prep.cli.files import writable, write
from prep.cli.options import key_options
from prep.cli.parameters import Path, place
from prep.errors import ConfigError
from prep.text import counted, one_line, quoted


@click.command()
@place(
    "source",
    help="The images: a folder, an archive or a list, or its URL. [this folder]",
    expected="",
    needed=False,
)
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
@key_options("storage_options", "unpack")
def init(
    source: str | None,
    output: str | None,
    config_file: str,
    overwrite: bool,
    storage_options: str | None,
    unpack: bool | None,
) -> None:
    """Write a configuration for SOURCE, with every setting explained.

    What was found, such as the columns of a list, is set in it. SOURCE defaults to this folder, or
    to the only folder of images in it.
    """
    from prep.operations.tools.first_steps import make_starter

    file = writable(config_file)
    if file.suffix.lower() not in (".yaml", ".yml"):
        raise ConfigError(f"config: got {quoted(file)}; expected a name that ends in .yaml")
    if os.path.lexists(file) and not overwrite:
        raise ConfigError(
            f"config: {quoted(file)} exists; pass `overwrite=True` to replace it, or give another "
            "name with `config`"
        )
    starter = make_starter(source, output, unpack=bool(unpack), storage_options=storage_options)
    write(file, starter.text.encode())
    counts = f"{counted(starter.images, 'image')} of {counted(starter.classes, 'class')}"
    written = one_line(str(file))
    click.echo(f"{counts} in {one_line(starter.source)}: wrote {written}")
    if starter.read_as:
        click.echo(f"read as: {one_line(starter.read_as)}")
    click.echo(f"next: prep plan -c {written}")
