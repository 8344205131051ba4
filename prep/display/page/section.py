"""The parts of the page: sections, figures and pictures; and the view that they are made from."""

from __future__ import annotations

import base64
import os
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc
from markupsafe import Markup

from prep.display.markup import render
from prep.display.page.core_use import CoreUse, measure_use
from prep.display.page.facts import Facts
from prep.display.page.glimpses import Glimpse
from prep.display.page.samples import ImageSample, shown_classes
from prep.output.journal import Journal
from prep.output.receipt import Totals
from prep.output.report.duplicates import Copies, copies_in_run, summarise_copies
from prep.sources.registry import reopen_source
from prep.storage.urls import is_url

#: Samples that a figure needs, for fewer show no shape.
FEWEST = 5


@dataclass(frozen=True, kw_only=True)
class View:
    """An output, as all sections see it.

    Attributes:
        journal: the journal of the output.
        facts: what the output says of itself.
        sample: images from some of its shards.
        glimpses: images of refused files.
    """

    journal: Journal
    facts: Facts
    sample: ImageSample
    glimpses: Sequence[Glimpse]

    @cached_property
    def everything(self) -> Totals:
        """The totals over all splits."""
        return sum(self.facts.totals.values(), Totals())

    @cached_property
    def class_numbers(self) -> Mapping[str, int]:
        """The number of each class with images in the shards, by name."""
        return {name: number for number, name in enumerate(shown_classes(self.facts))}

    @cached_property
    def class_totals(self) -> Mapping[str, int]:
        """Images written of each planned class, by name."""
        names = sorted({name for classes in self.facts.planned.values() for name in classes})
        written = [totals.written for totals in self.facts.totals.values()]
        return {name: sum(of.get(name, 0) for of in written) for name in names}

    @cached_property
    def core_use(self) -> CoreUse:
        """The mean use of the cores during the run."""
        return measure_use(self.facts.histories)

    @cached_property
    def _address(self) -> Callable[[str], str]:
        return addresses(self.facts)

    @cached_property
    def copies(self) -> Sequence[Copies]:
        """Images with the same bytes."""
        facts, plan = self.facts, self.facts.plan
        return copies_in_run(facts.manifest, plan.classes, plan.shards, facts.receipts)

    @cached_property
    def duplicates(self) -> Mapping[str, Any]:
        """The number of copies; see :class:`prep.output.report.report.RunReport`."""
        return summarise_copies(self.copies, self.facts.plan.splits)

    def title(self, class_name: str) -> str:
        """Return what people are shown of a class."""
        return self.facts.plan.class_title(class_name)

    def shot(self, path: str, note: str, jpeg: bytes | None) -> Shot:
        """Return a picture of the image at a path in the source."""
        url = data_url(jpeg) if jpeg else ""
        return Shot(name=path, note=note, file=self._address(path), url=url)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """A picture that enlarges when it is clicked, and then names its image.

    Attributes:
        name: the path of the image, relative to the source.
        note: what else to say about it, such as its class and split.
        file: the address of the image; empty if the reader may not look into the source.
        url: the picture as a data URL; empty if there is none.
    """

    name: str
    note: str
    file: str
    url: str


def data_url(jpeg: bytes) -> str:
    """Return the address of a picture that is in the page itself."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()


def addresses(facts: Facts) -> Callable[[str], str]:
    """Return a function from the name of an image to where a browser on this machine finds it.

    The address is empty if the plan is not the user's own, or the image is a part of a file.
    """
    source = reopen_source(facts.plan.source, facts.root)
    file_of = _files(facts.manifest)

    def address(name: str) -> str:
        file = file_of(os.fsencode(name)) if facts.own else None
        found = None if file is None else source.location(file)
        return "" if found is None or is_url(found) else "file://" + quote(os.fsencode(found))

    return address


def _files(manifest: pa.Table) -> Callable[[bytes], bytes | None]:
    """Return a function from the name of an image to the file that it is all of, if it is."""
    if "file" not in manifest.column_names:
        return lambda name: name
    names, files, offsets = (manifest[column] for column in ("path", "file", "offset"))
    order = pc.sort_indices(names) if pc.any(pc.less(offsets, 0)).as_py() else ()

    def file_of(name: bytes) -> bytes | None:
        at = bisect_left(range(len(order)), name, key=lambda n: names[order[n].as_py()].as_py())
        row = order[at].as_py() if at < len(order) else None
        if row is None or names[row].as_py() != name or offsets[row].as_py() >= 0:
            return None
        file: bytes = files[row].as_py()
        return file

    return file_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A figure.

    Attributes:
        title: its heading.
        caption: the text below it.
        key: its legend: pairs of a text and a number of the palette.
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
        name: the id of its element, and the name of its template.
        title: its heading.
        html: its content.
        figures: its figures, by name.
        short: its name in the table of contents, if the title is too long.
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
    """Fill in a section's template, ``display/templates/page/NAME.html.j2``.

    Args:
        values: what the template refers to, besides ``figures``.
    """
    figures = figures or {}
    html = render(f"page/{name}", **values, figures=figures)
    return Section(name=name, title=title, html=Markup(html), figures=figures, short=short)
