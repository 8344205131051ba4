"""The threads that read ahead, and the memory that they may fill."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable

_THREADS = 128
_MEMORY = 64 << 20  # 64 MiB
_IDLE = 5.0  # seconds after which a thread ends


class Job:
    """A file that is to be read.

    Args:
        read: gives its contents.
        size: how many bytes that will be, as far as is known.
    """

    __slots__ = ("_done", "cancelled", "data", "finished", "read", "size")

    def __init__(self, read: Callable[[], bytes], size: int) -> None:
        self.read = read
        self.size = size
        self.data: bytes | None = None
        self.finished = False
        self.cancelled = False
        self._done = threading.Lock()
        self._done.acquire()

    def wait(self) -> None:
        """Waits until a thread is done with it; to be called once."""
        self._done.acquire()

    def tell(self) -> None:
        """Ends the wait."""
        self._done.release()


class Pool:
    """Threads that are started when they are needed, and end when they have long not been.

    They keep no process from ending, not even when they hang in a read.

    Args:
        threads: how many there are at most.
        memory: bytes that may be read, or being read, and not yet taken.
        idle: seconds after which a thread without work ends.

    Attributes:
        memory: as given.
    """

    def __init__(self, threads: int = _THREADS, memory: int = _MEMORY, idle: float = _IDLE) -> None:
        self.memory = memory
        self._most = threads
        self._idle = idle
        self._lock = threading.Lock()
        self._jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._threads = 0
        self._unfinished = 0
        self._held = 0

    @property
    def held(self) -> int:
        """Bytes that are read, or being read, and not yet taken."""
        return self._held

    @property
    def threads(self) -> int:
        """How many there are."""
        return self._threads

    def submit(self, job: Job) -> bool:
        """Has a file read, unless there is no room for it."""
        with self._lock:
            if self._held + job.size > self.memory:
                return False
            self._held += job.size
            self._unfinished += 1
            self._jobs.put(job)
            one_more = self._threads < min(self._unfinished, self._most)
            self._threads += one_more
        if one_more:
            self._start()
        return True

    def take(self, job: Job) -> bytes | None:
        """Waits for what was submitted; None if it could not be read."""
        job.wait()
        with self._lock:
            data = job.data
            self._let_go(job)
        return data

    def cancel(self, job: Job) -> None:
        """Gives up what was submitted, without waiting: it is not read if that has not begun."""
        with self._lock:
            job.cancelled = True
            if job.finished:
                self._let_go(job)

    def _let_go(self, job: Job) -> None:
        self._held -= job.size
        job.size = 0
        job.data = None

    def _start(self) -> None:
        try:
            threading.Thread(target=self._work, name="prep-read-ahead", daemon=True).start()
        except RuntimeError:  # The system allows no more.
            with self._lock:
                self._threads -= 1
                if self._threads == 0:
                    self._give_up()

    def _give_up(self) -> None:
        """There is nobody to read: who waits is to do so."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._finish(self._jobs.get_nowait(), None)

    def _work(self) -> None:
        while (job := self._next()) is not None:
            data = None
            if not job.cancelled:
                # Whatever it is, who needs the file meets it again.
                with contextlib.suppress(BaseException):
                    data = job.read()
            with self._lock:
                self._finish(job, data)
            del job, data  # Not to be kept while waiting for the next.

    def _next(self) -> Job | None:
        while True:
            try:
                return self._jobs.get(timeout=self._idle)
            except queue.Empty:
                with self._lock:
                    if self._jobs.empty():
                        self._threads -= 1
                        return None

    def _finish(self, job: Job, data: bytes | None) -> None:
        self._unfinished -= 1
        job.finished = True
        if job.cancelled:
            self._let_go(job)
        else:
            actual = len(data or b"")
            self._held += actual - job.size
            job.size, job.data = actual, data
        job.tell()


#: All reading ahead of this process.
POOL = Pool()
