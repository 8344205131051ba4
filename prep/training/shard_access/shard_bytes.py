"""Bytes of shards, as readers ask for them, with errors for those who train."""

from __future__ import annotations

from prep.errors import SourceError
from prep.storage.locate import read_part
from prep.storage.location import FileChanged, Location
from prep.text import quoted, reason_of

_REMEDY = "open the output again; `prep.verify` says what is wrong with it"


def read_bytes(shard: Location, start: int, stop: int, size: int) -> bytes:
    """Return the bytes of a shard from ``start`` to ``stop``.

    Args:
        size: bytes that the whole shard must have, as far as its storage tells.

    Raises:
        SourceError: it can't be read, or has another size.
        StorageUnavailable: its storage does not answer.
    """
    try:
        part = shard.patiently(lambda: read_part(str(shard), start, stop - start))
    except FileChanged:
        raise _changed(shard) from None
    except OSError as error:
        shard.require_answer(error)
        raise SourceError(
            f"shard: {quoted(str(shard))} can't be read: {reason_of(error)}; {_REMEDY}"
        ) from None
    if part.stamp is not None and part.stamp.size != size:
        raise _changed(shard)
    return part.data


def _changed(shard: Location) -> SourceError:
    return SourceError(
        f"shard: {quoted(str(shard))} has changed since the output was opened; {_REMEDY}"
    )
