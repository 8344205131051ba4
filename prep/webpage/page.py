"""Puts the page together, and publishes it."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from os import PathLike
from pathlib import Path
from typing import Any

from bokeh.core.property.validation import validate
from bokeh.resources import Resources
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from prep import storage
from prep.admission import admit
from prep.depth_warnings import depth_warnings
from prep.journal import Journal, no_plan, require_listed
from prep.receipts import ShardReceipt, Totals
from prep.stored_plan import StoredPlan
from prep.text import counted, one_line
from prep.trust import owner
from prep.watching.history import BUSY
from prep.webpage import loading, tables, timelines
from prep.webpage.drawing import draw, embedded
from prep.webpage.facts import Facts, read_facts
from prep.webpage.refusals import Glimpse, look_at_refused
from prep.webpage.samples import (
    MOST_CLASSES,
    THUMBNAIL,
    Sample,
    shown_classes,
    take_sample,
    thumbnails_per_class,
)

# Stands near the beginning of the file.
_MADE_FROM = 'name="made-from" content="{}"'
_HEAD = 4096  # bytes, among which it is
_FEW = 2  # thumbnails of a class, that need no row of their own


def report_page(
    output: str | PathLike[str], storage_options: Mapping[str, Any] | None = None
) -> Path:
    """Makes ``report.html`` of an output, finished or not, and gives its path back.

    It is one file that needs no network. What is in the shards is shown by a sample of them.

    Args:
        output: an output folder or its URL. Nothing else in it is written to.
        storage_options: of the storage, where it is a URL; see :class:`prep.Config`.

    Raises:
        SourceError: the folder is not an output of this package.
        OutputConflict: a symbolic link is in the place of one of its folders.
        PrepError: its plan or its image list can't be read.
        OSError: the page can't be written.
    """
    journal = Journal(admit("output", output, storage_options))
    journal.require_folders()
    plan = journal.stored_plan()
    if plan is None:
        raise no_plan(journal.layout)
    journal.require_folders(plan.images)
    require_listed(journal.layout, plan)
    facts = read_facts(journal, plan, own=owner(journal.layout) is None)
    _publish(journal, facts)
    return journal.layout.page


def update_page(journal: Journal, plan: StoredPlan, receipts: Sequence[ShardReceipt]) -> None:
    """Makes ``report.html``, unless it is there and would be made of the same.

    Args:
        receipts: of all shards that are committed.

    Raises:
        PrepError, OSError: as :func:`report_page`.
    """
    facts = read_facts(journal, plan, receipts)
    if not _is_made_from(journal.layout.page, facts.digest()):
        _publish(journal, facts)


def _publish(journal: Journal, facts: Facts) -> None:
    layout = journal.layout
    storage.publish(layout.page, make_page(journal, facts), within=layout.root)


def _is_made_from(page: Path, digest: str) -> bool:
    try:
        with storage.open_regular(page) as file:
            return _MADE_FROM.format(digest).encode() in file.read(_HEAD)
    except OSError:
        return False


def make_page(journal: Journal, facts: Facts) -> bytes:
    """The page, in UTF-8."""
    with ThreadPoolExecutor(1) as other:  # It waits for another process, mostly.
        # In the source that the plan names, which a plan of others could have be anywhere.
        receipts = facts.receipts if facts.own else ()
        refused = other.submit(look_at_refused, journal, facts.plan, receipts)
        sample = take_sample(journal, facts)
        with validate(False):  # Of values that are ours; it takes a fifth of the time.
            figures = draw(facts, sample)
            drawn = embedded(figures.values())
    totals = facts.totals
    everything = sum(totals.values(), Totals())
    counts = tables.class_totals(facts, totals)
    text = (
        _environment()
        .get_template("page.html.j2")
        .render(
            facts=facts,
            everything=everything,
            made_from=Markup(_MADE_FROM.format(facts.digest())),
            name=one_line(facts.root.name),
            path=one_line(str(facts.root)),
            source=one_line(facts.plan.source),
            splits=[one_line(split) for split in facts.splits],
            split_key=[(one_line(s), number) for number, s in enumerate(facts.splits)],
            tiles=tables.tiles(facts, everything),
            figures=figures,
            drawn=drawn,
            bokeh=Markup(_bokeh()),
            class_rows=tables.class_rows(facts, counts),
            classes=len(counts),
            split_rows=tables.split_rows(facts, totals),
            channel_rows=tables.channel_rows(totals),
            sheet=_sheet(facts, sample, counts),
            sheet_is_tiled=thumbnails_per_class(len(shown_classes(facts))) <= _FEW,
            sheet_notes=_sheet_notes(facts, sample),
            sample=sample,
            reference=one_line(", ".join(facts.references)),
            glimpses=_glimpses(refused.result()),
            reasons=_reasons(everything),
            passed_over=tables.passed_over(facts.report),
            findings=tables.finding_rows(facts),
            busy=timelines.busy_rows(facts.histories),
            busy_from=f"{BUSY:.0f} %",
            thumbnail=THUMBNAIL,
            **_lines(facts),
            warnings=_warnings(facts),
            config=tables.config_rows(facts),
            versions=tables.version_rows(facts.report),
        )
    )
    return text.encode(errors="backslashreplace")


def _warnings(facts: Facts) -> list[str]:
    """What the settings do not fit, in words."""
    depths = {split: totals.depths for split, totals in facts.totals.items()}
    return depth_warnings(depths, facts.plan.settings.depth)


def _lines(facts: Facts) -> dict[str, str]:
    """The code that loads the data."""
    split = facts.references[0]
    return {
        "with_prep": loading.with_prep(facts.root, split),
        "with_tensorflow": loading.with_tensorflow(facts.root, facts.plan, split),
        "elements_are": loading.describe_elements(facts.plan),
    }


def _sheet(
    facts: Facts, sample: Sample, counts: Mapping[str, tuple[int, ...]]
) -> list[dict[str, Any]]:
    """The contact sheet: each class with its thumbnails."""
    return [
        {
            "name": one_line(name),
            "images": counted(sum(counts.get(name, ())), "image"),
            "thumbnails": [_data_url(jpeg) for jpeg in sample.thumbnails[name]],
        }
        for name in shown_classes(facts)[:MOST_CLASSES]
        if sample.thumbnails.get(name)
    ]


def _sheet_notes(facts: Facts, sample: Sample) -> list[str]:
    """What is not on the contact sheet, and why."""
    classes = shown_classes(facts)
    notes = []
    if classes:
        most = thumbnails_per_class(len(classes))
        number = "One image" if most == 1 else f"Up to {most} images"
        notes.append(f"{number} of each class, from the shards.")
    if len(classes) > MOST_CLASSES:
        notes.append(f"The first {MOST_CLASSES:,} of {counted(len(classes), 'class')}.")
    missing = sum(not sample.thumbnails.get(name) for name in classes[:MOST_CLASSES])
    if missing:
        notes.append(f"Of {counted(missing, 'class')}, none is in the shards that were looked at.")
    if sample.unreadable:
        notes.append(
            f"{counted(sample.unreadable, 'shard')} could not be read to the end; "
            "prep verify names what is wrong."
        )
    return notes


def _glimpses(glimpses: Sequence[Glimpse]) -> list[dict[str, str]]:
    return [
        {
            "path": one_line(glimpse.finding.path),
            "reason": one_line(glimpse.finding.reason),
            "detail": one_line(glimpse.finding.detail),
            "image": _data_url(glimpse.thumbnail),
        }
        for glimpse in glimpses
    ]


def _reasons(everything: Totals) -> list[tuple[str, int]]:
    counts: dict[str, int] = {}
    for finding in everything.refused:
        counts[finding.reason] = counts.get(finding.reason, 0) + 1
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _data_url(jpeg: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # A model is described where it comes first, and referred to by its id after that.
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False}
    environment.filters["thousands"] = lambda number: f"{number:,}"
    return environment


@cache
def _bokeh() -> str:
    """Bokeh's script, all of it in the page: but for what no figure here needs."""
    rendered: str = Resources(mode="inline", components=["bokeh"], minified=True).render()
    return rendered
