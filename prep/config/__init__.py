"""What a user may ask for, checked before any work begins.

The keys alone are light; the model, which checks their values, is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from prep.config.keys import ARTICLE_KEYS, KEYS, fingerprint_part

if TYPE_CHECKING:
    from prep.config.model import AnyConfig, Config
    from prep.config.values import Damaged, Encoding, Icc, Interpolation

__all__ = [
    "ARTICLE_KEYS",
    "KEYS",
    "AnyConfig",
    "Config",
    "Damaged",
    "Encoding",
    "Icc",
    "Interpolation",
    "fingerprint_part",
]

_HOMES = {
    **dict.fromkeys(("AnyConfig", "Config"), "prep.config.model"),
    **dict.fromkeys(("Damaged", "Encoding", "Icc", "Interpolation"), "prep.config.values"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'prep.config' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
