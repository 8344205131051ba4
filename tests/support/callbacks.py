"""A callback that keeps all events."""

from __future__ import annotations

import threading
from typing import Any

import prep


class Recorder(prep.Callback):
    """Keeps events, and the threads in which they came."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.threads: set[int] = set()

    def _keep(self, event: Any) -> None:
        self.events.append(event)
        self.threads.add(threading.get_ident())

    def of(self, kind: type) -> list[Any]:
        """Return the events of one kind, in their order."""
        return [event for event in self.events if type(event) is kind]

    stage_started = run_started = work_started = shard_committed = _keep
    image_refused = progress = run_ended = _keep
