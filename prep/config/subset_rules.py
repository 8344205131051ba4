"""The ``subset`` of a configuration: how many images of each class are taken."""

from __future__ import annotations

from dataclasses import dataclass, fields
from fractions import Fraction
from typing import Any

from prep.config.split_rules import fraction_or_count
from prep.errors import ConfigError
from prep.settings.output_names import require_split_name
from prep.sources.labelling.label_rules import read_pairs
from prep.text import one_line, shown, unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class SubsetRules:
    """How many images of each class are taken, in each split.

    Attributes:
        fraction: the share of a class, or None for all of it.
        per_class: the most that is taken of a class, or None.
        min_per_class: the least that is taken of a class, as far as it has so many.
        of: the only split that images are left out of; None for all splits.
    """

    fraction: float | None = None
    per_class: int | None = None
    min_per_class: int = 0
    of: str | None = None

    @classmethod
    def parse(cls, value: Any) -> SubsetRules:
        """Read a mapping, or ``KEY=VALUE,…`` or JSON as text.

        Raises:
            ConfigError: a key is unknown, or a value not allowed.
        """
        if isinstance(value, SubsetRules):
            return value
        given = {name: of for name, of in read_pairs("subset", value).items() if of is not None}
        known = tuple(item.name for item in fields(cls))
        for key in given:
            if key not in known:
                raise ConfigError(f"subset.{one_line(key)}: {unknown('key', key, known)}")
        rules = cls(
            fraction=_fraction(given["fraction"]) if "fraction" in given else None,
            per_class=_count("per_class", given["per_class"]) if "per_class" in given else None,
            min_per_class=_count("min_per_class", given.get("min_per_class", 0)),
            of=_split(given["of"]) if "of" in given else None,
        )
        rules._require_sense()
        return rules

    def to_json(self) -> dict[str, Any]:
        """Return the mapping that :meth:`parse` reads; what is as by default is left out."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: value for name, value in values.items() if value not in (None, 0)}

    def taken(self, images: int) -> int:
        """Return how many images are taken of a class that has so many in a split.

        >>> [SubsetRules(fraction=0.1, min_per_class=10).taken(n) for n in (8, 50, 1300)]
        [8, 10, 130]
        """
        share = images
        if self.fraction is not None:
            share = int(Fraction(str(self.fraction)) * images + Fraction(1, 2))
        most = share if self.per_class is None else min(share, self.per_class)
        return min(max(most, self.min_per_class), images)

    def _require_sense(self) -> None:
        """Raise ConfigError unless some images are left out, and the bounds agree."""
        if self.fraction is None and self.per_class is None:
            raise ConfigError(
                "subset: leaves no image out; expected fraction, per_class or both of them"
            )
        if self.per_class is not None and self.min_per_class > self.per_class:
            raise ConfigError(
                f"subset.min_per_class: got {self.min_per_class:,}; expected {self.per_class:,} at "
                "most, for that is per_class"
            )


def _fraction(value: Any) -> float:
    number = fraction_or_count(value)
    if not isinstance(number, float) or not 0 < number < 1:
        raise ConfigError(f"subset.fraction: got {shown(value)}; expected a number between 0 and 1")
    return number


def _count(key: str, value: Any) -> int:
    number = fraction_or_count(value)
    least = 1 if key == "per_class" else 0
    if not isinstance(number, int) or number < least:
        raise ConfigError(
            f"subset.{key}: got {shown(value)}; expected a whole number of at least {least}"
        )
    return number


def _split(value: Any) -> str:
    try:
        return require_split_name(value)
    except ValueError as error:
        raise ConfigError(f"subset.of: {error}") from None
