"""Add the pages to the dashboard of a scheduler that runs already."""

from __future__ import annotations

import functools
from typing import Any

from distributed import Scheduler
from tornado.ioloop import IOLoop

from prep.monitoring.dashboard.sheet import ContactSheet
from prep.monitoring.watches import Runs

_AFTER = "status"
PAGE = "prep"


def add_pages(scheduler: Scheduler, runs: Runs, sheet: ContactSheet) -> str | None:
    """Add the page ``/prep``, and its parts as ``/individual-prep-…``.

    Dask has no interface for this. Its dashboard is one of several Bokeh applications on the
    scheduler's server, so this adds another, and enters it in the first one's menu and in its list
    of plots, which JupyterLab's extension reads.

    Returns:
        Why they can't be added; None if they were.
    """
    try:
        from bokeh.server.tornado import BokehTornado
        from distributed.dashboard.core import BokehApplication
        from distributed.dashboard.scheduler import template_variables

        from prep.monitoring.dashboard.documents import APPLICATIONS
    except ImportError as error:
        return f"the scheduler has no dashboard: {error}"
    web: Any = scheduler.http_application
    first: Any = next((app for app in web.applications if isinstance(app, BokehTornado)), None)
    if first is None:
        return "the scheduler's dashboard is switched off"
    variables = template_variables(scheduler)
    documents = {path: functools.partial(fill, runs, sheet) for path, fill in APPLICATIONS.items()}
    ours: Any = BokehApplication(documents, scheduler, first.prefix, variables)
    web.add_application(ours)
    ours.initialize(IOLoop.current())
    ours.start()
    first._applications.update(ours._applications)
    if PAGE not in variables["pages"]:
        variables["pages"].insert(variables["pages"].index(_AFTER) + 1, PAGE)
    return None
