"""How a source may be laid out, and what splits are for, as far as their names tell."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Literal

Layout = Literal["auto", "classes", "splits"]
OnStray = Literal["fail", "skip"]
Role = Literal["train", "validation", "test", "other"]

_WORDS: dict[str, Role] = {
    **dict.fromkeys(("train", "training", "trn", "trainval", "trainset"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "minival", "valset"), "validation"),
    **dict.fromkeys(("test", "testing", "tst", "eval", "evaluation", "testset"), "test"),
    **dict.fromkeys(("holdout", "heldout"), "test"),
    **dict.fromkeys(("extra", "fold", "query", "gallery", "unlabeled", "unlabelled"), "other"),
}
# Of words that are hardly ever the name of a class: "valid" and "dev" may well be one.
_PLAIN = re.compile(
    r"(train|training|trn|trainval|val|validation|test|testing|tst)"
    r"([ _-]?(\d+|[a-z]|set|images|imgs|data|split))?",
    re.IGNORECASE,
)
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_WORD = re.compile(r"[a-z]+")


def role_of(split: str) -> Role | None:
    """Tell what a split is for by its first or last word; None if it is not usually named so.

    >>> role_of("Training"), role_of("val2017"), role_of("seg_test"), role_of("animals")
    ('train', 'validation', 'test', None)
    """
    return _role_and_rest(split)[0]


def _role_and_rest(name: str) -> tuple[Role | None, tuple[str, ...]]:
    """Give what a split is for, and the words of its name that do not tell that."""
    words = tuple(_WORD.findall(_CAMEL.sub(" ", name).lower()))
    if words and words[0] in _WORDS:
        return _WORDS[words[0]], words[1:]
    if words and words[-1] in _WORDS:
        return _WORDS[words[-1]], words[:-1]
    return None, words


def is_plainly_a_split(name: str) -> bool:
    """Tell whether a folder is so plainly named as a split that it is hardly a class.

    >>> is_plainly_a_split("test1"), is_plainly_a_split("bullet_train"), is_plainly_a_split("val")
    (True, False, True)
    """
    return _PLAIN.fullmatch(name) is not None


def named_like_splits(names: Sequence[str]) -> list[str]:
    """Find the folders that are hardly classes by what they, or two of them, are called.

    >>> named_like_splits(["cars_test", "cars_train"]), named_like_splits(["cat", "test1"])
    (['cars_test', 'cars_train'], ['test1'])
    >>> named_like_splits(["bullet_train", "test_tube"])
    []
    """
    roles: defaultdict[tuple[str, ...], set[Role]] = defaultdict(set)
    for name in names:
        role, rest = _role_and_rest(name)
        roles[rest] |= {role} if role and role != "other" else set()
    return [
        name
        for name in names
        if is_plainly_a_split(name) or (role_of(name) and len(roles[_role_and_rest(name)[1]]) > 1)
    ]


def training_splits(splits: Iterable[str]) -> tuple[str, ...]:
    """Choose the splits whose images are trained on, which a mean is to be of.

    That called ``train`` in any case; else those named like it; else all that are not named like
    a validation or a test split; else all.

    >>> training_splits(["Test", "Training"]), training_splits(["a", "b", "val"])
    (('Training',), ('a', 'b'))
    """
    splits = tuple(splits)
    exact = tuple(name for name in splits if name.lower() == "train")
    named = tuple(name for name in splits if role_of(name) == "train")
    kept = tuple(name for name in splits if role_of(name) not in ("validation", "test"))
    return exact or named or kept or splits
