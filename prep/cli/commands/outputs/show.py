"""``prep show``."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

import click

from prep.cli.files import writable, write
from prep.cli.options import storage_option
from prep.cli.parameters import Count, Path
from prep.errors import ConfigError
from prep.text import one_line, quoted


class _Number(Count):
    """The number of a record; a path in its place is what a shell has made of a pattern."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read the number."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            if not os.path.exists(value):
                raise
            raise click.UsageError(
                f"expected one shard, got more ({quoted(value)}); give one, or the folder that "
                "they are in",
                ctx,
            ) from None


@click.command()
@click.argument("shard", metavar="SHARD|OUTPUT", type=Path())
@click.argument("number", metavar="[N]", type=_Number(min=0), required=False)
@click.option(
    "--split",
    metavar="NAME",
    help="Show a record of this split of OUTPUT. [train, if --row is given]",
)
@click.option(
    "--row",
    type=Count(min=0),
    metavar="N",
    help="Number of the record in the split, as in images.parquet and for prep.open. [0]",
)
@click.option(
    "-o",
    "--output",
    type=Path(),
    metavar="FILE",
    help="Write the picture there: the image file as it is stored, or a PNG of raw samples.",
)
@storage_option
def show(
    shard: str,
    number: int | None,
    split: str | None,
    row: int | None,
    output: str | None,
    storage_options: Mapping[str, Any] | None,
) -> None:
    """Show record N of SHARD, or of a split of OUTPUT: label, class, picture and source.

    N counts from 0, the default. If SHARD is a folder, N counts on through its shards, in order of
    their names. With --split or --row, the record is one of a split of OUTPUT.

    A terminal with colours shows the picture, too.
    """
    from prep.operations.tools import lookup

    in_split = split is not None or row is not None
    if in_split and number is not None:
        raise click.UsageError(f"expected --row {number} with --split, got N; give one of them")
    file = None if output is None else writable(output)
    if in_split:
        found = lookup.show(shard, split or "train", row or 0, storage_options=storage_options)
    else:
        found = lookup.find_record(shard, number or 0, storage_options)
    rows = found.facts
    if file is not None:
        _require_ending(file.suffix, found.suffixes)
        write(file, found.picture)
        rows.append(("written to", str(file)))
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        click.echo(f"{name:{width}}  {one_line(value)}")
    if sys.stdout.isatty():
        from prep.cli.half_blocks import print_picture

        print_picture(found.pixels)


def _require_ending(suffix: str, expected: tuple[str, ...]) -> None:
    if suffix.lower() not in expected:
        raise ConfigError(
            f"output: got a name with {quoted(suffix) if suffix else 'no extension'}; expected "
            f"{' or '.join(expected)}, for that is what the picture is"
        )
