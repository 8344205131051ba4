"""``prep labels``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from prep.cli.files import writable, write_json
from prep.cli.parameters import place
from prep.cli.talk import Talk, talk_options
from prep.settings import KEYS
from prep.text import counted, one_line

if TYPE_CHECKING:
    from prep.settings import OnStray
    from prep.sources.folders.names import FolderLayout


@click.command()
@talk_options
@place("source", help="Folder of images.", expected="the path of a folder, or a URL")
@place(
    "output",
    "-o",
    "--output",
    help="JSON file to write.",
    expected="the path of a JSON file to write",
    folder=False,
)
@click.option(
    "--layout", type=click.Choice(KEYS["layout"].words), default="auto", help="As for prep run."
)
@click.option(
    "--on-stray", type=click.Choice(KEYS["on_stray"].words), default="fail", help="As for prep run."
)
def labels(source: str, output: str, layout: FolderLayout, on_stray: OnStray, talk: Talk) -> None:
    """Write a label map that numbers the classes of SOURCE by name."""
    from prep.operations.tools.first_steps import number_classes

    file = writable(output)
    label_map = number_classes(source, layout, on_stray)
    write_json(file, label_map.to_json())
    if talk.to_people:
        click.echo(f"{counted(len(label_map.numbers), 'class')}, written to {one_line(str(file))}")
    talk.ended(label_map.to_json())
