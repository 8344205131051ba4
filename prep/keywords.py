"""Keywords of public functions that are mistyped: which one may be meant."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from prep.text import unknown

P = ParamSpec("P")
R = TypeVar("R")


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """Have a function name the nearest of its keywords where it is given one that it has not.

    >>> checked(lambda *, overwrite: None)(overwite=True)
    Traceback (most recent call last):
    TypeError: prep.<lambda>: overwite: unknown keyword; did you mean 'overwrite'?
    """
    keywords = list(inspect.signature(function).parameters)

    @functools.wraps(function)
    def called(*args: P.args, **given: P.kwargs) -> R:
        for name in given:
            if name not in keywords:
                raise TypeError(f"prep.{function.__name__}: {name}: {_told(name, keywords)}")
        return function(*args, **given)

    return called


def _told(name: str, keywords: list[str]) -> str:
    from prep.config import Config  # A mistake may cost more than what is right.

    if "config" in keywords and name in Config.model_fields:
        return f"is a key of the configuration; expected prep.Config({name}=…) as 'config'"
    return unknown("keyword", name, keywords)
