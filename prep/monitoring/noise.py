"""Silence what Dask and Bokeh log although nothing is wrong with a run.

Each docstring says in which version it was seen, where it was reported, and when the workaround can
go. ``tests/execution/test_workarounds.py`` shows each fault without it, and fails once it is gone.
All other workarounds are in :mod:`prep.execution.workarounds`.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from distributed import Worker, WorkerPlugin
from distributed.versions import VersionMismatchWarning

_lock = threading.Lock()
_quiet_blocks = 0
_silence = contextlib.ExitStack()


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Silence Dask's logs and warnings while connections are opened or closed.

    Blocks may overlap in several threads. The former levels return when the last one ends.

    Seen in distributed 2026.8.0: closing logs errors of connections that are meant to close
    (https://github.com/dask/distributed/issues/7891), and starting warns of what the progress
    display and the cluster check say better (another port of the dashboard, other versions). Can go
    when a cluster that starts or closes logs nothing.
    """
    global _quiet_blocks
    with _lock:
        if not _quiet_blocks:
            _silence.enter_context(_silenced())
        _quiet_blocks += 1
    try:
        yield
    finally:
        with _lock:
            _quiet_blocks -= 1
            if not _quiet_blocks:
                _silence.close()


@contextlib.contextmanager
def _silenced() -> Iterator[None]:
    # The client's logger has a level of its own.
    names = ("distributed", "distributed.client", "tornado", "asyncio")
    levels = {logger: logger.level for logger in map(logging.getLogger, names)}
    for logger in levels:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Port .* is already in use")
            warnings.filterwarnings("ignore", category=VersionMismatchWarning)
            yield
    finally:
        for logger, level in levels.items():
            logger.setLevel(level)


class QuietWorker(WorkerPlugin):
    """Keep a worker from logging what its client reports anyway.

    That is: errors of tasks, tasks that were stopped, and the end of the scheduler.

    Seen in distributed 2026.8.0; of the last of them,
    https://github.com/dask/distributed/issues/7891 tells. Can go when workers log none of them.
    """

    name = "prep-quiet-worker"

    def setup(self, worker: Worker) -> None:
        """Filter the logs of this process, unless it has no nanny and may be anyone's."""
        if worker.nanny:
            for name in ("distributed.worker", "distributed.worker.state_machine"):
                _add_filter(name, _is_news)


def _is_news(record: logging.LogRecord) -> bool:
    message = record.getMessage()
    stopped = message.startswith("Async instruction") and message.endswith("CancelledError")
    reported = ("Compute Failed", "Failed to communicate with scheduler during heartbeat")
    return not stopped and not message.startswith(reported)


def silence_closed_pages() -> None:
    """Silence errors about pages of the dashboard that were closed.

    Seen in bokeh 3.9.2: if a browser closes a page while a message is on its way to it, the server
    logs a failed assertion, twice. Not reported upstream as far as we know. Can go when a closed
    connection does not fail an assertion.
    """
    for name in ("bokeh.server.protocol_handler", "tornado.application"):
        _add_filter(name, _is_of_an_open_page)


def _is_of_an_open_page(record: logging.LogRecord) -> bool:
    if not record.exc_info or not isinstance(record.exc_info[1], AssertionError):
        return True
    last = traceback.extract_tb(record.exc_info[2])[-1]
    return not last.filename.replace("\\", "/").endswith("bokeh/server/connection.py")


_PATCHED = "_prep_keeps_layout"


def keep_layout_of_groups() -> None:
    """Let the dashboard's page Groups keep its layout if it can't compute a new one.

    Seen in distributed 2026.8.0: it can't while groups of tasks depend on each other in a circle,
    as those of each reduction of a Bag do for a while. It then logs some 60 lines, five times a
    second; a page that is opened meanwhile is a 500
    (https://github.com/dask/distributed/issues/5100, https://github.com/dask/dask/issues/11451).
    Can go when the layout allows circles.
    """
    from distributed.dashboard.components.scheduler import TaskGroupGraph

    if not hasattr(TaskGroupGraph, _PATCHED):
        setattr(TaskGroupGraph, _PATCHED, True)
        TaskGroupGraph.update = _keeping_layout(TaskGroupGraph.update)  # type: ignore[method-assign]
    _add_filter("distributed.dashboard.components.scheduler", _is_of_no_layout)


def _keeping_layout(update: Callable[[Any], None]) -> Callable[[Any], None]:
    @functools.wraps(update)
    def update_if_possible(graph: Any) -> None:
        try:
            update(graph)
        except (KeyError, RuntimeError) as error:
            if not _is_in_layout(error):
                raise

    return update_if_possible


def _is_of_no_layout(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    return error is None or not _is_in_layout(error)


def _is_in_layout(error: BaseException) -> bool:
    return any(frame.name == "update_layout" for frame in traceback.extract_tb(error.__traceback__))


def _add_filter(logger_name: str, is_news: Callable[[logging.LogRecord], bool]) -> None:
    logger = logging.getLogger(logger_name)
    if is_news not in logger.filters:
        logger.addFilter(is_news)
