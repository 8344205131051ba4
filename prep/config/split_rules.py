"""The ``split`` of a configuration: which splits are made of a pool of images, and how."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, NamedTuple

from prep.errors import ConfigError
from prep.settings.output_names import require_split_name
from prep.sources.folders.names import role_of
from prep.sources.labelling.label_rules import read_pairs
from prep.storage.arguments import parse_count
from prep.text import nearest, one_line, quoted, shown

#: ``exact``: the same share of every class. ``hash``: an image never moves when others are added.
By = Literal["exact", "hash"]
_KEYS = ("of", "by", "group", "folds", "fold")
#: The split that the held-out fold becomes.
HELD_OUT = "val"
_ROLES = ("test", "validation")
_SHARE = "a fraction between 0 and 1, or a whole number of images"


class PoolPart(NamedTuple):
    """A part of a pool: the split that it becomes, and its share of the images."""

    split: str
    share: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitRules:
    """The splits to make of a pool of images.

    Attributes:
        shares: by split, a fraction of the pool or a number of its images. Test splits come first,
            then validation splits, then others, by name: the order in which they are written makes
            no difference, and a validation split that is added later takes nothing of the test
            split.
        of: the split that is the pool, and keeps what is left; None for ``train``, or else the
            only split.
        by: how images are chosen.
        group: a column, or a regular expression with ``(?P<group>…)`` that is searched for in the
            name of an image; the images of a group stay together.
        folds: number of equal parts of what ``shares`` leave, or None.
        fold: the part, from 0, that becomes the split ``val``.
    """

    shares: Mapping[str, int | float]
    of: str | None = None
    by: By = "exact"
    group: str | None = None
    folds: int | None = None
    fold: int | None = None

    @classmethod
    def parse(cls, value: Any) -> SplitRules:
        """Read a mapping, or ``KEY=VALUE,…`` or JSON as text.

        Raises:
            ConfigError: a value is not allowed, or no split is named.
        """
        if isinstance(value, SplitRules):
            return value
        given = {name: of for name, of in read_pairs("split", value).items() if of is not None}
        shares = {name: _share(name, of) for name, of in given.items() if name not in _KEYS}
        rules = cls(
            shares=dict(sorted(shares.items(), key=lambda item: _rank(item[0]))),
            of=_name("split.of", given["of"]) if "of" in given else None,
            by=_way(given.get("by", "exact")),
            group=_group(given["group"]) if "group" in given else None,
            folds=_whole("folds", given["folds"], 2) if "folds" in given else None,
            fold=_whole("fold", given["fold"], 0) if "fold" in given else None,
        )
        rules._require_folds()
        rules._require_shares()
        return rules

    def to_json(self) -> dict[str, Any]:
        """Return the mapping that :meth:`parse` reads; what is as by default is left out."""
        by = None if self.by == "exact" else self.by
        others: dict[str, Any] = {"of": self.of, "by": by, "group": self.group}
        others |= {"folds": self.folds, "fold": self.fold}
        return {**self.shares, **{name: of for name, of in others.items() if of is not None}}

    @property
    def made(self) -> tuple[str, ...]:
        """The names of the splits that are made."""
        return (*self.shares, HELD_OUT) if self.folds else tuple(self.shares)

    @property
    def group_column(self) -> str | None:
        """The column that ``group`` names; None if it is a regular expression, or nothing."""
        return None if self.group is None or is_group_pattern(self.group) else self.group

    def parts(self, pool: str, images: int) -> list[PoolPart]:
        """Return the parts of a pool, which add up to all of it; the last one is of the pool.

        Args:
            pool: its name.
            images: how many it has.

        Raises:
            ConfigError: more are asked for than it has.
        """
        parts = [
            PoolPart(name, Fraction(of, images) if isinstance(of, int) else Fraction(str(of)))
            for name, of in self.shares.items()
        ]
        left = 1 - sum((part.share for part in parts), Fraction())
        if left <= 0:
            told = ", ".join(f"{name}: {of:,}" for name, of in self.shares.items())
            raise ConfigError(
                f"split: got {told}, which leaves none of the {images:,} images of split "
                f"{quoted(pool)}; ask for fewer"
            )
        if not self.folds:
            return [*parts, PoolPart(pool, left)]
        held_out = [HELD_OUT if n == self.fold else pool for n in range(self.folds)]
        return [*parts, *(PoolPart(name, left / self.folds) for name in held_out)]

    def _require_folds(self) -> None:
        """Raise ConfigError unless there are both folds and a fold, or neither."""
        if (self.folds is None) != (self.fold is None):
            absent = "fold" if self.fold is None else "folds"
            expected = "the one to hold out, from 0" if absent == "fold" else "their number"
            raise ConfigError(f"split.{absent}: missing; expected {expected}")
        if self.folds is None or self.fold is None:
            return
        if self.fold >= self.folds:
            raise ConfigError(
                f"split.fold: got {self.fold}; expected a number from 0 to {self.folds - 1}, for "
                f"there are {self.folds} folds"
            )
        if HELD_OUT in self.shares:
            raise ConfigError(
                f"split.{HELD_OUT}: got {self.shares[HELD_OUT]}, and with folds, fold {self.fold} "
                f"is the split {quoted(HELD_OUT)}; leave one of them out"
            )

    def _require_shares(self) -> None:
        """Raise ConfigError unless the splits to make can be made of some pool."""
        if not self.shares and not self.folds:
            raise ConfigError(
                "split: names no split to make; expected names with the share of each, such as "
                "test: 0.1, or folds"
            )
        if self.of in self.made:
            raise ConfigError(
                f"split.of: got {quoted(self.of)}, which is also a split to make; expected the "
                "split that they are made of"
            )
        alike = {name.casefold(): name for name in self.made}
        for name in self.made:
            if alike[name.casefold()] != name:
                raise ConfigError(
                    f"split.{name}: differs from {quoted(alike[name.casefold()])} only in case, "
                    "and some disks keep both in one folder; give one of them another name"
                )
        fractions = [Fraction(str(of)) for of in self.shares.values() if isinstance(of, float)]
        if sum(fractions) >= 1:
            raise ConfigError(
                f"split: got fractions that add up to {float(sum(fractions)):g}; expected less "
                "than 1, for the rest stays in the pool"
            )
        counts = {name: of for name, of in self.shares.items() if isinstance(of, int)}
        if counts and self.by == "hash":
            name, of = next(iter(counts.items()))
            raise ConfigError(
                f"split.{name}: got {of:,} images, and by: hash takes a fraction, so that no image "
                "moves when others are added; give a fraction, or by: exact"
            )


def is_group_pattern(group: str) -> bool:
    """Return whether a ``group`` is a regular expression, and not the name of a column."""
    return "(?P<group>" in group


def _rank(name: str) -> tuple[int, str]:
    role = role_of(name)
    return _ROLES.index(role) if role in _ROLES else len(_ROLES), name


def _name(key: str, name: Any) -> str:
    try:
        return require_split_name(name)
    except ValueError as error:
        raise ConfigError(f"{key}: {error}") from None


def _share(name: str, value: Any) -> int | float:
    key = f"split.{one_line(name)}"
    near = nearest(name, _KEYS)
    hint = f"; did you mean {near}?" if near else ""
    number = fraction_or_count(value)
    if number is None or not (number >= 1 if isinstance(number, int) else 0 < number < 1):
        raise ConfigError(f"{key}: got {shown(value)}; expected {_SHARE}{hint}")
    _name(key, name)
    return number


def fraction_or_count(value: Any) -> int | float | None:
    """Return a number of images, or a fraction of them, that may be text; None if it is neither.

    >>> fraction_or_count("0.1"), fraction_or_count("50k"), fraction_or_count(True)
    (0.1, 50000, None)
    >>> fraction_or_count("1.0"), fraction_or_count("1")
    (1.0, 1)
    """
    if isinstance(value, str):
        try:
            value = float(value) if "." in value else parse_count(value)
        except ValueError:
            value = parse_count(value)  # 1.5k
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value


def _whole(key: str, value: Any, least: int) -> int:
    number = parse_count(value)
    if isinstance(number, bool) or not isinstance(number, int) or number < least:
        raise ConfigError(
            f"split.{key}: got {shown(value)}; expected a whole number of at least {least}"
        )
    return number


def _way(value: Any) -> By:
    if value == "exact":
        return "exact"
    if value == "hash":
        return "hash"
    raise ConfigError(f"split.by: got {shown(value)}; expected exact or hash")


def _group(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ConfigError(
            f"split.group: got {shown(value)}; expected the name of a column, or a regular "
            "expression with (?P<group>…)"
        )
    if is_group_pattern(value):
        try:
            re.compile(value)
        except re.error as error:
            raise ConfigError(
                f"split.group: got {quoted(value)}, which is no regular expression: {error}"
            ) from None
    return value
