"""``prep show``."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from prep.cli.files import writable, write
from prep.cli.options import storage_option
from prep.cli.parameters import Count, Path
from prep.errors import ConfigError
from prep.text import brief, counted, one_line, quoted

if TYPE_CHECKING:
    from prep.operations.tools.lookup import FoundRecord


_LONGEST_VALUE = 200  # characters of a feature


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
@click.argument("shard", metavar="SHARD", type=Path())
@click.argument("number", metavar="[N]", type=_Number(min=0), default=0)
@click.option(
    "-o",
    "--output",
    type=Path(),
    metavar="FILE",
    help="Write the picture there: the image file as it is stored, or a PNG of raw samples.",
)
@storage_option
def show(
    shard: str, number: int, output: str | None, storage_options: Mapping[str, Any] | None
) -> None:
    """Show record N of SHARD: label, class, picture and source.

    N counts from 0, the default. If SHARD is a folder, N counts on through its shards, in order of
    their names.
    """
    from prep.operations.tools.lookup import find_record

    file = None if output is None else writable(output)
    found = find_record(shard, number, storage_options)
    rows = _rows(found)
    if file is not None:
        _require_ending(file.suffix, found.suffixes)
        write(file, found.picture)
        rows.append(("written to", str(file)))
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        click.echo(f"{name:{width}}  {one_line(value)}")


def _rows(found: FoundRecord) -> list[tuple[str, str]]:
    one_hot = f" (one-hot of {len(found.label)})" if len(found.label) > 1 else ""
    number = found.label.index(1) if one_hot and 1 in found.label else found.label[0]
    stored = f"{found.kind} of {counted(len(found.picture), 'byte')}"
    if found.samples:
        stored = f"{found.samples} samples"
    return [
        ("shard", found.shard),
        ("record", f"{found.number:,}"),
        ("label", f"{number}{one_hot}"),
        ("class", " or ".join(found.classes) or "not known"),
        ("picture", f"{found.width} × {found.height}, {stored}"),
        ("made of", found.source or "not known"),
        *((name, _text(values)) for name, values in found.features.items()),
    ]


def _text(values: Sequence[object]) -> str:
    """Return the values of a feature on one line."""
    texts = [os.fsdecode(value) if isinstance(value, bytes) else str(value) for value in values]
    return brief(", ".join(texts) or "no value", _LONGEST_VALUE)


def _require_ending(suffix: str, expected: tuple[str, ...]) -> None:
    if suffix.lower() not in expected:
        raise ConfigError(
            f"output: got a name with {quoted(suffix) if suffix else 'no extension'}; expected "
            f"{' or '.join(expected)}, for that is what the picture is"
        )
