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
        """As a report shows them."""
        return {name: deep._asdict() for name, deep in sorted(self.classes.items())}

    @classmethod
    def of_report(cls, value: Mapping[str, Any]) -> Depths:
        """From what a report shows."""
        return cls(classes={name: Deep(**deep) for name, deep in value.items()})

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Depths:
        """From what ``dataclasses.asdict`` gave, after its way through JSON.

        Raises:
            KeyError, TypeError, ValueError: it is something else.
        """
        classes = {name: Deep(*numbers) for name, numbers in value["classes"].items()}
        for deep in classes.values():
            if not all(type(number) is int for number in deep) or not 8 <= deep.bits <= FULL:
                raise ValueError(f"expected a number of images and one of bits, found {deep}")
        return cls(classes=classes)
