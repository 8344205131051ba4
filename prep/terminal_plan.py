"""A plan as tables on standard output."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from prep.depth_warnings import depth_warning
from prep.estimate import Estimate
from prep.planning import RunPlan
from prep.terminal_tables import print_pairs
from prep.text import counted, duration, megabytes, one_line

_CLASSES_SHOWN = 20
_START_SECONDS = 3  # what starting a local cluster and loading the libraries takes


def print_plan(plan: RunPlan, guess: Estimate) -> None:
    """What a run would do, and about how long that would take."""
    Console().print(_class_table(plan))
    shards = counted(len(plan.shards), "shard")
    warning = depth_warning(guess.deep, plan.config.depth)
    print_pairs(
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
