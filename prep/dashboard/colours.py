"""The colours of the pages."""

from __future__ import annotations

from collections.abc import Mapping

from prep.verdict import State
from prep.watching.counts import ShardState

TEXT = "#333333"
GREY = "#8a8f98"
PALE = "#d9dee5"
BLUE = "#2374ab"
ORANGE = "#d9822b"
GREEN = "#2e8b50"
RED = "#c0392b"

#: Green is for what is good; a shard that is committed may be one of a run that has failed.
STATE_COLOURS: Mapping[State, str] = {
    "starting": GREY,
    "running": BLUE,
    "done": GREEN,
    "done with refusals": ORANGE,
    "too many refused": RED,
    "failed": RED,
    "stopped": GREY,
}

SHARD_COLOURS: Mapping[ShardState, str] = {
    "waiting": PALE,
    "running": ORANGE,
    "committed": BLUE,
    "failed": RED,
    "resumed": "#9cc3e0",
}
