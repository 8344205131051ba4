"""Requests to the filesystem of a URL: with a deadline, and with one kind of error."""

from __future__ import annotations

import contextlib
import errno
import io
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from prep.locations.faults import as_os_errors
from prep.locations.filesystems import OPTIONS, filesystem, forget_connections, given_to_others
from prep.locations.protocols import filesystem_class
from prep.locations.urls import protocol_of
from prep.locations.waiting import answer, require_time

PATIENCE = 120.0  # seconds for one request, with what its filesystem retries
_BLOCK = 1 << 20  # 1 MiB, of what is read in pieces
_UNKNOWN = re.compile(r"unexpected keyword argument '(\w+)'")
_BROKEN = (
    *(errno.ECONNRESET, errno.ENOTCONN, errno.ETIMEDOUT, errno.EPIPE, errno.ECONNREFUSED),
    *(errno.EIO, errno.ECONNABORTED, errno.EHOSTUNREACH),
)


class Requests:
    """Asks what is at a URL, and changes it.

    All that can't be done raises OSError; nothing waits for ever.
    """

    __slots__ = ("_url",)

    def __init__(self, url: str) -> None:
        self._url = url

    @property
    def path(self) -> str:
        """The place, as the filesystem names it."""
        # Only the first part is parsed: in the rest, '?' and '#' are parts of names.
        protocol, _, rest = self._url.partition("://")
        first, slash, below = rest.partition("/")
        return _root_of(f"{protocol}://{first}").rstrip("/") + slash + below

    @property
    def filesystem(self) -> Any:
        with self.as_os_errors():
            return filesystem(self._url)

    def ask(
        self,
        name: str,
        *arguments: Any,
        at: str = "",
        patience: float = PATIENCE,
        **options: Any,
    ) -> Any:
        """Calls a method of the filesystem by its name.

        Args:
            at: the path that it is called with, if not this one's.
        """
        return self._ask(name, at or self.path, *arguments, patience=patience, **options)

    def put_file(self, source: Path, *, patience: float, **options: Any) -> None:
        """Uploads a local file."""
        self._ask("put_file", str(source), self.path, patience=patience, **options)

    def call(self, function: Any, *arguments: Any) -> Any:
        """Calls a function of a filesystem and a path in it."""
        fs = self.filesystem
        return self._answer(fs, function, fs, self.path, *arguments)

    def _ask(self, name: str, *arguments: Any, patience: float, **options: Any) -> Any:
        fs = self.filesystem
        method = getattr(fs, f"_{name}" if fs.async_impl else name)
        return self._answer(fs, method, *arguments, patience=patience, **options)

    def _answer(
        self, fs: Any, method: Any, *arguments: Any, patience: float = PATIENCE, **options: Any
    ) -> Any:
        with self.asking():
            if fs.async_impl:
                return answer(fs.loop, method(*arguments, **options), patience)
            require_time()
            return method(*arguments, **options)

    def open(self) -> io.BufferedReader:
        """Open the file to read it piece by piece."""
        fs = self.filesystem
        with self.asking():
            file = fs.open(self.path, "rb", block_size=_BLOCK)
        return io.BufferedReader(_Pieces(file, self), _BLOCK)

    @contextlib.contextmanager
    def asking(self) -> Iterator[None]:
        """Raise nothing but OSErrors; drop the connections after one that tells of a broken one."""
        try:
            with self.as_os_errors():
                yield
        except OSError as error:
            if error.errno in _BROKEN:
                forget_connections()
            raise

    @contextlib.contextmanager
    def as_os_errors(self) -> Iterator[None]:
        with as_os_errors(self._url, OPTIONS.of(self._url)):
            try:
                yield
            except TypeError as error:  # Some options are looked at when something is asked.
                raise OSError(errno.EINVAL, self._refusal(str(error))) from None

    def _refusal(self, said: str) -> str:
        """Explain options that a storage does not take, or lacks."""
        if "missing" in said:
            return f"{said}; give what is missing in storage_options"
        unknown = _UNKNOWN.search(said)
        if unknown is None:
            return f"storage_options: {said}"
        name, others = unknown[1], given_to_others(self._url)
        told = f"storage_options: {protocol_of(self._url)}:// knows no {name!r}"
        if name in others:
            return (
                f"{told}, which was given for {others[name]} as well: storage_options that are not "
                "by key hold for all URLs; give each its own, under source and output"
            )
        return f"{told}; remove it, or correct its name"


class _Pieces(io.RawIOBase):
    """A file of a filesystem, whose errors are OSErrors too."""

    def __init__(self, file: Any, requests: Requests) -> None:
        self._file = file
        self._requests = requests

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with self._requests.asking():
            data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        with self._requests.as_os_errors():
            self._file.seek(offset, whence)
            position: int = self._file.tell()
        return position

    def close(self) -> None:
        if not self.closed:
            with self._requests.as_os_errors():
                self._file.close()
        super().close()


@lru_cache(maxsize=64)
def _root_of(url: str) -> str:
    root = filesystem_class(protocol_of(url))._strip_protocol(f"{url}/")
    return str(root)
