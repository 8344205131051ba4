"""Make the page, and publish it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from os import PathLike
from typing import Any

from bokeh.core.property.validation import validate
from bokeh.document import Document
from bokeh.resources import Resources
from markupsafe import Markup

from prep.display.markup import render
from prep.display.page.facts import Facts, read_facts
from prep.display.page.glimpses import look_at_refused
from prep.display.page.samples import take_sample
from prep.display.page.section import Figure, Section, View
from prep.display.page.sections.channels import channels
from prep.display.page.sections.classes import classes, images
from prep.display.page.sections.copies import (
    alarms,
    duplicates,
    look_alike_alarms,
    look_alikes,
)
from prep.display.page.sections.extremes import extremes
from prep.display.page.sections.loading import load
from prep.display.page.sections.refused import refused
from prep.display.page.sections.running import run, shards
from prep.display.page.sections.settings import settings
from prep.display.page.sections.sources import sources
from prep.display.page.sections.summary import banner, tiles
from prep.images.depths import depth_warnings
from prep.output.journal import Journal
from prep.output.plan_file import no_plan, owner, require_listed
from prep.output.receipt import ShardReceipt
from prep.output.report.near_copies import NearCopies
from prep.planning.plan import RunPlan
from prep.storage.arguments import admit
from prep.storage.location import Location

#: The makers of the sections, in their order.
SECTIONS: tuple[Callable[[View], Section | None], ...] = (
    load,
    duplicates,
    look_alikes,
    refused,
    classes,
    images,
    run,
    sources,
    extremes,
    channels,
    shards,
    settings,
)

# Near the beginning of the file.
_MADE_FROM = 'name="made-from" content="{}"'
_HEAD = 4096  # bytes, among which it is


def report_page(
    output: str | PathLike[str], storage_options: Mapping[str, Any] | None = None
) -> Location:
    """Make ``report.html`` of an output, finished or not, and return its path.

    The page is one file that needs no network. Its pictures are of a sample of the shards.

    Args:
        output: an output folder or its URL. Nothing else in it is changed.
        storage_options: options of the storage, for URLs; see :class:`prep.Config`.

    Raises:
        SourceError: the folder was not made by ``prep.run``.
        OutputConflict: a symbolic link is in the place of one of its folders.
        PrepError: its plan or its manifest can't be read.
        OSError: the page can't be written.
    """
    journal = Journal(admit("output", output, storage_options))
    journal.require_folders()
    plan = journal.stored_plan()
    if plan is None:
        raise no_plan(journal.layout)
    journal.require_folders(plan.splits)
    require_listed(journal.layout, plan)
    facts = read_facts(journal, plan, own=owner(journal.layout) is None)
    _publish(journal, facts)
    return journal.layout.page


def update_page(
    journal: Journal,
    plan: RunPlan,
    receipts: Sequence[ShardReceipt],
    near: NearCopies | None = None,
) -> None:
    """Make ``report.html``, unless it was already made from the same facts.

    Args:
        receipts: of all shards that are committed.
        near: the images that look alike, where they are at hand.

    Raises:
        PrepError, OSError: as :func:`report_page`.
    """
    facts = read_facts(journal, plan, receipts, near=near)
    if not _is_made_from(journal.layout.page, facts.digest()):
        _publish(journal, facts)


def _publish(journal: Journal, facts: Facts) -> None:
    layout = journal.layout
    layout.page.publish(make_page(journal, facts), within=layout.root)


def _is_made_from(page: Location, digest: str) -> bool:
    try:
        with page.open_regular() as file:
            return _MADE_FROM.format(digest).encode() in file.read(_HEAD)
    except OSError:
        return False


def make_page(journal: Journal, facts: Facts) -> bytes:
    """Return the page in UTF-8."""
    with validate(False):  # The values are ours; validation takes a fifth of the time.
        view = make_view(journal, facts)
        sections = make_sections(view)
        drawn = _embedded(figure for section in sections for figure in section.figures.values())
    text = render(
        "page/page",
        made_from=Markup(_MADE_FROM.format(facts.digest())),
        name=facts.root.name,
        path=str(facts.root),
        source=facts.plan.shown_source,
        read_as=facts.report.read_as if facts.report else "",
        warnings=_warnings(facts),
        alarms=[(said, "duplicates") for said in alarms(view)]
        + [(said, "look_alikes") for said in look_alike_alarms(view)],
        banner=banner(view),
        tiles=tiles(view),
        sections=sections,
        drawn=drawn,
        bokeh=Markup(_bokeh()),
    )
    return text.encode(errors="backslashreplace")


def make_view(journal: Journal, facts: Facts) -> View:
    """Read some images from the shards, and some refused ones."""
    with ThreadPoolExecutor(1) as other:  # It waits for another process, mostly.
        # In the source that the plan names, which a plan of others could have be anywhere.
        receipts = facts.receipts if facts.own else ()
        glimpses = other.submit(look_at_refused, journal, facts.plan, receipts)
        sample = take_sample(journal, facts)
        return View(journal=journal, facts=facts, sample=sample, glimpses=glimpses.result())


def make_sections(view: View) -> list[Section]:
    """Return the sections that have something to say."""
    return [section for make in SECTIONS if (section := make(view)) is not None]


def _warnings(facts: Facts) -> list[str]:
    """Return warnings about a ``depth`` that does not fit the images."""
    depths = {split: totals.depths for split, totals in facts.totals.items()}
    return depth_warnings(depths, facts.plan.settings.depth)


def _embedded(figures: Iterable[Figure]) -> dict[str, Any]:
    """Return the arguments of ``Bokeh.embed.embed_items`` for figures.

    ``bokeh.embed.components`` makes the same, and takes twice as long: it goes through all models
    again for each figure that it adds.
    """
    document = Document()
    figures = list(figures)
    with document.models.freeze():
        for figure in figures:
            document.add_root(figure.model)
    roots = {figure.model.id: figure.element for figure in figures}
    return {
        "documents": {"page": document.to_json(deferred=False)},
        "items": [{"docid": "page", "roots": roots, "root_ids": list(roots)}],
    }


@cache
def _bokeh() -> str:
    """Return the part of Bokeh's script that the figures need, to embed in the page."""
    rendered: str = Resources(mode="inline", components=["bokeh"], minified=True).render()
    return rendered
