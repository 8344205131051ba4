"""A plan as tables on standard output."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from rich.console import Console
from rich.table import Table
from rich.text import Text

from prep.depth_warnings import depth_warning
from prep.estimate import Estimate
from prep.placing import FEW_IMAGES
from prep.planning import OBSTACLE, RunPlan, class_totals, plan_facts
from prep.terminal_tables import print_pairs
from prep.text import counted, duration, one_line, size_text

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
    totals = class_totals(plan)
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
