"""What a section of the page is, and what it is made of.

A section is made by a function that takes a :class:`View` and gives a :class:`Section`, or None
where there is nothing to say. It stands in a module for its subject, with a template of the same
name as the section, and in the list ``SECTIONS`` in :mod:`prep.display.page.page`, in its place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from markupsafe import Markup

from prep.display.markup import render
from prep.display.page.facts import Facts
from prep.display.page.refusals import Glimpse
from prep.display.page.samples import Sample, shown_classes
from prep.output.journal import Journal
from prep.output.receipt import Totals
from prep.output.report.duplicates import Copies, copies_in_run, summarise_copies

#: Samples that a figure needs, for fewer show no shape.
FEWEST = 5


@dataclass(frozen=True, kw_only=True)
class View:
    """What is known of an output, and what was seen in its shards.

    Attributes:
        journal: of the output.
        facts: what it says of itself.
        sample: what was found in some of its shards.
        glimpses: of refused images.
    """

    journal: Journal
    facts: Facts
    sample: Sample
    glimpses: Sequence[Glimpse]

    @cached_property
    def everything(self) -> Totals:
        """The totals of all splits together."""
        return sum(self.facts.totals.values(), Totals())

    @cached_property
    def class_numbers(self) -> Mapping[str, int]:
        """The place of each class among those of which there is anything in the shards."""
        return {name: number for number, name in enumerate(shown_classes(self.facts))}

    @cached_property
    def copies(self) -> Sequence[Copies]:
        """Images with the same bytes."""
        facts = self.facts
        plan = facts.plan
        return copies_in_run(facts.manifest, plan.classes, plan.shards, facts.receipts)

    @cached_property
    def duplicates(self) -> Mapping[str, Any]:
        """How many there are; see :class:`prep.output.report.report.RunReport`."""
        return summarise_copies(self.copies, self.facts.plan.splits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A figure.

    Attributes:
        title: what it shows.
        caption: what can be read off it.
        key: what its colours stand for: pairs of a text and a number of the palette.
        model: the Bokeh figure.
    """

    title: str
    caption: str = ""
    key: Sequence[tuple[str, int]] = ()
    model: Any

    @property
    def element(self) -> str:
        """The id of the HTML element that it is drawn in."""
        return f"figure-{self.model.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A section of the page.

    Attributes:
        name: the id of its element; its template is called so.
        title: its heading.
        html: what stands below that.
        figures: those in it, by name.
        short: its name in the contents, where the title is too long for that.
    """

    name: str
    title: str
    html: Markup
    figures: Mapping[str, Figure] = field(default_factory=dict)
    short: str = ""


def make_section(
    name: str,
    title: str,
    values: Mapping[str, Any],
    *,
    figures: Mapping[str, Figure] | None = None,
    short: str = "",
) -> Section:
    """Make a section of its template, ``display/templates/page/NAME.html.j2``.

    Args:
        values: what the template refers to, beside ``figures``. All text is escaped.
    """
    figures = figures or {}
    html = render(f"page/{name}", **values, figures=figures)
    return Section(name=name, title=title, html=Markup(html), figures=figures, short=short)
