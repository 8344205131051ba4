"""Reports and plans as tables on standard output."""

from __future__ import annotations

from collections.abc import Iterable

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from prep.depth_warnings import depth_warning
from prep.estimate import Estimate
from prep.means import MeanReport
from prep.planning import RunPlan
from prep.problems import Problem
from prep.report import RunReport
from prep.text import counted, duration, megabytes, one_line, triple
from prep.troubles import ClusterCheck
from prep.verification import VerificationReport

_CLASSES_SHOWN = 20
_REFUSED_SHOWN = 5
_REMEDIES = {
    "rewrite": "--repair writes the shard again",
    "remake": "--repair makes it again",
    "remove": "--repair removes it",
    "none": "none of ours",
}
_START_SECONDS = 3  # what starting a local cluster and loading the libraries takes


def print_report(report: RunReport) -> None:
    """What a run has made, and the first of the images that it refused."""
    _print_pairs(report.rows())
    if report.refused:
        click.echo("refused (all are named in report.json):")
        _print_refused((image["path"], image["reason"]) for image in report.refused)


def print_mean(report: MeanReport, output: str) -> None:
    """Mean and standard deviation, and the first of the files that could not be read."""
    _print_pairs(
        [
            ("mean RGB", triple(report.mean)),
            ("std RGB", triple(report.std)),
            ("images", f"{report.images:,}, each {report.weight} weighing the same"),
            ("refused", f"{len(report.refused):,}"),
            ("written to", output),
        ]
    )
    _print_refused((finding.path, finding.reason) for finding in report.refused)


def print_verification(report: VerificationReport) -> None:
    """One line if all is well; else what is wrong, what was expected, and what mends it.

    Where there is no terminal, each problem is a line of its own, with tabs in between.
    """
    _print_problems(report.problems)
    for path in report.unrelated:
        click.echo(f"left alone, for it is not of this output: {one_line(path)}")
    for problem in report.repaired:
        click.echo(f"repaired: {one_line(str(problem))}")
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


def print_plan(plan: RunPlan, guess: Estimate) -> None:
    """What a run would do, and about how long that would take."""
    Console().print(_class_table(plan))
    shards = counted(len(plan.shards), "shard")
    warning = depth_warning(guess.deep, plan.config.depth)
    _print_pairs(
        [
            ("source", f"{plan.source}, {megabytes(plan.source_bytes)}"),
            ("output", f"{plan.config.output}, about {megabytes(guess.bytes)} if not compressed"),
            ("shards", f"{shards} of up to {counted(plan.images_per_shard, 'image')}"),
            (
                "time",
                f"about {duration(guess.seconds)} on {counted(guess.cores, 'core')}, "
                f"and {_START_SECONDS} s to start",
            ),
            (
                "estimated",
                f"from {counted(guess.sampled, 'image')}, {guess.refused} of them unusable",
            ),
            *([("depth", warning)] if warning else []),
            *(
                ("passed over", f"{i.count:,} × {i.reason}, such as {i.example!r}")
                for i in plan.ignored
            ),
        ]
    )


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
            *("" if size is None else megabytes(size) for size in sizes),
        )
    console = Console()
    console.print(table)
    for trouble in check.troubles:
        text = Text(f"{trouble.level}: ", style="red" if trouble.level == "error" else "yellow")
        text.append(f"{one_line(trouble.where)}: {one_line(trouble.what)}", style="default")
        console.print(text, soft_wrap=True)
        console.print(Text(f"  → {trouble.remedy}"), soft_wrap=True)
    console.print(Text(check.summary()))


def _class_table(plan: RunPlan) -> Table:
    """Labels and image counts by class, the largest where there are many; totals below."""
    totals = {
        name: sum(classes.get(name, 0) for classes in plan.counts.values()) for name in plan.classes
    }
    largest = sorted(totals, key=lambda name: -totals[name])
    hidden = largest[_CLASSES_SHOWN:]
    table = Table("class")
    for title in ("label", *plan.counts):
        table.add_column(Text(one_line(title)), justify="right")
    for name in sorted(largest[:_CLASSES_SHOWN]):
        label = plan.labels.numbers.get(name)
        counts = (classes.get(name, 0) for classes in plan.counts.values())
        _add_row(table, one_line(name), "none" if label is None else str(label), counts)
    if hidden:
        rest = (sum(c.get(n, 0) for n in hidden) for c in plan.counts.values())
        _add_row(table, f"{len(hidden):,} smaller classes", "", rest)
    table.add_section()
    _add_row(table, "images", "", (sum(classes.values()) for classes in plan.counts.values()))
    _add_row(
        table, "shards", "", (sum(s.split == name for s in plan.shards) for name in plan.counts)
    )
    return table


def _add_row(table: Table, name: str, label: str, counts: Iterable[int]) -> None:
    table.add_row(Text(name), label, *(f"{count:,}" for count in counts))


def _print_pairs(rows: Iterable[tuple[str, str]]) -> None:
    table = Table(show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, Text(one_line(value)))
    Console().print(table)


def _print_refused(refused: Iterable[tuple[str, str]]) -> None:
    refused = list(refused)
    for path, reason in refused[:_REFUSED_SHOWN]:
        click.echo(f"  {one_line(path)}: {reason}")
    if len(refused) > _REFUSED_SHOWN:
        click.echo(f"  … and {len(refused) - _REFUSED_SHOWN:,} more")
