"""Which images there are, and of which class and split.

What lists them is loaded when it is first used: whether there is a source is known without.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from prep.catalog.passed import Ignored
from prep.catalog.root import require_folder

if TYPE_CHECKING:
    from prep.catalog.folders import Catalog, scan_folders

__all__ = ["Catalog", "Ignored", "require_folder", "scan_folders"]


def __getattr__(name: str) -> Any:
    if name not in ("Catalog", "scan_folders"):
        raise AttributeError(f"module 'prep.catalog' has no attribute {name!r}")
    value = getattr(importlib.import_module("prep.catalog.folders"), name)
    globals()[name] = value
    return value
