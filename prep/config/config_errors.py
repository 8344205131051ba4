"""Errors about values that keys may not have, each in one line."""

from __future__ import annotations

from typing import Any

from pydantic import (
    ValidationError,
)

from prep.errors import UsageError
from prep.settings.keys import ARTICLE_KEYS, KEYS
from prep.storage.arguments import LOCATIONS
from prep.storage.urls import hide_credentials
from prep.text import (
    brief,
    kind_of,
    nearest,
    one_line,
    shown,
    unknown,
)


def explain(error: ValidationError) -> str:
    """Name each key that is wrong, its value, and what is allowed."""
    lines: dict[str, str] = {}
    meant = set[str | None]()
    for item in error.errors():
        key = str(item["loc"][0]) if item["loc"] else "config"
        raised = item.get("ctx", {}).get("error")
        if isinstance(raised, UsageError):
            lines[key] = str(raised)
        elif item["type"] == "extra_forbidden":
            known = (*KEYS, *ARTICLE_KEYS)
            lines[key] = f"{brief(one_line(key))}: {unknown('key', key, known)}"
            near = nearest(key, known)
            meant.add(ARTICLE_KEYS.get(near, near) if near else None)
        elif item["type"] == "missing":
            lines[key] = f"{key}: missing; expected {KEYS[key].allowed}"
        else:
            found, expected = _shown(key, item["input"]), KEYS[key].allowed
            lines.setdefault(key, f"{key}: got {found}; expected {expected}")
    missing = {item["loc"][0] for item in error.errors() if item["type"] == "missing"}
    return "; ".join(line for key, line in lines.items() if key not in missing & meant)


def _shown(key: str, value: Any) -> str:
    if key == "storage_options":
        return kind_of(value)
    if key in LOCATIONS and isinstance(value, (list, tuple, bytes)):
        return kind_of(value)  # There may be URLs with credentials in it.
    return shown(hide_credentials(value) if isinstance(value, str) else value)
