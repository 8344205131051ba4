"""Reading files, and publishing files atomically.

A reader never sees half a file: it is written under a temporary name that is unique to the attempt,
flushed to disk, and only then renamed. Two processes that write the same file at the same time
therefore do each other no harm; the last one to finish wins.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import uuid
from pathlib import Path
from types import TracebackType
from typing import Any

_BUFFER = 1 << 20  # 1 MiB
_TEMPORARY_SUFFIX = ".partial"
_TEMPORARY_NAME = re.compile(rf"\.[0-9a-f]{{32}}{re.escape(_TEMPORARY_SUFFIX)}")


def read_file(path: str | bytes) -> bytes:
    """The contents of a regular file.

    Raises:
        OSError: it can't be read, or is something else (a pipe would block for ever).
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError("not a regular file")
        data = os.read(descriptor, status.st_size + 1)
        if len(data) != status.st_size:  # More than one read returns, or the file is changing.
            data += _read_to_end(descriptor)
        return data
    finally:
        os.close(descriptor)


def _read_to_end(descriptor: int) -> bytes:
    chunks = []
    while chunk := os.read(descriptor, _BUFFER):
        chunks.append(chunk)
    return b"".join(chunks)


class AtomicFile:
    """A file that appears under its name whole, or not at all.

    Leave the ``with`` block normally to publish it; by an exception, and there is no trace of it.

    Args:
        path: where it is to appear.
        durable: whether to wait until it is on disk. Otherwise a power failure may undo it.

    Attributes:
        size: bytes written so far.
    """

    def __init__(self, path: Path, *, durable: bool = True) -> None:
        self._path = path
        self._durable = durable
        self._temporary = path.with_name(f".{uuid.uuid4().hex}{_TEMPORARY_SUFFIX}")
        self._digest = hashlib.sha256()
        self.size = 0
        self._handed_over = 0

    def __enter__(self) -> AtomicFile:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(self._temporary, "xb", buffering=_BUFFER)
        return self

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self._digest.update(data)
        self.size += len(data)
        if self.size - self._handed_over >= _BUFFER and self._durable:
            self._hand_over()

    def _hand_over(self) -> None:
        """Has the system begin to write to disk, so that little is left to wait for at the end.

        Linux does that when told that the pages are not needed any more.
        """
        self._file.flush()
        if hasattr(os, "posix_fadvise"):
            start, length = self._handed_over, self.size - self._handed_over
            os.posix_fadvise(self._file.fileno(), start, length, os.POSIX_FADV_DONTNEED)
        self._handed_over = self.size

    @property
    def sha256(self) -> str:
        """Hexadecimal digest of what was written so far."""
        return self._digest.hexdigest()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            with self._file:
                if kind is None and self._durable:
                    self._file.flush()
                    os.fsync(self._file.fileno())
            if kind is None:
                os.replace(self._temporary, self._path)
                if self._durable:
                    _sync_folder(self._path.parent)
        finally:
            self._temporary.unlink(missing_ok=True)


def _sync_folder(path: Path) -> None:
    """Makes a rename in this folder survive a power failure."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def publish(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Publishes a small file."""
    with AtomicFile(path, durable=durable) as file:
        file.write(data)


def publish_json(path: Path, value: Any, *, durable: bool = True) -> None:
    """Publishes ``value`` as indented JSON. Names that are not valid Unicode survive, escaped."""
    publish(path, (json.dumps(value, indent=2) + "\n").encode(), durable=durable)


def leftovers(folder: Path) -> list[Path]:
    """What killed attempts left in ``folder`` under temporary names."""
    paths = folder.glob(f".*{_TEMPORARY_SUFFIX}")
    return sorted(path for path in paths if _TEMPORARY_NAME.fullmatch(path.name))


def remove_leftovers(folder: Path) -> None:
    """Removes what killed attempts left in ``folder`` under temporary names."""
    for path in leftovers(folder):
        path.unlink(missing_ok=True)
