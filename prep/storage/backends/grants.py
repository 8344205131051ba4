"""Options of storages, such as credentials, that were granted to this process.

Plans, receipts, tasks and reports hold plain paths and URLs. What it takes to open them is kept
here, by the URL at and below which it holds, and never shown.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from prep.storage.urls import canonical

T = TypeVar("T")


class Claims(Generic[T]):
    """Values by name, of several holders; they add up.

    Where two ask for something else under one name, the first has its way until it lets go: nobody
    who comes later takes from somebody at work what that relies on. What the process itself sets
    comes before all others, and can be set anew.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._own: dict[str, T] = {}
        self._held: dict[str, Mapping[str, T]] = {}
        self._all: Mapping[str, T] = {}

    def set(self, name: str, value: T) -> None:
        """Has it be so for the length of the process."""
        with self._lock:
            self._own[name] = value
            self._add_up()

    def hold(self, holder: str, values: Mapping[str, T]) -> None:
        """Has it be so until the holder lets go; what it has asked for before is replaced."""
        with self._lock:
            self._held[holder] = values
            self._add_up()

    def release(self, holder: str, values: Mapping[str, T]) -> None:
        """Lets go of these values, unless the holder has asked for others meanwhile."""
        with self._lock:
            if self._held.get(holder) is values:
                del self._held[holder]
                self._add_up()

    def all(self) -> Mapping[str, T]:
        """What holds at present; does not change any more."""
        return self._all

    def _add_up(self) -> None:
        # Made anew and put in place whole, for other threads look at it meanwhile.
        added: dict[str, T] = {}
        for values in reversed(self._held.values()):
            added.update(values)
        self._all = {**added, **self._own}


class Options(Claims[Mapping[str, Any]]):
    """``storage_options`` by the URL at and below which they hold."""

    def of(self, url: str) -> Mapping[str, Any]:
        """Those of the nearest place at or above a URL for which any were granted."""
        url, granted = canonical(url), self.all()
        roots = [root for root in granted if url == root or url.startswith(f"{root}/")]
        return granted[max(roots, key=len)] if roots else {}


OPTIONS = Options()


def grant(url: str, options: Mapping[str, Any]) -> None:
    """Has everything at and below a URL opened with these options from now on.

    Args:
        options: what fsspec calls ``storage_options``.
    """
    OPTIONS.set(canonical(url).rstrip("/"), dict(options))
