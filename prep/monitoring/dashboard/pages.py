"""Add pages to the dashboard of a scheduler that runs already."""

from __future__ import annotations

import functools
from typing import Any

from distributed import Scheduler
from tornado.ioloop import IOLoop

from prep.monitoring.dashboard.shown import Shown

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
