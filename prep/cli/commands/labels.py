"""``prep labels``."""

from __future__ import annotations

from typing import get_args

import click

from prep.cli.files import writable, write_json
from prep.cli.parameters import place
from prep.cli.talk import Talk, talk_options
from prep.sources.folders.names import FolderLayout, OnStray
from prep.storage.arguments import admit
from prep.text import counted, one_line


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
    "--layout", type=click.Choice(get_args(FolderLayout)), default="auto", help="As for prep run."
)
@click.option(
    "--on-stray", type=click.Choice(get_args(OnStray)), default="fail", help="As for prep run."
)
def labels(source: str, output: str, layout: FolderLayout, on_stray: OnStray, talk: Talk) -> None:
    """Number the classes of SOURCE by name, and write the label map."""
    from prep.output.report.verdict import Verdict
    from prep.sources.folders.scan import scan_folders
    from prep.sources.labels import LabelMap

    file = writable(output)
    catalog = scan_folders(admit("source", source, None), layout=layout, on_stray=on_stray)
    label_map = LabelMap.build(catalog.classes)
    write_json(file, label_map.to_json())
    if talk.to_people:
        click.echo(f"{counted(len(label_map.numbers), 'class')}, written to {one_line(str(file))}")
    talk.ended(Verdict("done"), label_map.to_json())
