"""The colours of the pages."""

from __future__ import annotations

from collections.abc import Mapping

from prep.watching.counts import ShardState

TEXT = "#333333"
GREY = "#8a8f98"
PALE = "#d9dee5"
BLUE = "#2374ab"
ORANGE = "#d9822b"
GREEN = "#3a9d5d"
RED = "#c0392b"

SHARD_COLOURS: Mapping[ShardState, str] = {
    "waiting": PALE,
    "running": ORANGE,
    "committed": GREEN,
    "failed": RED,
    "resumed": "#9ccfae",
}
