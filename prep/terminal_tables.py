"""Tables on standard output."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from prep.text import one_line


def print_pairs(rows: Iterable[tuple[str, str]]) -> None:
    """Print names and values, a row each."""
    table = Table(show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, Text(one_line(value)))
    Console().print(table)
