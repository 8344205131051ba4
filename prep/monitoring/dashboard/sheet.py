"""Images as they are written, so that a wrong crop, rotation or colour is seen at once."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from typing import Any

from distributed import Scheduler

from prep.monitoring.heartbeat import CROP_CALL, METRIC, CropMessage

_KEPT = 18
_AT_ONCE = 4  # workers asked
_EVERY = 2.0  # seconds
_PATIENCE = 5.0  # seconds for workers to answer
_INTEREST = 3.0  # seconds for which a look at the sheet keeps it up to date


class ContactSheet:
    """The images written last. Workers are asked for them only while somebody looks.

    Attributes:
        crops: the newest first.
        version: a number that changes whenever these do.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        self.crops: deque[CropMessage] = deque(maxlen=_KEPT)
        self.version = 0
        self._scheduler = scheduler
        self._looked_at = 0.0
        self._asked = 0.0
        self._asking: asyncio.Task[None] | None = None

    def look(self) -> deque[CropMessage]:
        """Return the images, and keep them up to date for a while."""
        self._looked_at = time.monotonic()
        return self.crops

    def refresh(self) -> None:
        """Ask a few workers for an image each, if it is time and somebody looks."""
        now = time.monotonic()
        if now - self._looked_at > _INTEREST or now - self._asked < _EVERY:
            return
        if self._asking is None or self._asking.done():
            self._asked = now
            self._asking = asyncio.create_task(self._ask())

    async def _ask(self) -> None:
        workers = self._scheduler.workers.values()
        able = [w.address for w in workers if w.processing and w.metrics.get(METRIC)]
        asked = random.sample(able, min(_AT_ONCE, len(able)))
        answers: dict[str, Any] = {}
        try:
            answers = await asyncio.wait_for(
                self._scheduler.broadcast(msg={"op": CROP_CALL}, workers=asked, on_error="ignore"),
                _PATIENCE,
            )
        except OSError:  # It is gone; the next ones will answer.
            return
        for crop in answers.values():
            if crop is not None:
                self.crops.appendleft(crop)
                self.version += 1
