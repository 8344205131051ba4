"""Real clusters, and the real command in a process or at a terminal of its own."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import termios
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import psutil
import pytest
from distributed import Client

import prep

T = TypeVar("T")

NATIVE = Path(__file__).with_name("native")

#: The command, as it was installed beside this Python.
PREP = str(Path(sys.executable).with_name("prep"))
# What would make a program believe that it is, or is not, at a terminal of some kind.
_TERMINAL_VARIABLES = (
    "COLUMNS",
    "LINES",
    "NO_COLOR",
    "FORCE_COLOR",
    "CLICOLOR",
    "TERM",
    "COLORTERM",
)
# Makes the terminal on standard input the one whose Ctrl-C reaches the command, and becomes it.
_AT_TERMINAL = (
    "import fcntl, os, signal, sys, termios\n"
    "signal.signal(signal.SIGINT, signal.SIG_DFL)\n"  # Ignored by what was started with '&'.
    "fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
    "os.execv(sys.argv[1], sys.argv[1:])\n"
)


@pytest.fixture(scope="session")
def client() -> Iterator[Client]:
    """A cluster of two worker processes, shared by all tests."""
    with prep.cluster(workers=2) as client:
        yield client


@pytest.fixture
def ctrl_c_interrupts() -> Iterator[None]:
    """Ctrl-C does here what it does in Python.

    What is started in the background by a shell begins with Ctrl-C ignored, and dask-jobqueue has
    it end the process that loads it.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that halts a process at an exact point; see its source."""
    return _preloadable("halt", tmp_path_factory)


@pytest.fixture(scope="session")
def faulty_io(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that makes input and output fail; see its source."""
    return _preloadable("faulty_io", tmp_path_factory)


def _preloadable(name: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of ours, compiled to be preloaded into processes (LD_PRELOAD)."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs a C compiler and Linux, to preload a library into processes")
    library = tmp_path_factory.mktemp("native") / f"{name}.so"
    source = NATIVE / f"{name}.c"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library


def commits(log: Path, kind: str = ".tfrecord") -> Counter[str]:
    """Return how often each file of a kind was put in place, from the preloaded library's log."""
    names = (line.rpartition("/")[2] for line in log.read_text().splitlines())
    return Counter(name for name in names if name.endswith(kind))


def wait_until(condition: Callable[[], T], seconds: float = 60) -> T:
    """Waits for ``condition`` to come true, and gives back what it said then."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"still not so after {seconds} s")
        time.sleep(0.02)
    return value


def contents(folder: Path, pattern: str = "**/*") -> dict[str, bytes]:
    """All files below ``folder`` that match, by their relative path."""
    files = (path for path in folder.glob(pattern) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(files)}


def without_progress(stderr: str) -> list[str]:
    """Return the lines of standard error but those that a slow machine prints of its progress."""
    return [line for line in stderr.splitlines() if not re.match(r"\d\d:\d\d:\d\d \w+: ", line)]


def run_prep(
    *arguments: str | Path, cwd: Path | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Runs ``prep`` to its end, with its output captured."""
    return subprocess.run(
        [PREP, *map(str, arguments)],
        cwd=cwd,
        env=_environment(variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


class Terminal:
    """``prep`` at a pseudo-terminal, in a session of its own, as if a person had typed it."""

    def __init__(
        self, *arguments: str | Path, cwd: Path, columns: int = 100, **variables: str
    ) -> None:
        self._keyboard, screen = pty.openpty()
        termios.tcsetwinsize(screen, (30, columns))
        self.process = psutil.Popen(
            [sys.executable, "-c", _AT_TERMINAL, PREP, *map(str, arguments)],
            cwd=cwd,
            env=_environment({"TERM": "xterm-256color", **variables}),
            stdin=screen,
            stdout=screen,
            stderr=screen,
            start_new_session=True,
        )
        os.close(screen)
        self._shown = bytearray()
        self._closed = False
        self._taking = threading.Lock()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._reader.join(10)
        self.close()

    def close(self) -> None:
        """Closes the terminal, as when its window is closed."""
        if not self._closed:
            self._closed = True
            self._reader.join()
            os.close(self._keyboard)

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # Nobody has the terminal open any more.
            while not self._closed:
                select.select([self._keyboard], [], [], 0.1)
                with self._taking:
                    if self._is_ahead():
                        self._shown += os.read(self._keyboard, 1 << 16)

    def _is_ahead(self) -> bool:
        """Whether something was sent to the screen that has not been read."""
        return bool(select.select([self._keyboard], [], [], 0)[0])

    def _has_read_all(self) -> bool:
        with self._taking:
            return self._closed or not self._reader.is_alive() or not self._is_ahead()

    @property
    def shown(self) -> str:
        """Everything that was sent to the screen so far, control sequences and all."""
        return self._shown.decode(errors="replace")

    def press(self, key: bytes) -> None:
        os.write(self._keyboard, key)

    def wait(self, seconds: float = 90) -> int:
        """Waits for the end of the command and its last words, and gives back its exit code."""
        code: int = self.process.wait(seconds)
        wait_until(self._has_read_all)
        return code

    def processes(self) -> list[psutil.Process]:
        """The live processes of the command and of everything that it has started."""
        return [process for process in psutil.process_iter() if self._started(process)]

    def _started(self, process: psutil.Process) -> bool:
        try:
            alive = process.status() != psutil.STATUS_ZOMBIE
            return alive and os.getsid(process.pid) == self.process.pid
        except (psutil.NoSuchProcess, ProcessLookupError):
            return False


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    """This process's, without what was set for its own terminal."""
    kept = {name: value for name, value in os.environ.items() if name not in _TERMINAL_VARIABLES}
    return {**kept, **variables}
