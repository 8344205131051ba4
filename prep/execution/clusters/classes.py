"""The classes that a cluster spec may have called, and what they take.

Dask's packages hold functions that run any code they are given. Only what starts a cluster is
called.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import inspect
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

from distributed import LocalCluster, Nanny, SSHCluster, Worker
from distributed.deploy.cluster import Cluster

from prep.execution.clusters.spec import ClusterSpec
from prep.text import shown

# Those that Dask has as functions.
_FUNCTIONS = (SSHCluster,)

# One thread at a time puts something in the place of signal.signal, and takes it away again.
_loading = threading.Lock()


def class_of(spec: ClusterSpec) -> Callable[..., Any]:
    """What starts the cluster of a spec; nothing is called.

    Raises:
        ConfigError: there is none, or it is something else than a class of clusters, or does not
            take the keywords that it is to be given.
    """
    try:
        with _signals_kept():
            module = importlib.import_module(str(spec.module))
    except Exception as error:  # Whatever a foreign module trips over.
        raise spec.error(
            ("module",), f"can't load {spec.module!r}: {error}; is its package installed?"
        ) from None
    name = str(spec.class_)
    kind: Callable[..., Any] | None = getattr(module, name, None)
    if not _starts_a_cluster(kind):
        there = [known for known, value in vars(module).items() if _starts_a_cluster(value)]
        wrong = "there is no such class" if kind is None else "it is not a cluster class"
        raise spec.error(
            ("class",),
            f"got {shown(name)} of {spec.module}: {wrong}; expected {_one_of(name, there)}",
        )
    assert kind is not None
    _require_known(spec, kind)
    return kind


@contextlib.contextmanager
def _signals_kept() -> Iterator[None]:
    """dask-jobqueue has Ctrl-C end a process that loads it, at once, and as if all were well."""
    if threading.current_thread() is not threading.main_thread():
        with _no_handlers():
            yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            # One that was not installed from Python is None, and can't be put back.
            if handler is not None:
                signal.signal(number, handler)


@contextlib.contextmanager
def _no_handlers() -> Iterator[None]:
    """Has a module that is loaded in this thread, which may set no handlers, set none.

    Python would raise an error, and the module could not be loaded. All other threads go on to set
    theirs, and so does what the module does later.
    """
    here, loading = threading.current_thread(), True

    def passed_over(number: int, handler: Any) -> Any:
        if loading and threading.current_thread() is here:
            return signal.getsignal(number)
        return real(number, handler)

    with _loading:
        real = signal.signal
        signal.signal = passed_over  # type: ignore[assignment]
        try:
            yield
        finally:
            signal.signal = real
            loading = False


def _starts_a_cluster(kind: Any) -> bool:
    if inspect.isclass(kind):
        # Some, like Dask Gateway's, are no subclasses, and do the same.
        alike = all(hasattr(kind, name) for name in ("scale", "adapt", "close", "__exit__"))
        return kind is not Cluster and (issubclass(kind, Cluster) or alike)  # It starts nothing.
    return any(kind is function for function in _FUNCTIONS)


def _one_of(name: str, there: list[str]) -> str:
    near = difflib.get_close_matches(name, there, n=1)
    return (
        ", ".join(near or sorted(there))
        or "a class of clusters, such as dask.distributed, LocalCluster"
    )


def _require_known(spec: ClusterSpec, kind: Callable[..., Any]) -> None:
    """A ``LocalCluster`` hands what it does not know to its workers, which fail one by one."""
    if kind is not LocalCluster:
        return
    known = {*_keywords(LocalCluster), *_keywords(Nanny), *_keywords(Worker)}
    for key in spec.kwargs:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            meant = f"; did you mean {near[0]}?" if near else ""
            raise spec.error(("kwargs", key), f"{spec.class_} takes no such keyword{meant}")
    for key, least in (("n_workers", 0), ("threads_per_worker", 1)):
        value = spec.kwargs.get(key)
        if value is not None and (type(value) is not int or value < least):
            expected = f"a whole number of at least {least}"
            raise spec.error(("kwargs", key), f"got {shown(value)}; expected {expected}")


def _keywords(kind: type) -> Iterator[str]:
    for base in inspect.getmro(kind):
        if "__init__" in vars(base):
            yield from inspect.signature(vars(base)["__init__"]).parameters
