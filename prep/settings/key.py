"""What there is to say of a key of a configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


class _Required:
    """The default of a key that has none."""

    def __repr__(self) -> str:
        return "required"


REQUIRED = _Required()


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key of a configuration.

    Attributes:
        default: its value where none is given; ``REQUIRED`` where there is none.
        help: what it is for.
        words: what it may be, if it is one of several words.
        bounds: the least and the most that it may be, if it is a number.
        kind: what else it may be.
        decides_bytes: whether shards written with another value are others, as far as a plan can
            tell. If so, a run with another value does not continue what was begun with this one.
        part: the part of the fingerprint that shows it, if not its own value under its own name.
    """

    default: Any
    help: str
    words: tuple[str, ...] = ()
    bounds: tuple[int, int | None] | None = None
    kind: str = ""
    decides_bytes: bool
    part: str | None = None

    @property
    def allowed(self) -> str:
        """The allowed values, for error messages.

        >>> from prep.settings.keys import KEYS
        >>> KEYS["icc"].allowed, KEYS["quality"].allowed, KEYS["max_aspect"].allowed
        ('ignore or convert', 'a whole number from 1 to 100', 'a number of at least 1')
        """
        if self.words:
            return f"{', '.join(self.words[:-1])} or {self.words[-1]}"
        if self.bounds is None:
            return self.kind
        least, most = self.bounds
        number = "a number" if isinstance(self.default, float) else "a whole number"
        return (
            f"{number} of at least {least}" if most is None else f"{number} from {least} to {most}"
        )
