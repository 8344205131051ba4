"""How a source may be laid out, and what splits are for, as far as their names tell."""

from __future__ import annotations

import re
from collections.abc import Iterable
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
    words = _WORD.findall(_CAMEL.sub(" ", split).lower())
    roles = (_WORDS.get(word) for word in (*words[:1], *words[-1:]))
    return next((role for role in roles if role), None)


def is_plainly_a_split(name: str) -> bool:
    """Tell whether a folder is so plainly named as a split that it is hardly a class.

    >>> is_plainly_a_split("test1"), is_plainly_a_split("bullet_train"), is_plainly_a_split("val")
    (True, False, True)
    """
    return _PLAIN.fullmatch(name) is not None


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
