"""Draw a random sample of images, the same one in every process and at every time."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from prep.errors import ConfigError
from prep.planning.splitting.scores import as_fractions, scores_of
from prep.text import shown

_LEAST = 2  # images, for a standard error


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomDraw:
    """A simple random sample of images, drawn by a hash of their names.

    A larger fraction draws the same images and more; another seed draws others.

    Attributes:
        fraction: of the images, above 0 and below 1.
        seed: a whole number.
        folder: how many characters of a path are left out of a name, so that a set that was moved
            has the same sample.
    """

    fraction: float
    seed: int = 0
    folder: int = 0

    def among(self, paths: Sequence[str]) -> RandomDraw:
        """Return the sample of images below the folder that all paths have in common."""
        # Of URLs as well, and of names whose order is that of their characters.
        common = os.path.commonprefix([min(paths), max(paths)])  # noqa: RUF071
        return replace(self, folder=common.rfind("/") + 1)

    def files(self, paths: Sequence[str]) -> list[str]:
        """Return the drawn files, in their order: two or more, if there are so many."""
        number = min(len(paths), max(_LEAST, round(self.fraction * len(paths))))
        scores = scores_of(self.seed, map(self._name, paths))
        return [paths[row] for row in sorted(np.argsort(scores, kind="stable")[:number].tolist())]

    def of_shard(self, path: str) -> ShardSample:
        """Return which records of a shard are drawn."""
        return ShardSample(self, self._name(path))

    def _name(self, path: str) -> bytes:
        return os.fsencode(path[self.folder :])


class ShardSample:
    """The drawn records of a shard, each drawn by itself, because nobody knows how many there are.

    Of a given number that was drawn, every set is as likely, as in any simple random sample.
    """

    def __init__(self, sample: RandomDraw, name: bytes) -> None:
        self._sample = sample
        self._name = name

    def draws(self, number: int) -> bool:
        """Return whether a record is drawn, by its number in the shard, from 0."""
        key = b"%s\0%d" % (self._name, number)
        return bool(as_fractions(scores_of(self._sample.seed, [key]))[0] < self._sample.fraction)


def parse_sample(fraction: object, seed: object) -> RandomDraw:
    """Return the sample that was asked for.

    Raises:
        ConfigError: a value is not allowed.
    """
    if isinstance(fraction, bool) or not isinstance(fraction, int | float) or not 0 < fraction < 1:
        raise ConfigError(
            f"sample: got {shown(fraction)}; expected a fraction of the images, above 0 and below "
            "1, such as 0.1"
        )
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 1 << 32:
        raise ConfigError(f"seed: got {shown(seed)}; expected a whole number from 0 to 2^32 - 1")
    return RandomDraw(fraction=float(fraction), seed=seed)
