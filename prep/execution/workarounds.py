"""What the whole process shares, and what differs in it while clusters start, are open, or close.

Several threads may be at that at the same time, and end in any order. What was before comes back
when the last one has ended.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import dask
from distributed.versions import VersionMismatchWarning

_ABSENT = object()

_lock = threading.Lock()
_quiet = 0
_loud = contextlib.ExitStack()
# What all open blocks have set, the last one last; and what was before the first of them.
_set: list[Mapping[str, Any]] = []
_before: dict[str, Any] = {}


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """What Dask says while connections are made or closed is of no use to anyone."""
    global _quiet
    with _lock:
        if not _quiet:
            _loud.enter_context(_silenced())
        _quiet += 1
    try:
        yield
    finally:
        with _lock:
            _quiet -= 1
            if not _quiet:
                _loud.close()


@contextlib.contextmanager
def _silenced() -> Iterator[None]:
    # The client's has a level of its own.
    names = ("distributed", "distributed.client", "tornado", "asyncio")
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            # The progress display shows the port that was taken instead.
            warnings.filterwarnings("ignore", message="Port .* is already in use")
            # It is told before a run, with what it means.
            warnings.filterwarnings("ignore", category=VersionMismatchWarning)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextlib.contextmanager
def configured(settings: Mapping[str, Any]) -> Iterator[None]:
    """Sets Dask's configuration for the length of the block.

    Where several blocks set the same, the one that was entered last has its way.
    (``dask.config.set`` puts back what it has found, be it of a block that has ended meanwhile.)

    Args:
        settings: by their full names.
    """
    ours = dict(settings)
    with _lock:
        for name in ours:
            _before.setdefault(name, dask.config.get(name, _ABSENT))
        _set.append(ours)
    try:
        dask.config.set(ours)
        yield
    finally:
        with _lock:
            _set[:] = [others for others in _set if others is not ours]
            for name in ours:
                _put_back(name)


def _put_back(name: str) -> None:
    """Has a setting be what the blocks that are still open say, or what it was before."""
    wanted = [others[name] for others in _set if name in others]
    value = wanted[-1] if wanted else _before.pop(name)
    if value is not _ABSENT:
        dask.config.set({name: value})
        return
    place = dask.config.config
    *folders, last = name.split(".")
    with contextlib.suppress(KeyError, TypeError):  # It could not be set.
        for folder in folders:
            place = place[dask.config.canonical_name(folder, place)]
        del place[dask.config.canonical_name(last, place)]
