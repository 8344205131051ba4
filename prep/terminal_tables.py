"""Tables on standard output."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.style import Style
from rich.table import Table
from rich.text import Text

from prep.addresses import address_of
from prep.locations import locate
from prep.text import one_line


def linked(place: str) -> Text:
    """Return a path or URL that can be clicked, where the terminal takes links."""
    return Text.assemble((one_line(place), Style(link=address_of(locate(place)))))


def print_pairs(rows: Iterable[tuple[str, str | Text]]) -> None:
    """Print names and values, a row each."""
    table = Table(show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, value if isinstance(value, Text) else Text(one_line(value)))
    Console().print(table)
