"""Turn labelled images into training-ready TFRecord shards and their mean RGB, with Dask.

The names in ``__all__`` and ``__version__`` are the whole public interface. Each is loaded when it
is first used, so ``import prep`` is quick, and only ``load`` needs TensorFlow.
"""

from __future__ import annotations

import importlib
from types import FunctionType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prep.clusters import cluster
    from prep.config import Config
    from prep.dataset import load
    from prep.errors import PrepError
    from prep.handles import RunHandle, start
    from prep.means import MeanReport, mean_rgb
    from prep.outlook import plan
    from prep.planning import RunPlan
    from prep.report import RunReport
    from prep.runs import run
    from prep.sessions import close_cluster
    from prep.verification import VerificationReport, verify
    from prep.webpage import report_page

__all__ = [
    "Config",
    "MeanReport",
    "PrepError",
    "RunHandle",
    "RunPlan",
    "RunReport",
    "VerificationReport",
    "close_cluster",
    "cluster",
    "load",
    "mean_rgb",
    "plan",
    "report_page",
    "run",
    "start",
    "verify",
]

_HOMES = {
    "Config": "config",
    "MeanReport": "means",
    "PrepError": "errors",
    "RunHandle": "handles",
    "RunPlan": "planning",
    "RunReport": "report",
    "VerificationReport": "verification",
    "close_cluster": "sessions",
    "cluster": "clusters",
    "load": "dataset",
    "mean_rgb": "means",
    "plan": "outlook",
    "report_page": "webpage",
    "run": "runs",
    "start": "handles",
    "verify": "verification",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return importlib.import_module("prep.distribution").version()
    if name not in _HOMES:
        raise AttributeError(f"module 'prep' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"prep.{_HOMES[name]}"), name)
    if isinstance(value, FunctionType):
        value = importlib.import_module("prep.keywords").checked(value)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
