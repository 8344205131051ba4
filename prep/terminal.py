"""Reports as tables on standard output."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from prep.terminal_tables import linked, print_pairs
from prep.text import one_line, size_text, triple

if TYPE_CHECKING:
    from prep.means import MeanReport
    from prep.report import RunReport
    from prep.troubles import ClusterCheck

_REFUSED_SHOWN = 5


def print_report(report: RunReport) -> None:
    """How a run has ended, what it has made, and the first of the images that it refused."""
    Console().print(_headline(report), soft_wrap=True)
    print_pairs(
        (name, linked(value) if name == "report" else value) for name, value in report.rows()
    )
    if report.refused:
        click.echo("refused (all are named in refused.csv):")
        _print_refused((image["path"], image["reason"]) for image in report.refused)


def _headline(report: RunReport) -> Text:
    verdict = report.verdict
    colour = "red" if not verdict.good else "yellow" if verdict.reason else "green"
    if report.was_complete and not verdict.reason:
        return Text("already complete, nothing to do", style=f"bold {colour}")
    complete = "already complete, nothing to do; " if report.was_complete else ""
    reason = f": {verdict.reason}" if verdict.reason else ""
    return Text.assemble(complete, (verdict.state, f"bold {colour}"), reason)


def print_mean(report: MeanReport, output: str) -> None:
    """Mean and standard deviation, and the first of the files that could not be read."""
    print_pairs(
        [
            ("mean RGB", triple(report.mean)),
            ("std RGB", triple(report.std)),
            ("images", f"{report.images:,}, each {report.weight} weighing the same"),
            ("refused", f"{len(report.refused):,}"),
            ("written to", output),
        ]
    )
    _print_refused((finding.path, finding.reason) for finding in report.refused)


def print_cluster_check(check: ClusterCheck) -> None:
    """The hosts of a cluster, and what is wrong with them."""
    table = Table("host", "address")
    for title in ("workers", "threads", "cores", "memory", "free at the output"):
        table.add_column(title, justify="right")
    for host in check.hosts:
        numbers = (host.workers, host.threads, host.cores)
        sizes = (host.memory, host.free)
        table.add_row(
            Text(one_line(host.name)),
            host.address,
            *(f"{number:,}" for number in numbers),
            *("" if size is None else size_text(size) for size in sizes),
        )
    console = Console()
    console.print(table)
    for trouble in check.troubles:
        text = Text(f"{trouble.level}: ", style="red" if trouble.level == "error" else "yellow")
        text.append(f"{one_line(trouble.where)}: {one_line(trouble.what)}", style="default")
        console.print(text, soft_wrap=True)
        console.print(Text(f"  → {trouble.remedy}"), soft_wrap=True)
    console.print(Text(check.summary()))


def _print_refused(refused: Iterable[tuple[str, str]]) -> None:
    refused = list(refused)
    for path, reason in refused[:_REFUSED_SHOWN]:
        click.echo(f"  {one_line(path)}: {reason}")
    if len(refused) > _REFUSED_SHOWN:
        click.echo(f"  … and {len(refused) - _REFUSED_SHOWN:,} more")
