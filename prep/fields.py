"""Objects of JSON that somebody else may have written, their members checked as they are taken."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, NoReturn

#: The most that a whole number may be, where nothing smaller is said.
LARGEST_WHOLE = (1 << 63) - 1
_LONGEST_TEXT = 1 << 16  # characters
_LONGEST_SHOWN = 80
_ABSENT: Any = object()


class Fields:
    """The members of one object.

    Each method takes a member out and gives it back, if it is what is asked for; a default stands
    for one that is absent. Whoever has taken all that there may be calls :meth:`end`.

    Args:
        value: what JSON held.
        what: what it is to be, for messages.

    Raises:
        ValueError: it is no object, or a member is not what is asked for; the message names it.

    >>> Fields({"index": -1}, "a receipt").whole("index")
    Traceback (most recent call last):
    ValueError: index: expected a whole number of at least 0, found -1
    """

    def __init__(self, value: object, what: str) -> None:
        if not isinstance(value, dict):
            raise ValueError(f"expected {what}, found {_shown(value)}")
        self._left = dict(value)
        self._what = what

    def any(self, name: str, default: Any = _ABSENT) -> Any:
        """Take a member of any kind."""
        value = self._left.pop(name, default)
        if value is _ABSENT:
            raise ValueError(f"expected {self._what} with {name!r}, found none")
        return value

    def whole(self, name: str, least: int = 0, most: int = LARGEST_WHOLE, default: Any = _ABSENT) -> int:
        """Take a whole number within bounds."""
        return whole(self.any(name, default), name, least, most)

    def number(
        self, name: str, least: float = 0.0, most: float = 1e15, default: Any = _ABSENT
    ) -> float:
        """Take a number within bounds, and so a finite one."""
        return number(self.any(name, default), name, least, most)

    def text(self, name: str, most: int = _LONGEST_TEXT, default: Any = _ABSENT) -> str:
        """Take text of limited length."""
        return text(self.any(name, default), name, most)

    def list(self, name: str, default: Any = _ABSENT) -> list[Any]:
        """Take a list of anything."""
        value = self.any(name, default)
        return value if isinstance(value, list) else refuse(name, "a list", value)

    def object(self, name: str, default: Any = _ABSENT) -> dict[str, Any]:
        """Take an object of anything."""
        value = self.any(name, default)
        return value if isinstance(value, dict) else refuse(name, "an object", value)

    def counts(self, name: str, least: int = 0) -> dict[str, int]:
        """Take an object of whole numbers."""
        return counts(self.any(name), name, least)

    def end(self) -> None:
        """Raise ValueError where members are left that nobody took."""
        if self._left:
            unknown = _shown(next(iter(self._left)))
            raise ValueError(f"expected {self._what} of known members, found {unknown}")


def whole(value: object, name: str, least: int = 0, most: int = LARGEST_WHOLE) -> int:
    """Return the value if it is a whole number within bounds."""
    if type(value) is int and least <= value <= most:
        return value
    upper = "" if most == LARGEST_WHOLE else f" and at most {most}"
    return refuse(name, f"a whole number of at least {least}{upper}", value)


def number(value: object, name: str, least: float = 0.0, most: float = 1e15) -> float:
    """Return the value if it is a number within bounds."""
    if type(value) in (int, float) and least <= value <= most:  # type: ignore[operator]
        found: float = value  # type: ignore[assignment]
        if math.isfinite(found):
            return found
    return refuse(name, f"a number from {least:g} to {most:g}", value)


def text(value: object, name: str, most: int = _LONGEST_TEXT) -> str:
    """Return the value if it is text, and not too long."""
    if isinstance(value, str) and len(value) <= most:
        return value
    return refuse(name, f"text of at most {most:,} characters", value)


def counts(value: object, name: str, least: int = 0) -> dict[str, int]:
    """Return the value if it is an object of whole numbers."""
    if not isinstance(value, dict):
        return refuse(name, "an object of whole numbers", value)
    return {key: whole(member, f"{name} of {_shown(key)}", least) for key, member in value.items()}


def refuse(name: str, expected: str, found: object) -> NoReturn:
    """Raise ValueError; a long value is shortened."""
    raise ValueError(f"{name}: expected {expected}, found {_shown(found)}")


def _shown(value: object) -> str:
    """Show a value as JSON has it, if it is short."""
    if isinstance(value, Mapping | list | tuple):
        return "an object" if isinstance(value, Mapping) else "a list"
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
