"""What was measured while an output was made, part by part of its run."""

from __future__ import annotations

import json

from prep import storage
from prep.layout import OutputLayout
from prep.parsing import LARGEST, parse_json
from prep.watching.history import History

_MOST_PARTS = 20


def read_histories(layout: OutputLayout) -> list[History]:
    """What was measured in each part of the run, the oldest first; nothing where none was."""
    try:
        parts = parse_json(storage.read_at_most(layout.history, LARGEST))
        listed = parts if isinstance(parts, list) else []
        return [History.from_json(part) for part in listed[-_MOST_PARTS:]]
    except (OSError, ValueError):
        return []


def add_history(layout: OutputLayout, history: History) -> None:
    """Remembers what was measured in another part of the run, and forgets the oldest of many.

    Raises:
        OSError: it can't be written.
    """
    parts = [*read_histories(layout), history][-_MOST_PARTS:]
    data = json.dumps([part.to_json() for part in parts]).encode()
    storage.publish(layout.history, data, within=layout.root, durable=False)
