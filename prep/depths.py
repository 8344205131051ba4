"""How many bits hold anything in images that claim 16 of them a sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

FULL = 16


class Deep(NamedTuple):
    """A number of such images, and how many bits the largest sample in any of them takes."""

    images: int
    bits: int

    def __add__(self, other: Deep) -> Deep:  # type: ignore[override]
        return Deep(self.images + other.images, max(self.bits, other.bits))


@dataclass(frozen=True, slots=True, kw_only=True)
class Depths:
    """Such images that were written, by class; all others are none of them.

    >>> few = Depths(classes={"cat": Deep(3, 11)}) + Depths(classes={"cat": Deep(2, 12)})
    >>> few.classes["cat"]
    Deep(images=5, bits=12)
    """

    classes: Mapping[str, Deep] = field(default_factory=dict)

    def __add__(self, other: Depths) -> Depths:
        both = dict(self.classes)
        for name, deep in other.classes.items():
            both[name] = both.get(name, Deep(0, 0)) + deep
        return Depths(classes=both)

    def all(self) -> Deep:
        """Those of all classes together."""
        return sum(self.classes.values(), Deep(0, 0))

    def for_report(self) -> dict[str, Any]:
        """Return them as a report shows them."""
        return {name: deep._asdict() for name, deep in sorted(self.classes.items())}

    @classmethod
    def of_report(cls, value: object) -> Depths:
        """Read what a report shows; raise ValueError where the value is something else."""
        shown = value if isinstance(value, dict) else {"": None}
        return cls(
            classes={
                name: _deep([deep.get("images"), deep.get("bits")] if isinstance(deep, dict) else 0)
                for name, deep in shown.items()
            }
        )

    @classmethod
    def from_json(cls, value: object) -> Depths:
        """Read what ``dataclasses.asdict`` gave, after its way through JSON.

        Raises:
            ValueError: it is something else.
        """
        classes = value.get("classes") if isinstance(value, dict) and len(value) == 1 else None
        if not isinstance(classes, dict):
            raise ValueError("depths: expected images and bits by class, found something else")
        return cls(classes={name: _deep(numbers) for name, numbers in classes.items()})


def _deep(numbers: object) -> Deep:
    if isinstance(numbers, list) and [type(number) for number in numbers] == [int, int]:
        images, bits = numbers
        if images >= 1 and 8 <= bits <= FULL:
            return Deep(images, bits)
    raise ValueError("depths: expected a number of images and one of bits, found something else")
