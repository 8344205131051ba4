"""What Bokeh logs although nothing is wrong."""

from __future__ import annotations

import logging
import traceback


def hush() -> None:
    """Keeps quiet about browsers that close a page while something is on its way to it.

    Bokeh's server then finds no session any more, and logs a failed assertion, twice: at the
    terminal of whoever has started the cluster.
    """
    for name in ("bokeh.server.protocol_handler", "tornado.application"):
        logger = logging.getLogger(name)
        if _is_told not in logger.filters:
            logger.addFilter(_is_told)


def _is_told(record: logging.LogRecord) -> bool:
    if not record.exc_info or not isinstance(record.exc_info[1], AssertionError):
        return True
    last = traceback.extract_tb(record.exc_info[2])[-1]
    return not last.filename.replace("\\", "/").endswith("bokeh/server/connection.py")
