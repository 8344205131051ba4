"""Temporary names: hidden, unique to the attempt, and told from everybody else's."""

from __future__ import annotations

import re
import uuid

SUFFIX = ".partial"
_NAME = re.compile(rf"\.(?:(?P<tag>\d+)\.)?[0-9a-f]{{32}}{re.escape(SUFFIX)}")


def temporary_name(tag: str = "") -> str:
    """A new one.

    Args:
        tag: digits by which attempts at the same thing are found.
    """
    return f".{tag}{'.' if tag else ''}{uuid.uuid4().hex}{SUFFIX}"


def is_temporary(name: str, tag: str | None = None) -> bool:
    """Whether a name is a temporary one; with this tag (or with none, if that is empty)."""
    return _NAME.fullmatch(name) is not None and tag in (None, tag_of(name) or "")


def tag_of(name: str) -> str | None:
    """The tag in a temporary name; None where there is none."""
    match = _NAME.fullmatch(name)
    return match["tag"] if match else None
