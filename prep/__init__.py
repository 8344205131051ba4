"""Turn labelled images into training-ready TFRecord shards and their mean RGB, with Dask.

The names in ``__all__``, ``__version__`` and the module ``torch`` are the whole public interface.
Each is loaded when it is first used, so ``import prep`` is quick, and only ``load`` needs
TensorFlow, and only ``torch`` PyTorch. Public functions name the nearest of their keywords if one
is mistyped.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable
from types import FunctionType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from prep.text import unknown

if TYPE_CHECKING:
    from prep.config.model import Config as Config
    from prep.display.callbacks import JsonLinesCallback as JsonLinesCallback
    from prep.display.callbacks import TqdmCallback as TqdmCallback
    from prep.display.page.page import report_page as report_page
    from prep.errors import PrepError as PrepError
    from prep.execution.clusters.connect import cluster as cluster
    from prep.execution.clusters.session import close_cluster as close_cluster
    from prep.monitoring.events import Callback as Callback
    from prep.monitoring.events import StopRun as StopRun
    from prep.operations.averaging.mean import mean_rgb as mean_rgb
    from prep.operations.averaging.mean_report import MeanReport as MeanReport
    from prep.operations.background import RunHandle as RunHandle
    from prep.operations.background import start as start
    from prep.operations.growth.merge import merge as merge
    from prep.operations.outlook import plan as plan
    from prep.operations.run import run as run
    from prep.operations.tools.export import ExportReport as ExportReport
    from prep.operations.tools.export import export as export
    from prep.operations.tools.image_search import find as find
    from prep.operations.tools.lookup import show as show
    from prep.operations.tools.reindexing import IndexReport as IndexReport
    from prep.operations.tools.reindexing import index as index
    from prep.operations.tools.split_lists import save_splits as save_splits
    from prep.operations.verify import VerificationReport as VerificationReport
    from prep.operations.verify import verify as verify
    from prep.output.report.report import RunReport as RunReport
    from prep.planning.plan import RunPlan as RunPlan
    from prep.training.image_dataset import open as open
    from prep.training.orders.mixture import mix as mix
    from prep.training.orders.order import Order as Order
    from prep.training.tensorflow.loading import load as load

_HOMES = {
    "Callback": "monitoring.events",
    "Config": "config.model",
    "ExportReport": "operations.tools.export",
    "IndexReport": "operations.tools.reindexing",
    "JsonLinesCallback": "display.callbacks",
    "MeanReport": "operations.averaging.mean_report",
    "Order": "training.orders.order",
    "PrepError": "errors",
    "RunHandle": "operations.background",
    "RunPlan": "planning.plan",
    "RunReport": "output.report.report",
    "StopRun": "monitoring.events",
    "TqdmCallback": "display.callbacks",
    "VerificationReport": "operations.verify",
    "close_cluster": "execution.clusters.session",
    "cluster": "execution.clusters.connect",
    "export": "operations.tools.export",
    "find": "operations.tools.image_search",
    "index": "operations.tools.reindexing",
    "load": "training.tensorflow.loading",
    "mean_rgb": "operations.averaging.mean",
    "merge": "operations.growth.merge",
    "mix": "training.orders.mixture",
    "open": "training.image_dataset",
    "plan": "operations.outlook",
    "report_page": "display.page.page",
    "run": "operations.run",
    "save_splits": "operations.tools.split_lists",
    "show": "operations.tools.lookup",
    "start": "operations.background",
    "verify": "operations.verify",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return importlib.import_module("prep.settings.distribution").version()
    if name == "torch":
        return importlib.import_module("prep.torch")
    if name not in _HOMES:
        raise AttributeError(f"module 'prep' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"prep.{_HOMES[name]}"), name)
    if isinstance(value, FunctionType):
        value = importlib.import_module("prep.__init__").checked(value)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__


P = ParamSpec("P")
R = TypeVar("R")


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """Wrap a function so that it names the nearest of its keywords if one is mistyped.

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
    from prep.config.model import Config

    if "config" in keywords and name in Config.model_fields:
        return f"is a key of the configuration; expected prep.Config({name}=…) as 'config'"
    return unknown("keyword", name, keywords)
