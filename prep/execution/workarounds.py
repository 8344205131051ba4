"""Workarounds for faults of Dask and its companions.

Each docstring says in which version the fault was seen, where it was reported, and when the
workaround can go. For each, ``tests/execution/test_workarounds.py`` shows the fault without it, and
fails once the fault is gone. Those for what Dask only logs are in :mod:`prep.monitoring.noise`,
which the scheduler needs, too.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import dask
from dask.utils import parse_timedelta
from distributed import (
    CancelledError,
    Client,
    Future,
    LocalCluster,
    Nanny,
    SpecCluster,
    Status,
    Worker,
)
from distributed.comm.addressing import get_address_host_port

from prep.errors import ClusterError, UsageError

T = TypeVar("T")

_ABSENT = object()
_lock = threading.Lock()


# Configuration


# The settings of all open blocks, the newest last, and the values from before the first of them.
_open_settings: list[Mapping[str, Any]] = []
_original: dict[str, Any] = {}


@contextlib.contextmanager
def configured(settings: Mapping[str, Any]) -> Iterator[None]:
    """Set Dask's configuration within the block.

    If several blocks set the same key, the block that was entered last wins.

    Seen in dask 2026.8.0: ``dask.config.set`` changes one dictionary for all threads, and on exit
    restores the value that it found, be it that of a block that has ended in the meantime
    (https://github.com/dask/dask/issues/10340). Can go when it is local to a context.

    Args:
        settings: values by full name, such as ``distributed.comm.retry.count``.
    """
    ours = dict(settings)
    with _lock:
        for name in ours:
            _original.setdefault(name, dask.config.get(name, _ABSENT))
        _open_settings.append(ours)
    try:
        dask.config.set(ours)
        yield
    finally:
        with _lock:
            _open_settings[:] = [others for others in _open_settings if others is not ours]
            for name in ours:
                _restore(name)


def _restore(name: str) -> None:
    wanted = [others[name] for others in _open_settings if name in others]
    value = wanted[-1] if wanted else _original.pop(name)
    if value is not _ABSENT:
        dask.config.set({name: value})
        return
    place = dask.config.config
    *folders, last = name.split(".")
    with contextlib.suppress(KeyError, TypeError):  # It could not be set.
        for folder in folders:
            place = place[dask.config.canonical_name(folder, place)]
        del place[dask.config.canonical_name(last, place)]


# Starting and closing


def require_home() -> None:
    """Raise UsageError if the user has no home folder.

    Seen in bokeh 3.9.2: importing it, as Dask's dashboard does, fails with a RuntimeError. Not
    reported upstream as far as we know. Can go when ``bokeh.settings`` can be imported.
    """
    try:
        Path.home()
    except RuntimeError:
        raise UsageError(
            "HOME is not set, and this user has no home folder, which Dask's dashboard needs for "
            "its settings; set HOME to any folder, such as HOME=/tmp"
        ) from None


@contextlib.contextmanager
def ignoring_signal_handlers() -> Iterator[None]:
    """Ignore what this thread sets as signal handlers within the block.

    Seen in dask-jobqueue 0.9.0: importing it has Ctrl-C end the process at once, with exit code 0
    (https://github.com/dask/dask-jobqueue/issues/696), and fails in any thread but the main one
    (https://github.com/dask/dask-jobqueue/issues/667). Both are fixed there, but not released. Can
    go with the next release.
    """
    thread, inside = threading.current_thread(), True

    def ignored(number: int, handler: Any) -> Any:
        if inside and threading.current_thread() is thread:
            return signal.getsignal(number)
        return original(number, handler)  # Other threads, and the module at a later time.

    with _lock:
        original = signal.signal
        signal.signal = ignored  # type: ignore[assignment]
        try:
            yield
        finally:
            signal.signal = original
            inside = False


# Dask takes its configuration from this variable, in whatever process it is set.
_INHERITED = "DASK_INTERNAL_INHERIT_CONFIG"


def inheriting(
    package: str, kwargs: Mapping[str, Any], config: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the keywords of a cluster class, with the configuration for its workers.

    Seen in dask-jobqueue 0.9.0 (https://github.com/dask/dask-jobqueue/issues/679) and
    dask-kubernetes 2026.3.0 (not reported upstream as far as we know): workers do not get the
    client's configuration, as those of ``LocalCluster`` and ``SSHCluster`` do. Can go when they do.

    Args:
        package: of the class.
        config: Dask's configuration, nested.
    """
    inherited = dask.config.serialize(config)
    if package == "dask_jobqueue":
        prologue = [*(kwargs.get("job_script_prologue") or ())]
        return {**kwargs, "job_script_prologue": [f"export {_INHERITED}={inherited}", *prologue]}
    if package == "dask_kubernetes":
        env = kwargs.get("env") or {}
        if isinstance(env, list):
            return {**kwargs, "env": [{"name": _INHERITED, "value": inherited}, *env]}
        return {**kwargs, "env": {_INHERITED: inherited, **env}}
    return dict(kwargs)


# One at a time: a half-started cluster is known by what was there before.
_starting = threading.Lock()


def start_or_close(kind: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a cluster class, and close what it has started if that fails or is interrupted.

    Seen in distributed 2026.8.0: a half-started cluster stays open until the process ends. Then an
    exit handler tries to close it, and prints tracebacks. Start-up errors were seen to (
    https://github.com/dask/distributed/pull/4590), interrupts were not. Can go when they are, also
    in subclasses.
    """

    def instances() -> set[Any]:
        return set(getattr(kind, "_instances", None) or SpecCluster._instances)

    with _starting:
        before = instances()
        try:
            return kind(*args, **kwargs)
        except BaseException:
            for half_started in instances() - before:
                with contextlib.suppress(Exception):
                    if half_started.status != Status.closed:
                        half_started.close(timeout=10)
                half_started.shutdown_on_close = False  # For the exit handler.
            raise


def new_client(*args: Any, **kwargs: Any) -> Client:
    """Return a new client, or close it if it can't connect.

    Seen in distributed 2026.8.0: the thread of a client that does not connect goes on for ever. The
    client itself is left to the garbage collector, which may then wait for a lock that its own
    thread holds. https://github.com/dask/distributed/issues/4072 was about clients that do connect.
    Can go when ``Client(…)`` leaves no thread behind.
    """
    client = Client.__new__(Client)  # It must be at hand if __init__ fails.
    try:
        Client.__init__(client, *args, **kwargs)
    except BaseException:
        with contextlib.suppress(Exception):
            client.close()
        with contextlib.suppress(Exception):
            client._loop_runner.stop()
        raise
    return client


def require_listener(address: str, seconds: float = 5) -> None:
    """Raise OSError unless a process of Dask listens at an address.

    Seen in distributed 2026.8.0: a client waits for ever for a server that accepts the connection
    and says nothing (https://github.com/dask/distributed/issues/8071), and, if a connection is
    refused, tries again for all of ``distributed.comm.timeouts.connect``. Can go when a client
    keeps that limit in the first case, too.

    Args:
        seconds: how long to try again, for a scheduler that is about to start.
    """
    scheme, separator, _ = address.partition("://")
    scheme = scheme if separator else dask.config.get("distributed.comm.default-scheme")
    if scheme not in ("tcp", "tls"):
        return  # Dask knows how to get there.
    try:
        place = get_address_host_port(address)
    except ValueError:
        return  # Dask says what is wrong with it.
    patience = parse_timedelta(dask.config.get("distributed.comm.timeouts.connect"))
    deadline = time.monotonic() + min(seconds, patience)
    while True:
        connected = False
        try:
            with socket.create_connection(place, timeout=patience) as connection:
                connected = True
                if scheme == "tcp":  # A process of Dask speaks first; with TLS, the client does.
                    connection.recv(1)
            return
        except TimeoutError:
            if connected:
                raise TimeoutError(
                    f"it accepts the connection, but says nothing for {patience:g} s"
                ) from None
            raise
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def kill_workers(cluster: Any) -> None:
    """Kill the worker processes of a cluster on this machine.

    Seen in distributed 2026.8.0: closing a cluster waits 4 s for workers that are busy, and then
    may fail (https://github.com/dask/distributed/issues/9300). Can go when ``close`` takes a time
    limit that holds for its nannies.
    """
    for nanny in cluster.workers.values() if isinstance(cluster, LocalCluster) else ():
        if isinstance(nanny, Nanny) and nanny.pid:
            nanny.close_gracefully()  # It starts no other worker.
            with contextlib.suppress(ProcessLookupError):
                os.kill(nanny.pid, signal.SIGKILL)


# Workers and results


# From glibc's malloc.h.
_M_TRIM_THRESHOLD, _TRIM_THRESHOLD = -1, 128 << 20  # 128 MiB
_M_MMAP_THRESHOLD, _MMAP_THRESHOLD = -3, 32 << 20  # 32 MiB, the most that glibc takes


def tune_allocator() -> None:
    """Let glibc keep freed memory of image size, instead of returning it to the system.

    Seen in distributed 2026.8.0: its nanny sets ``MALLOC_TRIM_THRESHOLD_`` to 64 KiB
    (https://github.com/dask/distributed/pull/5098), which also stops glibc from adapting its mmap
    threshold (https://github.com/dask/distributed/issues/3898). Every image buffer is then mapped,
    zeroed and unmapped again, at a third of the speed. ``cluster.yaml`` sets other values for
    clusters that it starts; this is for the others. Can go when that variable is no longer set.
    """
    with contextlib.suppress(OSError, AttributeError, ValueError):
        if "glibc" not in (os.confstr("CS_GNU_LIBC_VERSION") or ""):
            return
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_TRIM_THRESHOLD, _TRIM_THRESHOLD)
        mallopt(_M_MMAP_THRESHOLD, _MMAP_THRESHOLD)


def after_replacement(worker: Worker, function: Callable[..., Any], *args: Any) -> None:
    """Call a function of a plugin that is torn down once its successor, if any, is set up.

    Seen in distributed 2026.8.0: registering a plugin again tears the old one down before the new
    one is set up (https://github.com/dask/distributed/pull/5248). In between, tasks would lack what
    both provide. Can go when the order is the other way round.
    """
    worker.loop.add_callback(function, *args)


SCHEDULER_GONE = "the cluster's scheduler has gone; run the same command again"


def result_of(future: Future[T], timeout: float) -> T:
    """Return the result of a finished task.

    Seen in distributed 2026.8.0: if the request is cancelled, ``Future.result`` raises
    UnboundLocalError (https://github.com/dask/distributed/issues/8514). It is cancelled if the
    scheduler goes, and if Dask has joined it to an earlier request that was given up. Can go when
    it raises CancelledError for the former, and asks again for the latter.

    Raises:
        ClusterError: the scheduler has gone.
        TimeoutError: the answer takes longer; or the worker has gone, and the task runs again.
    """
    try:
        return future.result(timeout=timeout)
    except (CancelledError, UnboundLocalError):
        if future.status == "error":
            raise
        if future.status == "cancelled":
            raise ClusterError(SCHEDULER_GONE) from None
        raise TimeoutError from None
