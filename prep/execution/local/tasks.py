"""What worker processes are given to do."""

from __future__ import annotations

from prep.monitoring.counters import COUNTERS
from prep.output.opened import open_plan
from prep.output.receipt import SplitTotals, total_receipts
from prep.planning.shards import ShardSpec
from prep.shards.writer import RunRef, write_shard


def write_counted(shard: ShardSpec, run: RunRef) -> SplitTotals:
    """Write one shard, counting as it goes, and return what adds up of its receipt."""
    plan = open_plan(run.output, run.digest, run.run).plan
    with COUNTERS.shard(shard, run.run, plan) as counter:
        return total_receipts([write_shard(shard, run, counter)])
