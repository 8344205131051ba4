"""Faults on purpose, for tests alone.

What a damaged image may do to a decoder (crash it, keep it busy for ever, eat all memory) depends
on bugs that are being mended. So tests put such faults in by themselves: ``PREP_TEST_FAULT`` names
an importable function, as ``module:function``, that is called with the bytes of each image before
it is decoded. It counts only where pytest runs a test, in this process or in one that started it.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable

_VARIABLE = "PREP_TEST_FAULT"
_SET_BY_PYTEST = "PYTEST_CURRENT_TEST"


def injected_fault() -> Callable[[bytes], object] | None:
    """The function that a test has named, if there is one."""
    name = os.environ.get(_VARIABLE)
    if name is None or _SET_BY_PYTEST not in os.environ:
        return None
    module, _, function = name.partition(":")
    found: Callable[[bytes], object] = getattr(importlib.import_module(module), function)
    return found
