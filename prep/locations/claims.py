"""What several clients ask of one process, which serves them at the same time."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Generic, TypeVar

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
