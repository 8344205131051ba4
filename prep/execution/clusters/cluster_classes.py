"""The cluster classes that a spec may name, and the keywords that they take.

Dask's packages hold functions that run any code they are given. Only what starts a cluster is
called.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any

from distributed import LocalCluster, Nanny, SSHCluster, Worker
from distributed.deploy.cluster import Cluster

from prep.execution.clusters.spec import ClusterSpec
from prep.execution.workarounds import ignoring_signal_handlers
from prep.text import shown


def class_of(spec: ClusterSpec) -> Callable[..., Any]:
    """Return the class that starts the cluster of a spec, without calling it.

    Raises:
        ConfigError: there is no such class, it is not a cluster class, or it does not take the
            spec's keywords.
    """
    try:
        with ignoring_signal_handlers():
            module = importlib.import_module(str(spec.module))
    except Exception as error:  # Whatever a foreign module trips over.
        raise spec.error(
            ("module",), f"can't load {spec.module!r}: {error}; is its package installed?"
        ) from None
    name = str(spec.class_)
    kind: Callable[..., Any] | None = getattr(module, name, None)
    if kind is None or not _starts_a_cluster(kind):
        known = [known for known, value in vars(module).items() if _starts_a_cluster(value)]
        wrong = "there is no such class" if kind is None else "it is not a cluster class"
        expected = (
            ", ".join(difflib.get_close_matches(name, known, n=1) or sorted(known))
            or "a class of clusters, such as dask.distributed, LocalCluster"
        )
        raise spec.error(
            ("class",), f"got {shown(name)} of {spec.module}: {wrong}; expected {expected}"
        )
    if kind is LocalCluster:
        _require_known_keywords(spec)
    return kind


def _starts_a_cluster(kind: Any) -> bool:
    if not inspect.isclass(kind):
        return kind is SSHCluster  # A function.
    # Dask Gateway's is no subclass, but does the same.
    alike = all(hasattr(kind, name) for name in ("scale", "adapt", "close", "__exit__"))
    return kind is not Cluster and (issubclass(kind, Cluster) or alike)


def _require_known_keywords(spec: ClusterSpec) -> None:
    """Raise ConfigError for keywords that ``LocalCluster`` would pass on, for workers to fail."""
    known = {*_keywords(LocalCluster), *_keywords(Nanny), *_keywords(Worker)}
    for key in spec.kwargs:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            meant = f"; did you mean {near[0]}?" if near else ""
            raise spec.error(("kwargs", key), f"{spec.class_} takes no such keyword{meant}")
    for key, least in (("n_workers", 0), ("threads_per_worker", 1)):
        value = spec.kwargs.get(key)
        if value is not None and (type(value) is not int or value < least):
            raise spec.error(
                ("kwargs", key),
                f"got {shown(value)}; expected a whole number of at least {least}",
            )


def _keywords(kind: type) -> Iterator[str]:
    for base in inspect.getmro(kind):
        if "__init__" in vars(base):
            yield from inspect.signature(vars(base)["__init__"]).parameters
