"""What worker processes are given to do."""

from __future__ import annotations

from prep.counters import COUNTERS
from prep.journal import open_plan
from prep.planning import ShardSpec
from prep.receipts import SplitTotals, total_receipts
from prep.shards import RunRef, write_shard


def write_counted(shard: ShardSpec, run: RunRef) -> SplitTotals:
    """Write one shard, counting as it goes, and return what adds up of its receipt."""
    plan = open_plan(run.output, run.digest, run.run)
    with COUNTERS.shard(shard, run.run, plan) as counter:
        return total_receipts([write_shard(shard, run, counter)])
