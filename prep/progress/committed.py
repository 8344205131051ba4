"""What stays of a run that was stopped."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from prep.receipts import SplitTotals, Totals
from prep.watching.counts import LiveCounts


def only_committed(counts: LiveCounts, shards: int, totals: SplitTotals | None) -> LiveCounts:
    """Leave out of counts what was done for shards that were not finished.

    Args:
        shards: how many are committed.
        totals: what these add up to, by split as it is shown, if that could be read.
    """
    counts = replace(counts, shards=shards)
    if totals is None:
        return counts
    everything = Totals.sum(list(totals.values()))
    splits = {
        name: replace(
            counts.splits[name],
            done=total.images + len(total.refused),
            refused=len(total.refused),
        )
        for name, total in totals.items()
        if name in counts.splits
    }
    return replace(
        counts,
        images=everything.images + len(everything.refused),
        refused=len(everything.refused),
        splits=splits,
        reasons=dict(Counter(f.reason for f in everything.refused).most_common()),
        bytes_read=everything.source_bytes,
        bytes_written=everything.bytes,
    )
