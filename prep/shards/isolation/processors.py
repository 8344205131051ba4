"""Process images in this process or, isolated, in a child process.

Messages to a child and back are a length and so many bytes.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pickle
import signal
import subprocess
import sys
import tempfile
from typing import BinaryIO, cast

from prep.errors import RefusedImage
from prep.images.processor import Processed
from prep.settings.image_settings import ImageSettings
from prep.shards.isolation.processing import CRASHED, TOO_SLOW, make_processor, process_or_refuse
from prep.shards.isolation.watchdog import SIGNAL, WATCHDOG

_LENGTH = 8  # bytes


def send(pipe: BinaryIO, message: bytes) -> None:
    """Send a message; raise OSError if the other end is closed."""
    pipe.write(len(message).to_bytes(_LENGTH, "little"))
    pipe.write(message)
    pipe.flush()


def receive(pipe: BinaryIO) -> bytes | None:
    """Return the next message; None if the other end was closed, also within a message."""
    header = pipe.read(_LENGTH)
    if len(header) < _LENGTH:
        return None
    length = int.from_bytes(header, "little")
    message = pipe.read(length)
    return message if len(message) == length else None


# An image is refused for what it does to a fresh process: an earlier image may have upset the
# decoder. It gets a second one if somebody else may have killed or suspended the first.
_TRIES = 2
_FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, SIGNAL)
_END_OF_ERRORS = 4096  # bytes of standard error of a process that died
_PATIENCE = 10.0  # seconds for a process to end


class IsolatedProcessor:
    """Processes images in a child process, which is started when first needed.

    Args:
        settings: what happens to the images.
        timeout: seconds that an image may take.
        hashed: whether to hash each result.
    """

    def __init__(self, settings: ImageSettings, timeout: float, *, hashed: bool = False) -> None:
        self._settings = settings
        self._timeout = timeout
        self._hashed = hashed
        self._child: _Child | None = None

    def __call__(self, data: bytes) -> Processed:
        """Process one image file.

        Raises:
            RefusedImage: the image can't be used: ``crashed the decoder`` if the process died,
                ``too slow`` if it had to be ended.
            OSError: the process can't be started.
        """
        for _ in range(_TRIES):
            alone = self._child is None
            if self._child is None:
                self._child = _Child(self._settings, self._timeout, hashed=self._hashed)
            reply = self._child.ask(data)
            if isinstance(reply, RefusedImage):
                raise reply
            if reply is not None:
                return reply
            status, errors = self._child.end()
            self._child = None
            if alone and -status not in _FROM_OUTSIDE:
                break
        raise _refusal(status, errors, self._timeout)

    def close(self) -> None:
        """End the process."""
        if self._child is not None:
            self._child.end()
            self._child = None


class _Child:
    """A process that runs :mod:`prep.shards.isolation.__main__`."""

    def __init__(self, settings: ImageSettings, timeout: float, *, hashed: bool) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed by `end`)
        # Not multiprocessing: Dask's workers are daemons, which may not start children that way.
        # Ctrl-C is for the client, which tells the workers: hence another process group.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "prep.shards.isolation"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            process_group=0,
        )
        self._to = cast(BinaryIO, self._process.stdin)
        self._from = cast(BinaryIO, self._process.stdout)
        if self._exchange(pickle.dumps((settings, timeout, hashed))) is None:
            status, errors = self.end()
            # If memory or processes are short, this may pass.
            raise ChildProcessError(
                errno.EAGAIN, f"a process to decode in did not start ({_died(status)}): {errors}"
            )

    def ask(self, data: bytes) -> Processed | RefusedImage | None:
        """Return what became of an image; None if the process did not survive it."""
        reply = self._exchange(data)
        return None if reply is None else cast("Processed | RefusedImage", pickle.loads(reply))

    def _exchange(self, message: bytes) -> bytes | None:
        try:
            send(self._to, message)
        except OSError:  # It is dead already.
            return None
        return receive(self._from)

    def end(self) -> tuple[int, str]:
        """End the process; return its exit status, and the last line of its standard error."""
        for pipe in (self._to, self._from):
            with contextlib.suppress(OSError):
                pipe.close()
        try:
            status = self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        with self._errors as file:
            file.seek(max(file.seek(0, os.SEEK_END) - _END_OF_ERRORS, 0))
            lines = file.read().decode(errors="replace").split("\n")
        return status, next((line for line in reversed(lines) if line.strip()), "")


def _refusal(status: int, errors: str, timeout: float) -> RefusedImage:
    if status == -SIGNAL:
        return RefusedImage(TOO_SLOW, f"not done after {timeout:g} s")
    return RefusedImage(CRASHED, f"{_died(status)}: {errors}" if errors else _died(status))


def _died(status: int) -> str:
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"exit status {status}"


class GuardedProcessor:
    """Processes images in this process, or in another one if they may be dangerous.

    An image that takes too long ends this process, if :data:`WATCHDOG` is enabled. Not for use by
    two threads.

    Args:
        settings: what happens to the images.
        timeout: seconds that an image may take.
        isolated: whether an earlier attempt at the same images has died of them.
        hashed: whether to hash each result.
    """

    def __init__(
        self, settings: ImageSettings, timeout: float, *, isolated: bool, hashed: bool = False
    ) -> None:
        self._timeout = timeout
        self._process = make_processor(settings, hashed=hashed)
        self._elsewhere = IsolatedProcessor(settings, timeout, hashed=hashed)
        self._isolated = isolated

    def close(self) -> None:
        """End the other process, if there is one."""
        self._elsewhere.close()

    def __call__(self, data: bytes) -> Processed:
        """Process one image file.

        Raises:
            RefusedImage: the image can't be used; it may have crashed the decoder.
            OSError: no process can be started to isolate it in.
        """
        if self._isolated:
            return self._elsewhere(data)
        WATCHDOG.start(self._timeout)
        try:
            return process_or_refuse(self._process, data)
        except MemoryError:  # It may be the image, or all else in this process.
            pass
        finally:
            WATCHDOG.stop()
        return self._elsewhere(data)
