"""The bits in use in images that claim 16 bits per sample, and warnings if ``depth`` is wrong.

Cameras and scanners store 10, 12 or 14 bits in files of 16, mostly the lower ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from prep.text import counted, quoted, some

FULL = 16


class Deep(NamedTuple):
    """A number of images that claim 16 bits per sample, and the bits of their largest sample."""

    images: int
    bits: int

    def __add__(self, other: Deep) -> Deep:  # type: ignore[override]
        return Deep(self.images + other.images, max(self.bits, other.bits))


@dataclass(frozen=True, slots=True, kw_only=True)
class Depths:
    """Written images that claim 16 bits per sample, by class.

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
        """Return the sum over all classes."""
        return sum(self.classes.values(), Deep(0, 0))

    def for_report(self) -> dict[str, Any]:
        """Return the JSON for a report."""
        return {name: deep._asdict() for name, deep in sorted(self.classes.items())}

    @classmethod
    def of_report(cls, value: object) -> Depths:
        """Read the JSON of :meth:`for_report`; raise ValueError for anything else."""
        shown = value if isinstance(value, dict) else {"": None}
        return cls(
            classes={
                name: _deep([deep.get("images"), deep.get("bits")] if isinstance(deep, dict) else 0)
                for name, deep in shown.items()
            }
        )

    @classmethod
    def from_json(cls, value: object) -> Depths:
        """Read the JSON of ``dataclasses.asdict``; raise ValueError for anything else."""
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


# Bits of cameras and scanners; 8 bits are of programs that store them in 16.
_USUAL = (8, 10, 12, 14)


def depth_warnings(splits: Mapping[str, Depths], depth: int) -> list[str]:
    """Return a warning for each split, or some of its classes, whose samples ``depth`` misfits.

    Args:
        splits: depths of the written images, by split.
        depth: the number of bits that were taken to be in use.
    """
    lines = []
    most = max((depths.all().bits for depths in splits.values()), default=0)
    for split, depths in splits.items():
        where = f"of split {quoted(split)}"
        line = depth_warning(depths.all(), depth, where, most)
        dark = {name: deep for name, deep in depths.classes.items() if _holding(deep) < FULL}
        if not line and dark and depth == FULL:
            line = _some_too_dark(where, dark)
        lines += [line] if line else []
    return lines


def depth_warning(deep: Deep, depth: int, where: str = "of those sampled", most: int = 0) -> str:
    """Return a warning if ``depth`` misfits these images; empty if it fits.

    Args:
        most: the number of bits in use in all images that ``depth`` applies to.
    """
    if deep.bits > depth:
        return (
            f"{_described(deep)} {where}: values above {(1 << depth) - 1:,}, which depth: {depth} "
            f"makes white; prepare them with depth: {_holding(deep)}"
        )
    if depth == FULL and deep.images and _holding(deep) < FULL:
        return _too_dark(where, deep, apart=most > _holding(deep))
    return ""


def _holding(deep: Deep) -> int:
    """Return the smallest usual number of bits that holds the samples."""
    return next((bits for bits in _USUAL if bits >= deep.bits), FULL)


def _too_dark(where: str, deep: Deep, *, apart: bool) -> str:
    bits = _holding(deep)
    unlike, them = (", unlike in other splits", "them apart,") if apart else ("", "them")
    return (
        f"{_described(deep)} {where}: no value above {(1 << bits) - 1:,}{unlike}. "
        f"They hold {bits} bits, and {_levels(bits)}; prepare {them} with depth: {bits}"
    )


def _some_too_dark(where: str, dark: Mapping[str, Deep]) -> str:
    deep = sum(dark.values(), Deep(0, 0))
    bits = _holding(deep)
    names = some([quoted(name or "no label") for name in sorted(dark)])
    return (
        f"{_described(deep)} {where} in {counted(len(dark), 'class')} ({names}): no value "
        f"above {(1 << bits) - 1:,}, unlike in other classes. If they hold {bits} bits, they "
        f"{_levels(bits)}; prepare them apart, with depth: {bits}"
    )


def _described(deep: Deep) -> str:
    return f"{counted(deep.images, 'image')} of 16 bits a sample"


def _levels(bits: int) -> str:
    return f"come out in {1 << (bits - 8):,} of 256 levels, too dark"
