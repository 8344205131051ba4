"""``prep find``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from prep.cli.options import storage_option
from prep.cli.parameters import Path
from prep.text import one_line

if TYPE_CHECKING:
    from prep.operations.tools.image_search import FoundImage

_TITLES = ("name", "split", "row", "shard", "record", "class", "outcome")


@click.command()
@click.argument("output", metavar="OUTPUT", type=Path(folder=True))
@click.argument("name", metavar="NAME")
@storage_option
def find(output: str, name: str, storage_options: Mapping[str, Any] | None) -> None:
    """Find images of OUTPUT by NAME: what became of them, and where their records are.

    NAME is the path of an image relative to the source, the end of one, or any part of one. Where
    there is no terminal, each image is a line, with tabs in between: name, split, row, shard,
    record, class, outcome. `prep show OUTPUT --split SPLIT --row ROW` shows the record.
    """
    from prep.operations.tools import image_search

    images = image_search.find(output, name, storage_options=storage_options)
    rows = [[one_line(text) for text in _texts(image)] for image in images]
    if not sys.stdout.isatty():
        for row in rows:
            click.echo("\t".join(row))
        return
    from prep.cli.tables import print_table

    print_table(_TITLES, rows)


def _texts(image: FoundImage) -> list[str]:
    numbers = ("" if number is None else str(number) for number in (image.row, image.number))
    row, number = numbers
    outcome = ": ".join(filter(None, (image.outcome, image.reason)))
    return [image.name, image.split, row, image.shard, number, image.class_name, outcome]
