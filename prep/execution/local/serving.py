"""The work of a crew's process: one task after the other.

A thread hears what it is told meanwhile; when nobody is there any more to tell it anything, it
leaves the image that it is at, and ends.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import threading
import time
import traceback
from multiprocessing.connection import Connection

import psutil

from prep.execution.local.messages import END_WITHIN, Job, Look, Ready, Result
from prep.images.decoders.process import configure_process
from prep.monitoring.counters import COUNTERS
from prep.monitoring.heartbeat import METRIC
from prep.shards.isolation.watchdog import WATCHDOG

_HOLDER = "crew"
_STEP = 0.02  # seconds


def serve(connection: Connection) -> None:
    """Set this process up as it is told to, and do tasks until nobody is there any more."""
    _Worker(connection).work()


class _Worker:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sending = threading.Lock()
        self._jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._process = psutil.Process()

    def work(self) -> None:
        try:
            setup = self._connection.recv()
        except (EOFError, OSError):
            return  # A run was stopped as it began: nobody is there any more.
        setup.access.apply(_HOLDER)
        configure_process()
        WATCHDOG.enable()  # Whoever has started this process starts another one.
        threading.Thread(target=self._hear, daemon=True).start()
        self._send(Ready())
        while True:
            self._send(_outcome(self._jobs.get()))

    def _hear(self) -> None:
        try:
            while True:
                message = self._connection.recv()
                if isinstance(message, Job):
                    self._jobs.put(message)
                else:
                    self._send(Look(self._metrics()))
        except (EOFError, OSError):
            pass
        except Exception:  # It can't load what it is told: another process is to try.
            traceback.print_exc()
        _leave()

    def _metrics(self) -> dict[str, object]:
        return {METRIC: COUNTERS.snapshot(), "cpu": self._process.cpu_percent()}

    def _send(self, message: object) -> None:
        with self._sending, contextlib.suppress(OSError):
            self._connection.send(message)


def _outcome(job: Job) -> Result:
    try:
        return Result(job.task, result=job.function(job.item))
    except Exception as error:
        return Result(job.task, error=_portable(error))


def _portable(error: Exception) -> Exception:
    """Return an error that survives the way to another process: this one, if it does."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _leave() -> None:
    """Let shards under way clean up after themselves, and end this process."""
    COUNTERS.stop_all()
    until = time.monotonic() + END_WITHIN
    while COUNTERS.at_work and time.monotonic() < until:
        time.sleep(_STEP)
    os._exit(0)
