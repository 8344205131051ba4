"""What was measured while an output was made, part by part of its run."""

from __future__ import annotations

import json

from prep import storage
from prep.layout import OutputLayout
from prep.watching.history import History

_MOST_PARTS = 20


def read_histories(layout: OutputLayout) -> list[History]:
    """What was measured in each part of the run, the oldest first; nothing where none was."""
    try:
        return [History.from_json(part) for part in json.loads(layout.history.read_bytes())]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []


def add_history(layout: OutputLayout, history: History) -> None:
    """Remembers what was measured in another part of the run, and forgets the oldest of many.

    Raises:
        OSError: it can't be written.
    """
    parts = [*read_histories(layout), history][-_MOST_PARTS:]
    data = json.dumps([part.to_json() for part in parts]).encode()
    storage.publish(layout.history, data, within=layout.root, durable=False)
