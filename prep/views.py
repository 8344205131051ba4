"""What there is to be seen of an output beside its numbers, small enough for a notebook's cell."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from prep import markup
from prep.errors import PrepError
from prep.journal import Journal
from prep.watching.history import History, rates

if TYPE_CHECKING:
    from prep.webpage.facts import Facts
    from prep.webpage.samples import Sample

_MOST_PICTURES = 24


def preview(output: Path) -> str:
    """A contact sheet of all classes, and throughput and CPU over time, as HTML.

    Args:
        output: an output folder; of one that can't be read any more, there is nothing to be seen.
    """
    from prep.webpage.facts import read_facts  # It takes a while to load.
    from prep.webpage.samples import take_sample

    journal = Journal(output)
    try:
        plan = journal.stored_plan()
        if plan is None:
            return ""
        facts = read_facts(journal, plan)
        return _contact_sheet(take_sample(journal, facts)) + _curves(facts)
    except (PrepError, OSError):
        return ""


def _contact_sheet(sample: Sample) -> str:
    shown = list(islice(_by_turns(sample), _MOST_PICTURES))
    if not shown:
        return ""
    return markup.section("Some of the squares") + markup.contact_sheet(shown)


def _by_turns(sample: Sample) -> Iterator[tuple[str, bytes]]:
    """The first picture of each class, by name, then the second of each, and so on."""
    classes = sorted(sample.thumbnails.items())
    for turn in range(max((len(pictures) for _, pictures in classes), default=0)):
        for name, pictures in classes:
            if turn < len(pictures):
                yield name, pictures[turn]


def _curves(facts: Facts) -> str:
    if not facts.histories:
        return ""
    last: History = facts.histories[-1]
    images = markup.sparkline(last.seconds, rates(last.seconds, last.images), "images/s")
    hosts = (
        markup.sparkline(last.seconds, percents, f"CPU of {name}, %")
        for name, percents in islice(last.hosts.items(), 4)
    )
    curves = images + "".join(hosts)
    return markup.section("While it ran") + curves if curves else ""
