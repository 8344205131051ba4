"""Figures → tables on the terminal, and a JSON file with the measurements behind them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.contenders import NAMES
from bench.figures import Cost, Figure, costs, median_cost, over_rounds, ratios
from bench.monitor import Observation
from bench.rounds import Round, Setup

_MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All results.

    Attributes:
        machine: what it was measured on.
        rounds: what was measured.
        observations: what was seen beside.
        costs: by round, and by name.
        ratios: by name.
    """

    setup: Setup
    machine: Mapping[str, Any]
    rounds: Sequence[Round]
    observations: Sequence[Observation]
    costs: Sequence[Mapping[str, Cost]]
    ratios: Mapping[str, Figure]

    def print(self, console: Console) -> None:
        """Shows the tables."""
        for table in (self._rates(), self._ratios(), self._memory(), self._core_use()):
            console.print(table)

    def write(self, folder: Path) -> Path:
        """Writes the JSON file, and returns its path."""
        folder.mkdir(parents=True, exist_ok=True)
        setup = self.setup
        path = folder / f"{setup.small}-{setup.large}-images-{setup.rounds}-rounds.json"
        path.write_text(json.dumps(self._to_json(), indent=2) + "\n")
        return path

    def _rates(self) -> Table:
        table = _table(
            "median", "images/s", "ms per image and core", "of that, CPU", "fixed, s", "others"
        )
        for name in self.costs[0]:
            cost = median_cost(found[name] for found in self.costs)
            milliseconds = cost.wall * self.setup.cores * 1000
            row = [f"{1 / cost.wall:,.0f}", f"{milliseconds:.3f}", f"{cost.cpu * 1000:.3f}"]
            if name in NAMES:
                row += [f"{cost.fixed:.1f}", f"{cost.others:.0%}"]
            table.add_row(name, *row)
        return table

    def _ratios(self) -> Table:
        table = _table("ratio of rates", "median", "lowest", "highest")
        for name, figure in self.ratios.items():
            numbers = (figure.median, min(figure.values), max(figure.values))
            table.add_row(name, *(f"{number:.3f}" for number in numbers))
        return table

    def _memory(self) -> Table:
        table = _table("peak memory, MiB", "images", "a shard", "workers", "client")
        for seen in self.observations:
            workers = " ".join(f"{peak / _MIB:.0f}" for peak in sorted(seen.workers))
            table.add_row(*_columns(seen), workers, f"{seen.client / _MIB:.0f}")
        return table

    def _core_use(self) -> Table:
        table = _table("use of the cores", "images", "a shard", "mean", "own", "all > 95 %")
        for seen in self.observations:
            if seen.cores is not None:
                shares = (seen.cores.mean, seen.cores.own, seen.cores.all_busy)
                table.add_row(*_columns(seen), *(f"{share:.1%}" for share in shares))
        return table

    def _to_json(self) -> dict[str, Any]:
        return {
            "machine": self.machine,
            "setup": asdict(self.setup),
            "ratios": {
                name: {"median": figure.median, "rounds": figure.values}
                for name, figure in self.ratios.items()
            },
            "costs": [{name: asdict(cost) for name, cost in c.items()} for c in self.costs],
            "rounds": [asdict(measured) for measured in self.rounds],
            "observations": [_observation(seen) for seen in self.observations],
        }


def make_report(
    setup: Setup,
    rounds: Sequence[Round],
    observations: Sequence[Observation],
    machine: Mapping[str, Any],
) -> Report:
    """Works the figures out."""
    by_round = [costs(measured, setup) for measured in rounds]
    return Report(
        setup=setup,
        machine=machine,
        rounds=rounds,
        observations=observations,
        costs=by_round,
        ratios=over_rounds([ratios(found, setup.cores) for found in by_round]),
    )


def _table(title: str, *columns: str) -> Table:
    table = Table(title)
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _columns(seen: Observation) -> tuple[str, str, str]:
    return seen.job.name, f"{seen.job.images:,}", f"{seen.job.images_per_shard:,}"


def _observation(seen: Observation) -> dict[str, Any]:
    value = asdict(seen)
    del value["job"]["source"]  # The path of a folder says nothing anywhere else.
    return value
