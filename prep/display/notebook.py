"""Outputs of a notebook's cells that are updated in place; the only module that knows IPython.

This takes no widgets: an output is published under an id, and a later output under the same id
replaces it, whichever cell runs by then. JupyterLab, VS Code and nbclient all support this.
"""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Callable

#: ``(HTML, plain text)``
Picture = tuple[str, str]


class Output:
    """An output that is kept up to date in all cells that show it.

    Args:
        render: returns its current content.
    """

    def __init__(self, render: Callable[[], Picture]) -> None:
        self._render = render
        self._id = f"prep-{uuid.uuid4().hex}"
        self._shown = False
        # So that the last to be rendered is the last to be published, whichever thread does it.
        self._lock = threading.Lock()

    def show(self) -> None:
        """Show the output in the cell that runs now."""
        with self._lock:
            self._shown = True
            self._publish(update=False)

    def update(self) -> None:
        """Update the output in all cells that show it; may be called from any thread."""
        # A failing display, as when the kernel ends, must not fail the run.
        with self._lock, contextlib.suppress(Exception):
            if self._shown:
                self._publish(update=True)

    def _publish(self, *, update: bool) -> None:
        from IPython.display import display

        html, text = self._render()
        bundle = {"text/html": html, "text/plain": text}
        display(bundle, raw=True, display_id=self._id, update=update)
