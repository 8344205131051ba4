"""Tables on standard output.

Reports as tables on standard output.

A plan as tables on standard output.

What a verification has found, on standard output.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.style import Style
from rich.table import Table
from rich.text import Text

from prep.display.links import address_of
from prep.execution.placing import FEW_IMAGES
from prep.images.depths import depth_warning
from prep.operations.plan import Estimate
from prep.output.findings import Finding
from prep.planning.facts import OBSTACLE, plan_facts
from prep.planning.plan import RunPlan
from prep.storage.locate import locate
from prep.text import counted, duration, one_line, size_text, triple

if TYPE_CHECKING:
    from prep.execution.preflight.rules import ClusterCheck
    from prep.operations.mean import MeanReport
    from prep.operations.verify import VerificationReport
    from prep.output.report.report import RunReport


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
    for finding in check.findings:
        text = Text(f"{finding.level}: ", style="red" if finding.level == "error" else "yellow")
        text.append(f"{one_line(finding.where)}: {one_line(finding.what)}", style="default")
        console.print(text, soft_wrap=True)
        console.print(Text(f"  → {finding.remedy}"), soft_wrap=True)
    console.print(Text(check.summary()))


def _print_refused(refused: Iterable[tuple[str, str]]) -> None:
    refused = list(refused)
    for path, reason in refused[:_REFUSED_SHOWN]:
        click.echo(f"  {one_line(path)}: {reason}")
    if len(refused) > _REFUSED_SHOWN:
        click.echo(f"  … and {len(refused) - _REFUSED_SHOWN:,} more")


_CLASSES_SHOWN = 20
# What it takes to load the libraries and to start worker processes, or a cluster of this machine.
_START_SECONDS, _CLUSTER_SECONDS = 1, 3


def print_plan(plan: RunPlan, guess: Estimate) -> None:
    """What a run would do, and about how long that would take."""
    Console().print(_class_table(plan))
    facts = plan_facts(plan, _expectations(plan, guess), guess.bytes_left)
    print_pairs(fact for fact in facts if fact[0] != OBSTACLE)  # With that the command ends.


def _expectations(plan: RunPlan, guess: Estimate) -> Iterator[tuple[str, str]]:
    compressed = "" if plan.config.compression is None else " before compression"
    yield "size", f"about {size_text(guess.bytes)}{compressed}"
    if plan.state is None or not plan.state.complete:
        seconds = f"about {duration(guess.seconds)}" if guess.seconds >= 1 else "less than 1 s"
        cores = counted(guess.cores, "core")
        start = _START_SECONDS if plan.images <= FEW_IMAGES else _CLUSTER_SECONDS
        yield "time", f"{seconds} on {cores}, after about {start} s to start"
    if warning := depth_warning(guess.deep, plan.config.depth):
        yield "depth", warning
    sampled = counted(guess.sampled, "image")
    unusable = f"; {guess.refused:,} of them can't be used" if guess.refused else ""
    yield "estimated", f"from {sampled}{unusable}"


def _class_table(plan: RunPlan) -> Table:
    """Labels and image counts by class, the largest where there are many; totals below."""
    totals = plan.class_totals
    columns: dict[str, Mapping[str, int]] = {one_line(split): n for split, n in plan.counts.items()}
    if len(columns) > 1:
        columns["in all"] = totals
    largest = sorted(plan.classes, key=lambda name: -totals[name])
    hidden = largest[_CLASSES_SHOWN:]
    table = Table("class")
    for title in ("label", *columns):
        table.add_column(Text(title), justify="right")
    for name in sorted(largest[:_CLASSES_SHOWN]):
        counts = (classes.get(name, 0) for classes in columns.values())
        _add_row(table, one_line(name), str(plan.labels.numbers.get(name, "none")), counts)
    if hidden:
        rest = (sum(c.get(n, 0) for n in hidden) for c in columns.values())
        _add_row(table, f"{len(hidden):,} smaller classes", "", rest)
    table.add_section()
    _add_row(table, "images", "", (sum(classes.values()) for classes in columns.values()))
    shards = [sum(s.split == name for s in plan.shards) for name in plan.counts]
    _add_row(table, "shards", "", shards if len(shards) == 1 else [*shards, sum(shards)])
    return table


def _add_row(table: Table, name: str, label: str, counts: Iterable[int]) -> None:
    table.add_row(Text(name), label, *(f"{count:,}" for count in counts))


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


def _print_problems(problems: Iterable[Finding]) -> None:
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
