"""The documents of ``/prep``, and of each of its parts alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from bokeh.document import Document
from bokeh.events import ConnectionLost
from bokeh.models import CustomJS, Model
from distributed import Scheduler
from distributed.dashboard.components.scheduler import BOKEH_THEME
from distributed.dashboard.components.scheduler import env as dask_templates
from jinja2 import ChoiceLoader, FileSystemLoader

from prep.monitoring.dashboard.cards import TEMPLATES, fill
from prep.monitoring.dashboard.charts import ClassesFigure, ShardsFigure
from prep.monitoring.dashboard.chooser import Choice, Chooser
from prep.monitoring.dashboard.curves import HostsFigure, RatesFigure, WorkersFigure
from prep.monitoring.dashboard.sheet import ContactSheet
from prep.monitoring.dashboard.tiles import EmptyTile, FixedTile, SheetTile, Tile
from prep.monitoring.runwatch import RunWatch
from prep.monitoring.watches import Runs

_UPDATE_EVERY = 1000  # milliseconds; measurements come no more often
_BEGIN = "document.querySelector('.prep').classList.remove('waiting')"
_GONE = """
cb_data.connection?.deref()?.close()  // Or it sends, as when a window is resized.
document.getElementById("prep-gone").hidden = false
addEventListener("online", () => location.reload())
"""
_TEMPLATES = dask_templates.overlay(
    loader=ChoiceLoader([dask_templates.loader, FileSystemLoader(TEMPLATES)])  # type: ignore[list-item]
)


class PagePart(Protocol):
    """Something on a page."""

    def update(self, watch: RunWatch) -> None:
        """Show the state of a run."""


#: Makes a part, and its models by name.
Make = Callable[[ContactSheet], tuple[PagePart, Mapping[str, Model]]]
#: Fills a document, given Dask's template variables.
Fill = Callable[[Runs, ContactSheet, Scheduler, Mapping[str, Any], Document], None]


def _rooted(name: str, kind: Callable[..., Any], *arguments: object) -> Make:
    def make(sheet: ContactSheet) -> tuple[PagePart, Mapping[str, Model]]:
        part = kind(*arguments)
        return part, {name: part.root}

    return make


def _rates(sheet: ContactSheet) -> tuple[PagePart, Mapping[str, Model]]:
    part = RatesFigure()
    return part, {"images": part.images.root, "bytes": part.bytes.root}


def _sheet(sheet: ContactSheet) -> tuple[PagePart, Mapping[str, Model]]:
    part = SheetTile(sheet)
    return part, {"sheet": part.root}


_PARTS: Mapping[str, Make] = {
    "progress": _rooted("progress", Tile, "progress"),
    "rates": _rates,
    "hosts-cpu": _rooted("hosts", HostsFigure),
    "workers-cpu": _rooted("workers", WorkersFigure),
    "shards": _rooted("shards", ShardsFigure),
    "legend": _rooted("legend", FixedTile, "legend"),
    "just-written": _sheet,
    "classes": _rooted("classes", ClassesFigure),
    "mean": _rooted("mean", Tile, "mean"),
    "refused": _rooted("refused", Tile, "refused"),
}


def _add_parts(
    doc: Document, runs: Runs, sheet: ContactSheet, make: list[Make], *, choose: bool = False
) -> None:
    """Add parts to a document, and keep them up to date.

    Args:
        choose: whether to add a list of runs to choose from.
    """
    choice = Choice(runs)
    made = [each(sheet) for each in make]
    parts = [part for part, _ in made]

    def update() -> None:
        watch = choice.watch
        if watch is not None:
            doc.hold("combine")  # One message instead of a dozen.
            try:
                for part in parts:
                    part.update(watch)
            finally:
                doc.unhold()

    if choose:
        chooser = Chooser(runs, choice, update)
        parts.append(chooser)
        made.append((chooser, {"runs": chooser.root}))
    for _, models in made:
        for name, model in models.items():
            model.name = name
            doc.add_root(model)
    update()
    doc.add_periodic_callback(update, _UPDATE_EVERY)
    doc.theme = BOKEH_THEME
    doc.title = "Dask: prep"


def _page(
    runs: Runs, sheet: ContactSheet, _: Scheduler, extra: Mapping[str, Any], doc: Document
) -> None:
    _add_parts(doc, runs, sheet, [*_PARTS.values(), _rooted("gone", Tile, "gone")], choose=True)
    _tell_when_gone(doc)
    doc.template = _TEMPLATES.get_template("page.html")
    waiting = runs.current is None
    doc.template_variables.update(extra, waiting=waiting)
    if waiting:
        progress: Any = doc.get_model_by_name("progress")
        progress.text = fill("empty")
        progress.js_on_change("text", CustomJS(code=_BEGIN))


def _tell_when_gone(doc: Document) -> None:
    """Show on the page that its scheduler has gone, and keep Bokeh from trying to reconnect.

    Each try is an error on the browser's console. A browser that was offline loads the page anew.
    """
    if hasattr(doc, "config"):  # Since Bokeh 3.7.
        doc.config.update(reconnect_session=False, notify_connection_status=False)
    doc.js_on_event(ConnectionLost, CustomJS(code=_GONE))


def _individual(make: Make) -> Fill:
    def fill_document(
        runs: Runs, sheet: ContactSheet, _: Scheduler, extra: Mapping[str, Any], doc: Document
    ) -> None:
        _add_parts(doc, runs, sheet, [_rooted("waiting", EmptyTile), make])

    return fill_document


#: Fills the document of each path.
APPLICATIONS: Mapping[str, Fill] = {
    "/prep": _page,
    **{
        f"/individual-prep-{name}": _individual(make)
        for name, make in _PARTS.items()
        if name != "legend"
    },
}
