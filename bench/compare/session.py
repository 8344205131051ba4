"""Measure sections round by round, within a time, and keep what was found as it comes."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import click
from dask.system import CPU_COUNT

from bench.compare.figures import Entry
from bench.compare.machine import describe_machine
from bench.compare.sections import Photos, Section
from bench.photos import collect_originals, link_set
from bench.settings import DATA, RESULTS, SCRATCH

Rounds = list[Mapping[str, Entry]]

#: How long to measure, for the commands.
minutes_option = click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    default=30.0,
    show_default=True,
    help="After which no further round begins. Each section has one in any case.",
)


def measure_sections(
    name: str, sections: Sequence[Section], photos: Path | None, minutes: float
) -> None:
    """Measure sections, and print their tables.

    Args:
        name: of the files in ``bench/results``, without an extension.
        photos: a folder of JPEG photos; made-up photos, if None.
    """
    click.echo(f"images: {photos or 'made up'}")
    shutil.rmtree(SCRATCH, ignore_errors=True)  # What a benchmark that was killed has left.
    originals = collect_originals(photos, DATA)
    session = Session(
        sections=sections,
        photos=Photos(
            originals=originals,
            linked=lambda count: link_set(originals, DATA, count),
            cores=CPU_COUNT,
            say=click.echo,
        ),
        path=RESULTS / f"{name}.md",
        machine=describe_machine(CPU_COUNT),
        seconds=minutes * 60,
    )
    session.run()
    click.echo(f"\n{session.tables()}\nwritten to {session.path}")


@dataclass(slots=True, kw_only=True)
class Session:
    """Sections, and what was found so far.

    Attributes:
        path: the Markdown file with the tables, which is written anew after each program.
            What was measured is beside it as JSON.
        machine: what is measured on.
        seconds: after which no further round begins, unless it is the first of its section.
        failures: what programs ended with that did not do what they should.
    """

    sections: Sequence[Section]
    photos: Photos
    path: Path
    machine: Mapping[str, Any]
    seconds: float
    found: dict[str, Rounds] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def run(self) -> None:
        """Measure one round of each section, then the next of each, and so on."""
        began, took = time.monotonic(), {section.title: 0.0 for section in self.sections}
        for number in range(max(section.rounds for section in self.sections)):
            for section in self.sections:
                left = self.seconds - (time.monotonic() - began)
                if number < section.rounds and (number == 0 or took[section.title] <= left):
                    took[section.title] = self._measure(section, number)

    def _measure(self, section: Section, number: int) -> float:
        """Measure a round, and return the seconds that it took."""
        self.photos.say(f"{section.title}: round {number + 1} of {section.rounds}")
        began = time.monotonic()
        entries: dict[str, Entry] = {}
        self.found.setdefault(section.title, []).append(entries)
        for task in section.tasks(self.photos):
            try:
                entry = task()
            except RuntimeError as error:
                self.failures.append(str(error))
                self.photos.say(f"FAILED: {error}")
            else:
                entries[entry.name] = entry
                self._keep()
        return time.monotonic() - began

    def _keep(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(self.tables())
        self.path.with_suffix(".json").write_text(json.dumps(self._to_json(), indent=2) + "\n")

    def tables(self) -> str:
        """Return the tables of what was found so far, in Markdown."""
        parts = [f"Failed: {failure}" for failure in self.failures]
        for section in self.sections:
            if rounds := [found for found in self.found.get(section.title, ()) if found]:
                heading = f"## {section.title} ({len(rounds)} of {section.rounds} rounds)"
                parts.append(f"{heading}\n\n{section.table(rounds)}")
        return "\n\n".join(parts) + "\n"

    def _to_json(self) -> dict[str, Any]:
        rounds = {
            title: [{name: _plain(entry) for name, entry in entries.items()} for entries in found]
            for title, found in self.found.items()
        }
        return {"machine": self.machine, "sections": rounds}


def _plain(entry: Entry) -> dict[str, Any]:
    value = asdict(entry)
    if entry.seen:
        del value["seen"]["job"]  # Its paths say nothing anywhere else.
    return value
