"""Sizes and aspects of images, as histograms over fixed bins, which add up exactly."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from prep.parsing import Fields, whole

K = TypeVar("K")

#: Bins per doubling of the shorter side; the first begins at one pixel.
SIDES_PER_OCTAVE = 8
#: Bins per doubling of the aspect, centred on their values, so that square images have their own.
ASPECTS_PER_OCTAVE = 16
_OCTAVES = 32  # of the longest side that any format has room for


@dataclass(frozen=True, slots=True, kw_only=True)
class Dimensions:
    """Numbers of source images by shorter side and by aspect, upright.

    Attributes:
        sides: images by bin b, for shorter sides from 2^(b / 8) up to 2^((b + 1) / 8) pixels.
        aspects: images by bin b, for width / height within a 32nd of an octave of 2^(b / 16).

    >>> few = Dimensions.of({(640, 480): 2, (500, 500): 1})
    >>> dict(few.aspects)
    {7: 2, 0: 1}
    >>> Dimensions.sum([few, few]).images
    6
    """

    sides: Mapping[int, int] = field(default_factory=dict)
    aspects: Mapping[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, shapes: Mapping[tuple[int, int], int]) -> Dimensions:
        """Sort numbers of images by (width, height), in pixels, into the bins."""
        sides: Counter[int] = Counter()
        aspects: Counter[int] = Counter()
        for (width, height), images in shapes.items():
            sides[math.floor(SIDES_PER_OCTAVE * math.log2(min(width, height)))] += images
            aspects[round(ASPECTS_PER_OCTAVE * math.log2(width / height))] += images
        return cls(sides=dict(sides), aspects=dict(aspects))

    @classmethod
    def sum(cls, parts: Iterable[Dimensions]) -> Dimensions:
        """Add them up."""
        parts = list(parts)
        return cls(
            sides=add_counts(part.sides for part in parts),
            aspects=add_counts(part.aspects for part in parts),
        )

    @property
    def images(self) -> int:
        """The number of images."""
        return sum(self.sides.values())

    @classmethod
    def from_json(cls, value: object) -> Dimensions:
        """Read the JSON of ``dataclasses.asdict``; raise ValueError for anything else."""
        fields = Fields(value, "dimensions")
        sides = _numbered(fields.counts("sides", least=1), 0, SIDES_PER_OCTAVE * _OCTAVES)
        widest = ASPECTS_PER_OCTAVE * _OCTAVES
        aspects = _numbered(fields.counts("aspects", least=1), -widest, widest)
        fields.end()
        if sum(sides.values()) != sum(aspects.values()):
            raise ValueError("dimensions: expected as many sides as aspects")
        return cls(sides=sides, aspects=aspects)


def _numbered(bins: Mapping[str, int], least: int, most: int) -> dict[int, int]:
    if len(bins) > most - least + 1:
        raise ValueError(f"dimensions: expected bins from {least} to {most}, found more")
    return {whole(_integer(name), "bin", least, most): images for name, images in bins.items()}


def _integer(name: str) -> int | str:
    return int(name) if re.fullmatch(r"-?[0-9]{1,4}", name) else name


def add_counts(parts: Iterable[Mapping[K, int]]) -> dict[K, int]:
    """Add up numbers by name.

    >>> add_counts([{"cat": 1, "dog": 2}, {"cat": 3}])
    {'cat': 4, 'dog': 2}
    """
    added: Counter[K] = Counter()
    for part in parts:
        added.update(part)
    return dict(added)
