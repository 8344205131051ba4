"""Tables on standard output."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.style import Style
from rich.table import Table
from rich.text import Text

from prep.text import one_line


def linked(path: Path) -> Text:
    """Return a path that can be clicked, where the terminal takes links."""
    return Text(one_line(str(path)), style=Style(link=path.absolute().as_uri()))


def print_pairs(rows: Iterable[tuple[str, str | Text]]) -> None:
    """Print names and values, a row each."""
    table = Table(show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, value if isinstance(value, Text) else Text(one_line(value)))
    Console().print(table)
