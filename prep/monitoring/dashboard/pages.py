"""What Dask and Bokeh log although nothing is wrong with a run.

Adds pages to the dashboard of a scheduler that runs already.
"""

from __future__ import annotations

import functools
import logging
import traceback
from collections.abc import Callable
from typing import Any

from distributed import Scheduler
from tornado.ioloop import IOLoop

from prep.monitoring.dashboard.shown import Shown

_KEEPS_PICTURE = "_prep_keeps_picture"
_GROUPS_LOGGER = "distributed.dashboard.components.scheduler"


def hush() -> None:
    """Keep quiet about two faults of others, at the terminal of whoever has started the cluster."""
    _hush_closed_pages()
    _hush_groups()


def _hush_closed_pages() -> None:
    """Keep quiet about browsers that close a page while something is on its way to it.

    Bokeh's server then finds no session any more, and logs a failed assertion, twice.
    """
    for name in ("bokeh.server.protocol_handler", "tornado.application"):
        _add_filter(name, _is_told)


def _is_told(record: logging.LogRecord) -> bool:
    if not record.exc_info or not isinstance(record.exc_info[1], AssertionError):
        return True
    last = traceback.extract_tb(record.exc_info[2])[-1]
    return not last.filename.replace("\\", "/").endswith("bokeh/server/connection.py")


def _hush_groups() -> None:
    """Have the page Groups keep its picture where it can't make a new one.

    It can't where groups of tasks depend on each other in a circle, as those of every reduction of
    a Bag do for a while. It then raises, and logs some 60 lines, five times a second; opened
    meanwhile, it is a 500. Still so in distributed 2026.8:
    https://github.com/dask/distributed/issues/5100, https://github.com/dask/dask/issues/11451
    """
    from distributed.dashboard.components.scheduler import TaskGroupGraph

    if not hasattr(TaskGroupGraph, _KEEPS_PICTURE):
        setattr(TaskGroupGraph, _KEEPS_PICTURE, True)
        update = _keeping_picture(TaskGroupGraph.update)
        TaskGroupGraph.update = update  # type: ignore[method-assign]
    _add_filter(_GROUPS_LOGGER, _is_no_layout)


def _keeping_picture(update: Callable[[Any], None]) -> Callable[[Any], None]:
    @functools.wraps(update)
    def update_if_possible(graph: Any) -> None:
        try:
            update(graph)
        except (KeyError, RuntimeError) as error:
            if not _in_layout(error):
                raise

    return update_if_possible


def _is_no_layout(record: logging.LogRecord) -> bool:
    return not record.exc_info or record.exc_info[1] is None or not _in_layout(record.exc_info[1])


def _in_layout(error: BaseException) -> bool:
    return any(frame.name == "update_layout" for frame in traceback.extract_tb(error.__traceback__))


def _add_filter(logger_name: str, is_told: Callable[[logging.LogRecord], bool]) -> None:
    logger = logging.getLogger(logger_name)
    if is_told not in logger.filters:
        logger.addFilter(is_told)


_AFTER = "status"
PAGE = "prep"


def add_pages(scheduler: Scheduler, shown: Shown) -> str | None:
    """Adds the page ``/prep``, and its plots as ``/individual-prep-…``.

    Dask has no interface for that. Its dashboard is one Bokeh application among the scheduler's
    others, so a second one beside it does; the bar on top of each page, and the list of plots that
    JupyterLab's extension reads, are those of the first.

    Returns:
        Why they can't be added; None if they were.
    """
    try:
        from bokeh.server.tornado import BokehTornado
        from distributed.dashboard.core import BokehApplication
        from distributed.dashboard.scheduler import template_variables

        from prep.monitoring.dashboard.page import APPLICATIONS
    except ImportError as error:
        return f"the scheduler has no dashboard: {error}"
    web: Any = scheduler.http_application
    first: Any = next((app for app in web.applications if isinstance(app, BokehTornado)), None)
    if first is None:
        return "the scheduler's dashboard is switched off"
    variables = template_variables(scheduler)
    documents = {path: functools.partial(make, shown) for path, make in APPLICATIONS.items()}
    ours: Any = BokehApplication(documents, scheduler, first.prefix, variables)
    web.add_application(ours)
    ours.initialize(IOLoop.current())
    ours.start()
    first._applications.update(ours._applications)
    if PAGE not in variables["pages"]:
        variables["pages"].insert(variables["pages"].index(_AFTER) + 1, PAGE)
    return None
