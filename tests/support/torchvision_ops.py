"""torchvision beside a torch that its C++ operators were not built for."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest


def load_torchvision() -> Any:
    """Import torchvision; skip the test without it.

    Its operators don't load beside a CPU build of torch. None of them is used in tests.
    """
    torch = pytest.importorskip("torch")
    if importlib.util.find_spec("torchvision") is None:
        pytest.skip("no torchvision")

    try:
        import torchvision
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _KEPT.append(library)
        import torchvision
    return torchvision


_KEPT: list[Any] = []  # A library is undone with its object.
