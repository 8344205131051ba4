"""Results as tables on standard output: of runs, plans, means, verifications and cluster checks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.style import Style
from rich.table import Table
from rich.text import Text

from prep.display.links import address_of
from prep.display.objects import class_table, mean_rows, plan_rows, split_rows
from prep.text import one_line, size_text

if TYPE_CHECKING:
    from prep.execution.preflight.rules import ClusterCheck
    from prep.operations.averaging.mean_report import MeanReport
    from prep.operations.tools.estimating import Estimate
    from prep.operations.verify import VerificationReport
    from prep.output.findings import Finding
    from prep.output.report.report import RunReport
    from prep.planning.plan import RunPlan

_REFUSED_SHOWN = 5
_REMEDIES = {
    "rewrite": "--repair writes the shard again",
    "remake": "--repair makes it again",
    "remove": "--repair removes it",
    "none": "--repair can't help",
}


def print_report(report: RunReport) -> None:
    """Print how a run has ended, its result, and the first of the images that it refused."""
    Console().print(_headline(report), soft_wrap=True)
    _print_pairs(
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
    """Print a mean and how it was made, and the first of the files that could not be read."""
    _print_pairs(
        [
            *mean_rows(report),
            ("images", f"{report.images:,}, each {report.weight} weighing the same"),
            ("refused", f"{len(report.refused):,}"),
            ("written to", output),
        ]
    )
    _print_refused((note.path, note.reason) for note in report.refused)


def print_plan(plan: RunPlan, guess: Estimate) -> None:
    """Print what a run would do, and about how long that would take."""
    shards = [sum(shard.split == name for shard in plan.shards) for name in plan.counts]
    in_all = [sum(shards)] if len(shards) > 1 else []
    table = _table_of_classes(plan)
    table.add_row(*_cells(["shards", "", *shards, *in_all]))
    Console().print(table)
    _print_pairs(plan_rows(plan, guess))


def print_splits(plan: RunPlan) -> None:
    """Print the splits of a plan, and the balance of classes in each."""
    Console().print(_table_of_classes(plan))
    _print_pairs(split_rows(plan))


def _table_of_classes(plan: RunPlan) -> Table:
    """Return the images of a plan by class and split, and their sums."""
    classes = class_table(plan.counts, plan.labels.texts(plan.classes), plan.class_names)
    table = Table("class")
    for title in classes.titles[1:]:
        table.add_column(Text(one_line(title)), justify="right")
    for row in classes.rows:
        table.add_row(*_cells(row))
    table.add_section()
    table.add_row(*_cells(classes.total))
    return table


def _cells(row: Sequence[str | int]) -> list[Text]:
    return [Text(f"{cell:,}" if isinstance(cell, int) else one_line(cell)) for cell in row]


def print_verification(report: VerificationReport) -> None:
    """Print one line if all is well; else what is wrong, what was expected, and how to repair it.

    Where there is no terminal, each problem is a line of its own, with tabs in between.
    """
    if report.committed is not None and report.problems:  # First, how far it has come.
        click.echo(one_line(report.summary()))
    console = Console()
    if console.is_terminal and report.problems:
        console.print(problem_table(report.problems, console.width))
    else:
        for row in map(_problem_row, report.problems):
            click.echo("\t".join(row))
    for path in report.unrelated:
        click.echo(f"left alone, not part of this output: {one_line(path)}")
    for problem in report.repaired:
        click.echo(f"repaired: {one_line(str(problem))}")
    if report.committed is None or not report.problems:
        click.echo(one_line(report.summary()))


def problem_table(problems: Sequence[Finding], width: int) -> Table:
    """Return what is wrong with an output as a table that fits a terminal of this width.

    Names of files stay on one line if they take no more than half of it.
    """
    rows = [_problem_row(problem) for problem in problems]
    table = Table()
    whole = max(len(row[0]) for row in rows) <= width // 2
    table.add_column("where", no_wrap=whole, overflow="fold")
    for title in ("expected", "found", "remedy"):
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _problem_row(problem: Finding) -> list[str]:
    shown = (problem.where, problem.expected, problem.found, _REMEDIES[problem.remedy])
    return [one_line(text) for text in shown]


def print_cluster_check(check: ClusterCheck) -> None:
    """Print the hosts of a cluster, and what is wrong with them."""
    table = Table("host", "address")
    for title in ("workers", "threads", "cores", "memory", "free at the output"):
        table.add_column(title, justify="right")
    for host in check.hosts:
        sizes = ("" if size is None else size_text(size) for size in (host.memory, host.free))
        numbers = (host.workers, host.threads, host.cores)
        table.add_row(*_cells([host.name, host.address, *numbers, *sizes]))
    console = Console()
    console.print(table)
    for finding in check.findings:
        text = Text(f"{finding.level}: ", style="red" if finding.level == "error" else "yellow")
        text.append(f"{one_line(finding.where)}: {one_line(finding.what)}", style="default")
        console.print(text, soft_wrap=True)
        console.print(Text(f"  → {finding.remedy}"), soft_wrap=True)
    console.print(Text(check.summary()))


def print_table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows of texts below their titles, broken into lines where the terminal is narrow."""
    table = Table()
    for title in titles:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*_cells(row))
    Console().print(table)


def linked(place: str) -> Text:
    """Return a path or URL that can be clicked, where the terminal takes links."""
    return Text.assemble((one_line(place), Style(link=address_of(place))))


def _print_pairs(rows: Iterable[tuple[str, str | Text]]) -> None:
    table = Table(show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, value if isinstance(value, Text) else Text(one_line(value)))
    Console().print(table)


def _print_refused(refused: Iterable[tuple[str, str]]) -> None:
    refused = list(refused)
    for path, reason in refused[:_REFUSED_SHOWN]:
        click.echo(f"  {one_line(path)}: {reason}")
    if len(refused) > _REFUSED_SHOWN:
        click.echo(f"  … and {len(refused) - _REFUSED_SHOWN:,} more")
