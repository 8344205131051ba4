"""What is shown in a notebook's cell, and then updated in place; the module that knows IPython.

It takes no widgets: an output is published under an id, and what is published under that id later
replaces it, whichever cell runs by then. JupyterLab, VS Code and nbclient all do so.
"""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Callable

#: ``(HTML, plain text)``
Picture = tuple[str, str]


class Output:
    """An output that can be shown in any number of cells, all of which it keeps up to date.

    Args:
        render: makes what is to be seen, as it is then.
    """

    def __init__(self, render: Callable[[], Picture]) -> None:
        self._render = render
        self._id = f"prep-{uuid.uuid4().hex}"
        self._shown = False
        # What is rendered last is published last, whichever thread does it.
        self._lock = threading.Lock()

    def show(self) -> None:
        """Shows it in the cell that runs now."""
        with self._lock:
            self._shown = True
            self._publish(update=False)

    def update(self) -> None:
        """Shows it as it is now, wherever it has been shown; may be called from any thread."""
        # No run is to fail for its display, as when the kernel is about to end.
        with self._lock, contextlib.suppress(Exception):
            if self._shown:
                self._publish(update=True)

    def _publish(self, *, update: bool) -> None:
        from IPython.display import display

        html, text = self._render()
        bundle = {"text/html": html, "text/plain": text}
        display(bundle, raw=True, display_id=self._id, update=update)
