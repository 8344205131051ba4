"""What to say of shards that failed."""

from __future__ import annotations

from collections.abc import Mapping

from prep.counters import shard_key
from prep.planning import ShardSpec
from prep.text import counted, failure, some


def describe_failed(failed: Mapping[ShardSpec, BaseException]) -> str:
    """Say how many shards failed, of what, and what to do."""
    by_error: dict[str, list[str]] = {}
    for shard, error in failed.items():
        by_error.setdefault(failure(error), []).append(shard_key(shard))
    named = [f"{some(shards)} ({error})" for error, shards in by_error.items()]
    return (
        f"{counted(len(failed), 'shard')} failed: {some(named, '; ')}. "
        "All others are committed; run the same command again to write the missing ones"
    )
