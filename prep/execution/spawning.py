"""Check that this process can start worker processes, and say what to do if it can't.

Each of them begins by importing the script of the process that starts it. If that lacks the guard
of multiprocessing, it would do there all that it does, and never become a worker.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from prep.errors import UsageError

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
    try:
        folder = tempfile.mkdtemp(prefix="prep-")
    except OSError:  # Then a cluster will hardly start, and says why.
        yield lambda: None
        return
    os.environ[_NOTES] = folder

    def require_guard() -> None:
        if os.listdir(folder):
            raise UsageError(_NO_GUARD) from None

    try:
        yield require_guard
    finally:
        os.environ.pop(_NOTES, None)
        shutil.rmtree(folder, ignore_errors=True)
