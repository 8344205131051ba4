"""Messages between a crew and its worker processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from prep.storage.locate import Access

#: Seconds for a process to leave the image that it is at, once nobody needs it any more.
END_WITHIN = 3.0


@dataclass(frozen=True, slots=True)
class Setup:
    """Access to storages for a new process, which answers that it is ready."""

    access: Access


@dataclass(frozen=True, slots=True)
class Ready:
    """The process can be given tasks."""


@dataclass(frozen=True, slots=True)
class Job:
    """A task: its number, and what is to be called with what."""

    task: int
    function: Callable[[Any], Any]
    item: Any


@dataclass(frozen=True, slots=True)
class Result:
    """The result or the error of a task."""

    task: int
    result: Any = None
    error: BaseException | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """A question for what a process counts, and the answer: metrics as Dask's heartbeats have."""

    metrics: Mapping[str, Any] = field(default_factory=dict)
