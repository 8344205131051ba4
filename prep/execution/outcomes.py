"""Decide what becomes of a run whose shards fail: when to give up, and what to say."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from prep.errors import StorageUnavailable
from prep.monitoring.counters import shard_key
from prep.planning.shards import ShardSpec
from prep.storage.retry import is_transient, lasted
from prep.text import counted, duration, failure, some

# A shard's own tries take minutes where requests are not even refused.
_PATIENCE = 600.0  # seconds


class Outage:
    """Looks at how shards end, and ends the run where for long none is written.

    One shard may fail for what is its own, and a storage may be away for a while. It takes more
    failures than there are threads, each for a reason that may pass, none committed in between,
    and ten minutes from what the first of them failed of to the last.

    Args:
        clock: gives seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failed = 0
        self._since = 0.0

    def committed(self) -> None:
        """A shard was written: whatever there was is over."""
        self._failed = 0

    def failed(self, error: BaseException, threads: int) -> None:
        """A shard was not.

        Raises:
            StorageUnavailable: nor are others to be.
        """
        if not _may_pass(error):
            return
        if not self._failed:
            self._since = self._clock() - lasted(error)
        self._failed += 1
        away = self._clock() - self._since
        if self._failed > threads and away >= _PATIENCE:
            raise StorageUnavailable(
                f"for {duration(away)}, no shard could be written, and "
                f"{counted(self._failed, 'shard')} failed ({failure(error)}); committed shards "
                "are kept: when the storage answers, run the same command again"
            )


def _may_pass(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return is_transient(error)
    return isinstance(error, StorageUnavailable)


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
