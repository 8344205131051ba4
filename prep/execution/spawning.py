"""Start Dask's worker processes on this machine: quickly, and only where a script allows it.

Each of them begins by importing the script of the process that starts it. If that lacks the guard
of multiprocessing, it would do there all that it does, and never become a worker.

They are forked from a server of Python's multiprocessing, which has loaded for all of them what
they need, while this process loads Dask.
"""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

from prep.errors import UsageError
from prep.execution.interrupts import before_exit, deferred
from prep.execution.local.own_process import ENVIRONMENT, search_path

# Names a folder, in which each process that finds no guard leaves a file.
_NOTES = "PREP_SCRIPT_WITHOUT_GUARD"
_NO_GUARD = (
    "each worker process begins by importing the script that starts it, and this one starts a "
    'cluster when it is imported: put what it does under if __name__ == "__main__":'
)
_NO_SCRIPT = (
    "each worker process begins by importing the script that starts it, and this one came from "
    "standard input: write it to a file, and run that"
)


def end_if_only_imported() -> None:
    """Raise UsageError, or end the process, if it only imports its script to become a worker.

    A worker of ours ends in silence, for :func:`noticing_a_missing_guard` reports it, once.
    """
    process = multiprocessing.current_process()
    if getattr(process, "_inheriting", False):  # So multiprocessing itself finds it out.
        if (folder := os.environ.get(_NOTES)) is None:
            raise UsageError(_NO_GUARD)
        with contextlib.suppress(OSError):
            Path(folder, str(os.getpid())).touch()
        raise SystemExit(1)


def require_spawnable() -> None:
    """Raise UsageError if Python would let this process start no others."""
    end_if_only_imported()
    script = getattr(sys.modules["__main__"], "__file__", None)
    if script == "<stdin>":  # python - < script.py
        raise UsageError(_NO_SCRIPT)
    if multiprocessing.current_process().daemon:
        raise UsageError(
            "a process with daemon=True (Dask's workers are such) can't start others; start it "
            "with daemon=False, or give prep a client of a cluster that was started elsewhere"
        )


@contextlib.contextmanager
def noticing_a_missing_guard() -> Iterator[Callable[[], None]]:
    """Yield a function that raises UsageError if a process started in the block found no guard."""
    with contextlib.ExitStack() as stack:
        folder = _notes or stack.enter_context(_noting())

        def require_guard() -> None:
            if folder and os.listdir(folder):
                raise UsageError(_NO_GUARD) from None

        if folder:  # The server's is gone where it has started workers before.
            os.makedirs(folder, exist_ok=True)
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
        yield require_guard


@contextlib.contextmanager
def _noting() -> Iterator[str]:
    """Have processes that are started in the block leave notes in the folder that is yielded."""
    try:
        folder = tempfile.mkdtemp(prefix="prep-")
    except OSError:  # Then a cluster will hardly start, and says why.
        yield ""
        return
    os.environ[_NOTES] = folder
    try:
        yield folder
    finally:
        os.environ.pop(_NOTES, None)
        shutil.rmtree(folder, ignore_errors=True)


# Environment of the server, and so of all workers.
_ENVIRONMENT = {
    **ENVIRONMENT,
    "PYTHONHASHSEED": "6640",  # Dask's nanny sets it; hashes are to be equal on all workers.
}

# What workers load, but for pyarrow: that starts a thread, and no thread lives on in a fork.
_PRELOADED = ("distributed", "prep.config.model", "prep.images.processor", "prep.storage.locate")
_ENDS_WITHIN = 1.0  # seconds

# Python's own, of which a process has one.
_python: Any = forkserver._forkserver
# What is left when the server stops: first of all, the folder of its processes' notes.
_server = contextlib.ExitStack()
_notes = ""
_began_with: Mapping[str, str] = {}  # environment variables
_clusters = 0  # Those that need the server.
_lock = threading.RLock()


def start_server() -> None:
    """Start the server that workers are forked from, and let it load what they need.

    There is none on macOS, where forks of programs that use its frameworks may crash, and none if
    somebody else uses Python's.

    Raises:
        UsageError: Python would let this process start no others.
    """
    require_spawnable()
    with _lock:
        if sys.platform == "linux" and _server_pid() is None:
            _stop_at_exit()
            _start_server()


def _start_server() -> None:
    global _notes, _began_with
    loaded = _python._preload_modules
    # It is to load the packages that this process has, and no random.py of the working directory.
    places = {"PYTHONPATH": search_path(), "PYTHONSAFEPATH": "1"}
    before = {name: os.environ.get(name) for name in (*_ENVIRONMENT, *places)}
    _began_with = dict(os.environ)
    with deferred():  # It is not to see Ctrl-C.
        _notes = _server.enter_context(_noting())
        os.environ.update({**_ENVIRONMENT, **os.environ, **places})
        forkserver.set_forkserver_preload(list(_PRELOADED))
        try:
            forkserver.ensure_running()
        except OSError:  # Such as a folder whose path leaves no room for the name of a socket.
            _end_notes()  # Workers are then spawned.
        finally:
            forkserver.set_forkserver_preload(loaded)
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})


@functools.cache
def _stop_at_exit() -> None:
    before_exit(stop_server)


def has_server() -> bool:
    """Return whether workers can be forked from a server of ours."""
    return bool(_notes)


def has_server_with(environment: Mapping[str, str]) -> bool:
    """Return whether workers can be forked from a server of ours that began as they are to begin.

    Some variables count only for a process that begins with them, such as those of the C library.

    Args:
        environment: the variables that workers are to have besides those of this process.
    """
    wanted = {**_ENVIRONMENT, **os.environ, **environment}
    began_with = {**_ENVIRONMENT, **_began_with}
    for variables in (wanted, began_with):
        variables.pop(_NOTES, None)
    return has_server() and wanted == began_with


@contextlib.contextmanager
def server_for_a_cluster() -> Iterator[None]:
    """Start the server, and keep it for the length of the block, even without workers."""
    global _clusters
    with _lock:
        start_server()
        _clusters += 1
    try:
        yield
    finally:
        with _lock:
            _clusters -= 1
        stop_server()


def stop_server(within: float = _ENDS_WITHIN) -> None:
    """Stop the server; the next one has the environment of its time.

    It stays if a cluster needs it, or there are processes that were forked from it.

    Args:
        within: seconds to wait for the end of these processes.
    """
    import psutil

    until = time.monotonic() + within
    with contextlib.suppress(psutil.Error):
        while has_server() and not _clusters and psutil.Process(_server_pid()).children():
            if time.monotonic() > until:
                return
            time.sleep(0.01)
    with _lock, deferred():
        pid = _server_pid()
        if has_server() and not _clusters and pid is not None:
            # By itself, it only ends when all forks of this process have, too.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            _python._stop()
            _end_notes()


def _end_notes() -> None:
    global _notes
    _server.close()
    _notes = ""


def _server_pid() -> int | None:
    pid: int | None = _python._forkserver_pid
    return pid
