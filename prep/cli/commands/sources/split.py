"""``prep split``."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING, Any

import click

from prep.cli.files import writable
from prep.cli.options import config_files_option, config_of, key_options
from prep.cli.parameters import Path, place
from prep.cli.talk import Talk, talk_options
from prep.text import counted, one_line

if TYPE_CHECKING:
    from prep.operations.tools.split_lists import SplitList
    from prep.planning.plan import RunPlan

# Those that say which images, classes and splits there are.
_KEYS = (
    *("storage_options", "label_map", "splits", "layout", "on_stray", "columns", "images"),
    *("extension", "on_missing", "unlabelled", "exclude", "labels", "label_offset", "split"),
    *("subset", "unpack", "image_type", "seed", "duplicates"),
)


@click.command()
@talk_options
@place("source", help="The images, as for prep run.", expected="", needed=False)
@click.option(
    "--write",
    "written",
    type=Path(),
    metavar="FILE",
    help="CSV file to write, with the split of each image; it can be a source.",
)
@config_files_option
@key_options(*_KEYS)
def split(
    source: str | None,
    written: str | None,
    config_files: tuple[str, ...],
    talk: Talk,
    **values: Any,
) -> None:
    """Show the splits of SOURCE, and the balance of classes in each.

    With --split, they are made; prep run makes the same with the same settings.
    """
    from prep.cli.tables import print_splits
    from prep.operations.tools.split_lists import split_source, write_list

    file = None if written is None else writable(written, "write")
    given = {**values, "source": source, "output": os.devnull}  # No shards are written.
    plan = split_source(config_of(config_files, given))
    if talk.to_people:
        print_splits(plan)
    listed = None
    if file is not None:
        listed = write_list(plan, file)
        if talk.to_people:
            _tell_of_list(plan, listed)
    talk.ended(_as_json(plan, listed))


def _tell_of_list(plan: RunPlan, listed: SplitList) -> None:
    """Print where the list is, and the command that reads it."""
    path = one_line(listed.path)
    click.echo(f"{counted(plan.images, 'image')}, written to {path}")
    keys = {name: value for name, value in listed.keys.items() if not isinstance(value, dict)}
    flags = [
        f"--{name.replace('_', '-')}" + ("" if value is True else f"={value}")
        for name, value in keys.items()
    ]
    words = [listed.path, "OUTPUT", *flags]
    click.echo(f"next: prep plan {one_line(shlex.join(words))}")
    if len(keys) < len(listed.keys):
        click.echo("its classes get these numbers with the label_map of the configuration")
    elif not listed.same_labels:
        click.echo(
            "its classes would get other numbers: add --label-map with the file that prep labels "
            "writes for the source"
        )


def _as_json(plan: RunPlan, listed: SplitList | None) -> dict[str, Any]:
    found: dict[str, Any] = {
        "source": plan.shown_source,
        "read_as": plan.read_as,
        "images": plan.images,
        "splits": plan.counts,
        "balance": {name: of.to_json() for name, of in plan.balance.items()},
        "doubts": list(plan.doubts),
    }
    if listed is not None:
        found |= {"written": listed.path, "keys": listed.keys, "same_labels": listed.same_labels}
    return found
