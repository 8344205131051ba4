"""Python on the pages of docs/, to be run by tests."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[2] / "docs"
_PART = re.compile(r"^(?:#+ (?P<heading>.+)|```python\n(?P<code>(?:.*\n)*?)```)$", re.MULTILINE)


def code_below(page: str, heading: str, *, last: bool = False) -> str:
    """Return the Python below a heading of a page, up to the next heading of any level.

    Args:
        last: only the last block of it.
    """
    found: dict[str, str] = {}
    current = ""
    for part in _PART.finditer((DOCS / page).read_text(encoding="utf-8")):
        if part["heading"]:
            current = part["heading"]
        else:
            before = "" if last else found.get(current, "")
            found[current] = before + part["code"] + "\n"
    return found[heading]


def run_below(page: str, heading: str, *, last: bool = False) -> dict[str, Any]:
    """Run the Python below a heading of a page here, and return the names that it sets."""
    names: dict[str, Any] = {"__name__": "page"}
    code = code_below(page, heading, last=last)
    exec(compile(code, f"{page}: {heading}", "exec"), names)
    return names
