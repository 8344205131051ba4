"""``prep labels``."""

from __future__ import annotations

import os
from typing import Any

import click

from prep.cli.files import writable, write_json
from prep.cli.options import config_files_option, config_of, key_options
from prep.cli.parameters import place
from prep.cli.talk import Talk, talk_options
from prep.text import counted, one_line

# Those that say which classes a source has.
_KEYS = (
    *("storage_options", "splits", "layout", "on_stray", "columns", "images", "extension"),
    *("on_missing", "exclude", "labels", "label_offset", "first_label"),
    *("image_type", "unpack"),
)


@click.command()
@talk_options
@place("source", help="The images, as for prep run.", expected="", needed=False)
@place(
    "output",
    "-o",
    "--output",
    help="JSON file to write.",
    expected="the path of a JSON file to write",
    folder=False,
)
@config_files_option
@key_options(*_KEYS)
def labels(
    source: str | None, output: str, config_files: tuple[str, ...], talk: Talk, **values: Any
) -> None:
    """Write a label map that numbers the classes of SOURCE by name.

    If the source has an order of its own, or labels.order names one, the numbers follow it.
    """
    from prep.operations.tools.first_steps import number_classes

    file = writable(output)
    given = {**values, "source": source, "output": os.devnull}  # No shards are written.
    label_map = number_classes(config_of(config_files, given))
    write_json(file, label_map.to_json())
    if talk.to_people:
        click.echo(f"{counted(len(label_map.numbers), 'class')}, written to {one_line(str(file))}")
    talk.ended(label_map.to_json())
