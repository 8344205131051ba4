"""What a verification has found, on standard output."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from prep.problems import Problem
from prep.text import one_line

if TYPE_CHECKING:
    from prep.verification import VerificationReport

_REMEDIES = {
    "rewrite": "--repair writes the shard again",
    "remake": "--repair makes it again",
    "remove": "--repair removes it",
    "none": "--repair can't help",
}


def print_verification(report: VerificationReport) -> None:
    """Print one line if all is well; else what is wrong, what was expected, and how to repair it.

    Where there is no terminal, each problem is a line of its own, with tabs in between.
    """
    if report.committed is not None and report.problems:  # First, how far it has come.
        click.echo(one_line(report.summary()))
    _print_problems(report.problems)
    for path in report.unrelated:
        click.echo(f"left alone, not part of this output: {one_line(path)}")
    for problem in report.repaired:
        click.echo(f"repaired: {one_line(str(problem))}")
    if report.committed is None or not report.problems:
        click.echo(one_line(report.summary()))


def _print_problems(problems: Iterable[Problem]) -> None:
    console = Console()
    rows = [
        [one_line(text) for text in (p.where, p.expected, p.found, _REMEDIES[p.remedy])]
        for p in problems
    ]
    if not console.is_terminal:
        for row in rows:
            click.echo("\t".join(row))
    elif rows:
        table = Table("where", "expected", "found", "remedy")
        for row in rows:
            table.add_row(*(Text(text, overflow="fold") for text in row))
        console.print(table)
