"""Options of storages, such as credentials, that were granted to this process.

Plans, receipts, tasks and reports hold plain paths and URLs. What it takes to open them is kept
here, by the URL at and below which it holds, and never shown.
"""

from __future__ import annotations

import threading
from collections import ChainMap
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from prep.storage.urls import canonical_url

T = TypeVar("T")


class Claims(Generic[T]):
    """Values by name, of several owners.

    If two owners have different values for one name, those of the first count until it releases
    them: nobody takes away what somebody at work relies on. Values that the process sets come
    before all others, and can be set anew.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._own: dict[str, T] = {}
        self._held: dict[str, Mapping[str, T]] = {}

    def set(self, name: str, value: T) -> None:
        """Set a value for the length of the process."""
        with self._lock:
            self._own = {**self._own, name: value}

    def hold(self, owner: str, values: Mapping[str, T]) -> None:
        """Add the values of a owner until it releases them; its former ones are replaced."""
        with self._lock:
            self._held = {**self._held, owner: values}

    def release(self, owner: str, values: Mapping[str, T]) -> None:
        """Remove these values, unless the owner has replaced them meanwhile."""
        with self._lock:
            self._held = {k: v for k, v in self._held.items() if k != owner or v is not values}

    def all(self) -> Mapping[str, T]:
        """Return all values; what is set later is not among them."""
        return ChainMap(self._own, *self._held.values())  # type: ignore[arg-type]


class Options(Claims[Mapping[str, Any]]):
    """``storage_options`` by the URL at and below which they hold."""

    def of(self, url: str) -> Mapping[str, Any]:
        """Return the options of the longest matching URL prefix."""
        url, granted = canonical_url(url), self.all()
        roots = [root for root in granted if url == root or url.startswith(f"{root}/")]
        return granted[max(roots, key=len)] if roots else {}


OPTIONS = Options()


def grant(url: str, options: Mapping[str, Any]) -> None:
    """Open everything at and below a URL with these ``storage_options`` from now on."""
    OPTIONS.set(canonical_url(url).rstrip("/"), dict(options))
