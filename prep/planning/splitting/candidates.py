"""Candidates: the images of a pool, and the part that each of them goes to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from prep.config.split_rules import By
from prep.planning.splitting.apportionment import apportion
from prep.planning.splitting.group_shares import divide_units
from prep.planning.splitting.groups import Groups
from prep.planning.splitting.scores import Scores, as_fractions

_Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """The images of a pool, in the order of their classes and names.

    Attributes:
        classes: the class of each.
        scores: the score of each.
        groups: the group of each, or None.
        settled: the part of each that has one already, and else -1.
    """

    classes: _Numbers
    scores: Scores
    groups: Groups | None
    settled: _Numbers

    def divide(self, by: By, shares: Sequence[Fraction]) -> _Numbers:
        """Return the part of each image, of parts with these shares, which add up to 1."""
        if by == "hash":
            chosen = self._by_hash(shares)
        elif self.groups is not None:
            units = self.groups.units()
            chosen = divide_units(units, self.classes, self.scores, shares, self.settled)
        else:
            chosen = self._exactly(shares)
        return np.where(self.settled >= 0, self.settled, chosen)

    def _by_hash(self, shares: Sequence[Fraction]) -> _Numbers:
        """Return the part whose stretch of the numbers from 0 to 1 the score of an image is in."""
        bounds = [float(bound) for bound in accumulate(shares[:-1])]
        return np.searchsorted(bounds, as_fractions(self.scores), side="right")

    def _exactly(self, shares: Sequence[Fraction]) -> _Numbers:
        """Return parts with the same share of every class: the lowest scores in the first part."""
        sizes = np.bincount(self.classes)
        counts = apportion(sizes.tolist(), shares)
        free = np.flatnonzero(self.settled < 0)
        if len(free) < len(self.classes):
            counts = self._open_places(counts)
        order = free[np.lexsort((self.scores[free], self.classes[free]))]  # Ties stay by name.
        chosen = self.settled.copy()
        parts = np.tile(np.arange(len(shares)), len(sizes))
        chosen[order] = np.repeat(parts, counts.reshape(-1))
        return chosen

    def _open_places(self, counts: _Numbers) -> _Numbers:
        """Return how many images of each class each part lacks; the last part takes the rest."""
        there = np.zeros_like(counts)
        rows = np.flatnonzero(self.settled >= 0)
        np.add.at(there, (self.classes[rows], self.settled[rows]), 1)
        free = counts.sum(axis=1) - there.sum(axis=1)
        lacking = np.maximum(counts - there, 0)[:, :-1]
        taken = np.minimum(lacking.cumsum(axis=1), free[:, None])
        return np.diff(np.column_stack([np.zeros_like(free), taken, free]), axis=1)
