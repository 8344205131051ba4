"""The page ``/prep``, and its parts as pages of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from bokeh.document import Document
from bokeh.events import ConnectionLost
from bokeh.models import CustomJS, Model
from distributed import Scheduler
from distributed.dashboard.components.scheduler import BOKEH_THEME
from distributed.dashboard.components.scheduler import env as dask_templates
from jinja2 import ChoiceLoader, FileSystemLoader

from prep.monitoring.dashboard.chooser import Chooser
from prep.monitoring.dashboard.figures import ClassesFigure, ShardsFigure
from prep.monitoring.dashboard.shown import Choice, Shown
from prep.monitoring.dashboard.tiles import (
    EMPTY,
    GoneTile,
    LegendTile,
    MeanTile,
    ProgressTile,
    RefusedTile,
    SheetTile,
    WaitingTile,
)
from prep.monitoring.dashboard.timelines import HostsFigure, RatesFigure, WorkersFigure
from prep.monitoring.runwatch import RunWatch

_UPDATE_EVERY = 1000  # milliseconds; measurements come no more often
_BEGIN = "document.querySelector('.prep').classList.remove('waiting')"
_GONE = """
cb_data.connection?.deref()?.close()  // Or it sends, as when a window is resized.
document.getElementById("prep-gone").hidden = false
addEventListener("online", () => location.reload())
"""
_TEMPLATES = dask_templates.overlay(
    loader=ChoiceLoader([dask_templates.loader, FileSystemLoader(Path(__file__).parent)])  # type: ignore[list-item]
)


class Part(Protocol):
    """Something on a page."""

    def update(self, watch: RunWatch) -> None:
        """Brings it up to date with a run."""


#: Makes a part, and its models by name.
Make = Callable[[Shown], tuple[Part, Mapping[str, Model]]]
#: Fills a document, given Dask's template variables.
Fill = Callable[[Shown, Scheduler, Mapping[str, Any], Document], None]


def _rooted(kind: Callable[[], Any], name: str) -> Make:
    def make(shown: Shown) -> tuple[Part, Mapping[str, Model]]:
        part = kind()
        return part, {name: part.root}

    return make


def _rates(shown: Shown) -> tuple[Part, Mapping[str, Model]]:
    part = RatesFigure()
    return part, {"images": part.images.root, "bytes": part.bytes.root}


def _sheet(shown: Shown) -> tuple[Part, Mapping[str, Model]]:
    part = SheetTile(shown.sheet)
    return part, {"sheet": part.root}


_PARTS: Mapping[str, Make] = {
    "progress": _rooted(ProgressTile, "progress"),
    "rates": _rates,
    "hosts-cpu": _rooted(HostsFigure, "hosts"),
    "workers-cpu": _rooted(WorkersFigure, "workers"),
    "shards": _rooted(ShardsFigure, "shards"),
    "legend": _rooted(LegendTile, "legend"),
    "just-written": _sheet,
    "classes": _rooted(ClassesFigure, "classes"),
    "mean": _rooted(MeanTile, "mean"),
    "refused": _rooted(RefusedTile, "refused"),
}


def _document(
    shown: Shown, make: list[Make], doc: Document, choice: Choice, *, choose: bool = False
) -> None:
    """Fills a document with parts, and keeps them up to date.

    Args:
        choose: whether there is a list of runs to choose from.
    """
    made = [each(shown) for each in make]
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
        chooser = Chooser(shown.runs, choice, update)
        parts.append(chooser)
        made.append((chooser, {"runs": chooser.root}))
    for _, models in made:
        for name, model in models.items():
            model.name = name
            doc.add_root(model)
    update()
    doc.add_periodic_callback(update, _UPDATE_EVERY)
    doc.theme = BOKEH_THEME


def _page(shown: Shown, _: Scheduler, extra: Mapping[str, Any], doc: Document) -> None:
    make = [*_PARTS.values(), _rooted(GoneTile, "gone")]
    _document(shown, make, doc, Choice(shown.runs), choose=True)
    _tell_when_gone(doc)
    doc.title = "Dask: prep"
    doc.template = _TEMPLATES.get_template("page.html")
    waiting = shown.runs.current is None
    doc.template_variables.update(extra, waiting=waiting)
    if waiting:
        progress: Any = doc.get_model_by_name("progress")
        progress.text = EMPTY
        progress.js_on_change("text", CustomJS(code=_BEGIN))


def _tell_when_gone(doc: Document) -> None:
    """Have the page say that its scheduler has gone, in place of Bokeh trying to get it back.

    Each try is an error on the browser's console. A browser that was offline loads the page anew.
    """
    if hasattr(doc, "config"):  # Since Bokeh 3.7.
        doc.config.update(reconnect_session=False, notify_connection_status=False)
    doc.js_on_event(ConnectionLost, CustomJS(code=_GONE))


def _individual(make: Make) -> Fill:
    def fill(shown: Shown, _: Scheduler, extra: Mapping[str, Any], doc: Document) -> None:
        parts = [_rooted(WaitingTile, "waiting"), make]
        _document(shown, parts, doc, Choice(shown.runs))
        doc.title = "Dask: prep"

    return fill


#: What fills the document of each path.
APPLICATIONS: Mapping[str, Fill] = {
    "/prep": _page,
    **{
        f"/individual-prep-{name}": _individual(make)
        for name, make in _PARTS.items()
        if name != "legend"
    },
}
